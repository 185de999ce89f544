"""Makes a film: all steps of its plan, as many at once as there are workers.

The result is one event, also after an error. It does not know how a node is made, the queue,
clients or torch.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, TypeGuard

import msgspec

from engine.errors import InternalError, UnknownModelError, VisionFluxError, WorkerLostError
from engine.film import events
from engine.film.events import AnyEvent
from engine.film.graph import KeyframeNode
from engine.film.plan import MakeStep, MeasureStep, Plan, Size, Step, most_keyframes
from engine.film.progress import GROWING
from engine.jobs.node_builder import NodeBuilder, NodeLostError
from engine.models import Model
from engine.wire.messages.responses import label
from engine.workers import messages
from engine.workers.pool import MemoryShortError
from engine.workers.process import TaskStoppedError, WorkerDiedError

SIZES = {
    "keyframes": "keyframes",
    "times": "keyframes",
    "segments": "segments",
    "segment_frames": "segments",
    "ends": "segments",
    "gaps": "gaps",
}
NOTHING = Size()


def plan_event(plan: Plan, loaded: messages.Loaded) -> events.Planned:
    """Return the event that reports a whole plan."""
    return events.Planned(
        **msgspec.structs.asdict(listed(plan)),
        frames=plan.recipe.frames,
        model=loaded.model,
        interpolator=loaded.interpolator,
        upscaler=loaded.upscaler,
        batch=plan.batch,
        prompts=plan.prompts,
        notice=loaded.notice,
        stages=tuple(stage.name for stage in plan.stages),
    )


def listed(plan: Plan, since: Size = NOTHING) -> events.Grown:
    """Return the part of a plan beyond a size, as the fields of an event."""
    segments = plan.segments[since.segments :]
    return events.Grown(
        keyframes=tuple(node.name for node in plan.keyframes[since.keyframes :]),
        times=tuple(plan.times[since.keyframes :]),
        segments=tuple(node.name for node in segments),
        segment_frames=tuple(node.length for node in segments),
        ends=tuple(plan.ends[since.segments :]),
        gaps=tuple(plan.gaps[since.gaps :]),
        more_keyframes=plan.more_keyframes,
        more_segments=plan.more_segments,
    )


def is_part(plan: events.Planned, of: events.Planned) -> bool:
    """Return whether a plan can grow into another one."""
    lists = ((getattr(plan, name), getattr(of, name)) for name in GROWING)
    facts = ("frames", "model", "interpolator", "upscaler", "notice", "batch", "stages", "prompts")
    same = all(getattr(plan, name) == getattr(of, name) for name in facts)
    return same and all(whole[: len(part)] == part for part, whole in lists)


def growth_event(
    plan: Plan, reported: Size, known: events.Planned
) -> events.Planned | events.Grown | None:
    """Return the event that reports how a plan has grown.

    Args:
        plan: in its present state.
        reported: its size at the last report.
        known: the plan in the job's log; after an interruption, larger than ``reported``.

    Returns:
        None if the log contains it already; a complete plan if the log differs.
    """
    more = listed(plan, reported)
    starts = {name: getattr(reported, SIZES[name]) for name in GROWING}
    added = {name: getattr(more, name) for name in GROWING}
    parts = {name: getattr(known, name)[start:] for name, start in starts.items()}
    if all(parts[name][: len(new)] == new for name, new in added.items()):
        return None
    if any(parts.values()):  # other pictures than before the interruption
        return msgspec.structs.replace(known, **msgspec.structs.asdict(listed(plan)))
    return more


log = logging.getLogger(__name__)

Group = tuple[Step, ...]  # keyframes that are painted together, or one other step
UnderWay = dict[asyncio.Task[list[float]], Group]


@dataclass(frozen=True)
class FilmBuilder:
    """Makes one film.

    Attributes:
        nodes: its nodes.
        models: that the engine offers, by name.
        batch: number of keyframes that are painted at once.
    """

    nodes: NodeBuilder
    models: dict[str, Model]
    batch: int = 1

    async def finish(self) -> AnyEvent:
        """Make the film and return its last event; errors of the job become events."""
        why: Literal["worker", "memory"] | None = None  # the last attempt failed
        while True:
            try:
                if why:
                    self.nodes.record(events.Interrupted(reason=why))
                return await self.film()
            except TaskStoppedError:
                return self.nodes.stopping() or events.Cancelled()
            except (WorkerDiedError, MemoryShortError) as loss:
                if stop := self.nodes.stopping():
                    return stop
                why = _reason(loss)
            except NodeLostError:
                why = None
            except WorkerLostError as error:  # the traceback is in the worker's log
                log.warning("Job %s failed: %s", self.nodes.job, error)
                return self.nodes.stopping() or events.Failed(error=error.report())
            except VisionFluxError as error:
                log.warning("Job %s failed.", self.nodes.job, exc_info=True)
                return self.nodes.stopping() or events.Failed(error=error.report())
            except Exception as error:
                log.exception("Job %s broke.", self.nodes.job)
                problem = f"{type(error).__name__} in the engine"
                return events.Failed(error=InternalError(problem).report())

    async def film(self) -> events.Finished:
        """Make all missing pieces of the film."""
        name = self.nodes.recipe.model
        if name not in self.models:  # it was offered when the job was submitted
            raise UnknownModelError(name, list(self.models))
        attempt = self.nodes.progress.attempt + 1
        self.nodes.record(events.Started(attempt=attempt, device=label(self.nodes.pool.devices)))
        plan = await self._plan(self.models[name])
        await self._make_all(plan)
        return self.nodes.finished(plan)

    async def _make_all(self, plan: Plan) -> None:
        """Carry out the steps of a plan, as many at once as there are workers."""
        reported, under_way = plan.size, UnderWay()
        try:
            while self._begin(plan, under_way):
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    answers = self._answers(task, under_way)
                    for step, answer in zip(under_way.pop(task), answers, strict=False):
                        plan.take(step, answer)
                if plan.size != reported:
                    self._report(plan, reported)
                    reported = plan.size
        except asyncio.CancelledError:
            for task in under_way:
                task.cancel()
            raise
        finally:
            if under_way:
                self.nodes.pool.stop(self.nodes.job)
                await asyncio.gather(*under_way, return_exceptions=True)

    def _begin(self, plan: Plan, under_way: UnderWay) -> bool:
        """Start the steps that are ready, in the plan's order; return whether any is running."""
        if self.nodes.stopping():
            raise TaskStoppedError
        begun = {_key(step) for group in under_way.values() for step in group}
        fresh = (step for step in plan.ready() if _key(step) not in begun)
        for group in self._next(list(fresh), [*under_way.values()]):
            under_way[asyncio.create_task(self.nodes.do(group))] = group
        return bool(under_way)

    def _next(self, fresh: list[Step], under_way: list[Group]) -> list[Group]:
        """Return the steps to start now; helpers, if there are any, do all but painting."""
        workers, helpers = self.nodes.pool.size, self.nodes.pool.helpers
        if not helpers:
            return [*islice(self._groups(fresh), max(0, workers - len(under_way)))]
        painting = sum(_paints(group[0]) for group in under_way)
        paints = self._groups([step for step in fresh if _paints(step)])
        others = ((step,) for step in fresh if not _paints(step))
        return [
            *islice(others, max(0, helpers - (len(under_way) - painting))),
            *islice(paints, max(0, workers - painting)),
        ]

    def _groups(self, steps: list[Step]) -> Iterator[Group]:
        """Yield groups of steps that are carried out together, in their order.

        A batch that is not full takes as long as a full one, so batches are filled.
        """
        while steps:
            group = tuple(steps[:1])
            if self._is_for_batch(steps[0]):
                alike = islice(filter(self._is_for_batch, steps), self.batch)
                group = tuple({step.node.name: step for step in alike}.values())
            yield group
            steps = [step for step in steps if step not in group]

    def _is_for_batch(self, step: Step) -> TypeGuard[MakeStep]:
        match step:
            case MakeStep(node=KeyframeNode(rows=rows) as node):
                return rows > 1 and self.nodes.lacks(node)
        return False

    def _answers(self, task: asyncio.Task[list[float]], under_way: UnderWay) -> list[float]:
        """Return the answers to steps; empty if they were lost and other steps continue."""
        try:
            return task.result()
        except (WorkerDiedError, MemoryShortError) as loss:
            if len(under_way) == 1 or self.nodes.stopping():
                raise
            for step in under_way[task]:
                self.nodes.record(_lost(step, _reason(loss)))
            return []

    async def _plan(self, model: Model) -> Plan:
        nodes = self.nodes
        most = await asyncio.to_thread(most_keyframes, nodes.recipe)
        if nodes.stopping():  # meanwhile
            raise TaskStoppedError
        loaded = await nodes.load(model, most, self.batch)
        names = {name: getattr(loaded, name) for name in ("model", "interpolator", "upscaler")}
        # Large plans take a second, in which the server has to answer its clients.
        make = partial(
            Plan,
            nodes.recipe,
            batch=self.batch,
            vocabulary=model.card.vocabulary,
            weighted=model.card.prompt_weights,
            **names,
        )
        plan = await asyncio.to_thread(make)
        planned, known = await asyncio.to_thread(plan_event, plan, loaded), nodes.progress.plan
        if known is None or not is_part(planned, known):
            nodes.record(planned)
        nodes.store.hold(nodes.job, plan.names)
        return plan

    def _report(self, plan: Plan, reported: Size) -> None:
        """Report how a plan has grown, unless the log contains it already."""
        assert self.nodes.progress.plan
        self.nodes.store.hold(self.nodes.job, plan.names)
        if news := growth_event(plan, reported, self.nodes.progress.plan):
            self.nodes.record(news)


def _key(step: Step) -> tuple[str, object]:
    """Return a stable key of a step; a segment's node may change until it is drawn."""
    return ("", step.ends) if isinstance(step, MeasureStep) else (step.stage.name, step.index)


def _paints(step: Step) -> bool:
    """Return whether a step needs a worker that has the diffusion model."""
    return isinstance(step, MakeStep) and step.stage.paints


def _lost(step: Step, reason: Literal["worker", "memory"]) -> events.PieceLost:
    if isinstance(step, MeasureStep):
        return events.PieceLost(reason=reason)
    return events.PieceLost(reason=reason, stage=step.stage.name, index=step.index)


def _reason(loss: Exception) -> Literal["worker", "memory"]:
    return "memory" if isinstance(loss, MemoryShortError) else "worker"
