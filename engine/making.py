"""The making of a film: computing what the store lacks, node by node, through a worker.

It reports each step as an event. It knows neither the queue, nor clients, nor torch.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from engine import events, tasks
from engine.errors import (
    DeviceMemoryError,
    InternalError,
    MissingPictureError,
    StorageError,
    UnknownModelError,
    VisionFluxError,
    WorkerLostError,
)
from engine.events import AnyEvent
from engine.foreman import Foreman, TaskStoppedError, WorkerDiedError
from engine.graph import KeyframeNode, SegmentNode
from engine.journal import ObjectRow
from engine.models import Model
from engine.plan import Draw, Measure, Paint, Plan, Size, Step, most_keyframes
from engine.progress import GROWING, Progress
from engine.recipe import Recipe
from engine.store import Store

log = logging.getLogger(__name__)

MAX_LOSSES = 3  # workers that may die, or files that may rot, over one node before the job fails
SIZES = {
    "keyframes": "keyframes",
    "times": "keyframes",
    "segments": "segments",
    "segment_frames": "segments",
    "ends": "segments",
    "gaps": "gaps",
}
NOTHING = Size()
PNG, MP4, GIF = "image/png", "video/mp4", "image/gif"


class NodeLostError(Exception):
    """A finished node was damaged before it was used; it must be made again."""


@dataclass(frozen=True)
class Making:
    """One film in the making.

    Attributes:
        job: id that tasks and previews carry.
        progress: the job's state, kept up to date by ``record``.
        record: keeps an event in the job's log.
        stopping: returns the event by which a client has the job stop; None: it goes on.
        ways: to save memory, that were taken for it.
    """

    job: str
    recipe: Recipe
    progress: Progress
    record: Callable[[AnyEvent], None]
    stopping: Callable[[], AnyEvent | None]
    models: dict[str, Model]
    store: Store
    foreman: Foreman
    ways: set[str] = field(default_factory=set)

    async def finish(self) -> AnyEvent:
        """Make the film and return the event by which that ends; this is the job's edge."""
        losses = 0  # of the same node
        why: Literal["worker", "memory"] | None = None  # the last attempt ended
        while True:
            before, ways = self.finished_nodes(), len(self.ways)
            try:
                if why:
                    self.record(events.Interrupted(reason=why))
                return await self.film()
            except TaskStoppedError:
                return self.stopping() or events.Cancelled()
            except WorkerDiedError as death:
                if stop := self.stopping():
                    return stop
                losses = losses + 1 if self.finished_nodes() == before else 1
                if losses >= MAX_LOSSES:
                    problem = f"the worker ended {losses} times (code {death}) over the same task"
                    return events.Failed(error=WorkerLostError(problem).report())
                why = "worker"
            except NodeLostError as loss:
                why = None
                losses = losses + 1 if self.finished_nodes() == before else 1
                if losses >= MAX_LOSSES:
                    problem = f"the finished piece {loss} was damaged again and again"
                    remedy = "check the disk of the engine's data folder"
                    return events.Failed(error=StorageError(problem, remedy=remedy).report())
            except DeviceMemoryError as error:
                log.warning("Job %s ran out of memory.", self.job, exc_info=True)
                if len(self.ways) == ways or self.stopping():
                    return self.stopping() or events.Failed(error=error.report())
                why = "memory"  # the next attempt has a fresh worker, which begins more thriftily
            except VisionFluxError as error:
                log.warning("Job %s failed.", self.job, exc_info=True)
                return events.Failed(error=error.report())
            except Exception as error:
                log.exception("Job %s broke.", self.job)
                problem = f"{type(error).__name__} in the engine"
                return events.Failed(error=InternalError(problem).report())

    def finished_nodes(self) -> int:
        """Return how many keyframes and segments are done."""
        return sum(map(bool, self.progress.keyframes)) + sum(map(bool, self.progress.segments))

    async def film(self) -> events.Finished:
        """Make everything that is missing, then the film."""
        name = self.recipe.model
        if name not in self.models:  # offered when the job was submitted, no longer now
            raise UnknownModelError(name, list(self.models))
        attempt = self.progress.attempt + 1
        self.record(events.Started(attempt=attempt, device=self.foreman.device.name))
        plan = await self._plan(self.models[name])
        told = plan.size
        while step := next(plan.ready(), None):
            if self.stopping():
                raise TaskStoppedError
            plan.take(step, await self._do(step))
            if plan.size != told:
                self._tell(plan, told)
                told = plan.size
        return await self._assemble(plan)

    async def _do(self, step: Step) -> float:
        """Do what a plan asks for and return its answer."""
        match step:
            case Paint(index=index, node=node):
                return await self._keyframe(index, node)
            case Draw(index=index, node=node):
                await self._segment(index, node)
                return 0.0
            case Measure(first=first, second=second):
                return await self._measure(first, second)

    async def _plan(self, model: Model) -> Plan:
        self._hear(tasks.Loading(model=model.name, done=0, total=0))
        most = most_keyframes(self.recipe)
        load = tasks.Load(job=self.job, model=model, ways=len(self.ways), keyframes=most)
        loaded = await self.foreman.run(load, self._hear)
        assert isinstance(loaded, tasks.Loaded)
        plan = Plan(self.recipe, model=loaded.model, interpolator=loaded.interpolator)
        known = self.progress.plan
        if known is None or not _is_part(_planned(plan, loaded), known):
            self.record(_planned(plan, loaded))
        self.store.hold(self.job, plan.names)
        return plan

    def _tell(self, plan: Plan, told: Size) -> None:
        """Tell by what a plan has grown, unless that was told before an interruption."""
        known, more = self.progress.plan, _listed(plan, told)
        assert known
        starts = {name: getattr(told, SIZES[name]) for name in GROWING}
        news = {name: getattr(more, name) for name in GROWING}
        parts = {name: getattr(known, name)[start:] for name, start in starts.items()}
        self.store.hold(self.job, plan.names)
        if all(parts[name][: len(new)] == new for name, new in news.items()):
            return
        if any(parts.values()):  # other pictures than before the interruption
            whole = msgspec.structs.asdict(_listed(plan))
            self.record(msgspec.structs.replace(known, **whole))
        else:
            self.record(more)

    async def _keyframe(self, index: int, node: KeyframeNode) -> float:
        """Have a keyframe in the store; return 1 if it is blank, else 0."""
        found = await self.store.checked(node.name)
        row = found or await self._paint(index, node)
        blank = float("blank" in row.detail.split())
        if found and self.progress.keyframes[index]:
            return blank  # finished before an interruption of this very job
        self.record(
            events.KeyframeFinished(
                index=index,
                object=row.name,
                sha256=row.sha256,
                size=row.size,
                reused=found is not None,
                origin=row.origin,
                detail=row.detail,
            )
        )
        return blank

    async def _measure(self, first: str, second: str) -> float:
        task = tasks.Measure(
            job=self.job, first=await self._path(first), second=await self._path(second)
        )
        measured = await self.foreman.run(task)
        assert isinstance(measured, tasks.Measured)
        return measured.distance

    async def _paint(self, index: int, node: KeyframeNode) -> ObjectRow:
        def step(reply: tasks.Advanced) -> AnyEvent:
            return events.KeyframeStep(index=index, step=reply.done, steps=reply.total)

        self.record(events.KeyframeStarted(index=index))
        source, anchor = await self._picture(node.source), await self._picture(node.anchor)
        task = tasks.Paint(
            job=self.job,
            index=index,
            node=node,
            target=str(self.store.scratch(PNG)),
            source=source,
            anchor=anchor,
        )
        row, _ = await self._made(task, PNG, step)
        return row

    async def _segment(self, index: int, node: SegmentNode) -> None:
        found = await self.store.checked(node.name)
        if found and self.progress.segments[index]:
            return
        row = found or await self._draw(index, node)
        self.record(
            events.SegmentFinished(
                index=index,
                object=row.name,
                sha256=row.sha256,
                size=row.size,
                reused=found is not None,
                judgement=row.detail,
                origin=row.origin,
            )
        )

    async def _draw(self, index: int, node: SegmentNode) -> ObjectRow:
        def frame(reply: tasks.Advanced) -> AnyEvent:
            return events.SegmentFrame(index=index, frame=reply.done, frames=reply.total)

        self.record(events.SegmentStarted(index=index, frames=node.length))
        target = self.store.scratch(MP4)
        task = tasks.Draw(
            job=self.job,
            index=index,
            node=node,
            first=await self._path(node.first),
            second=await self._path(node.second),
            target=str(target),
        )
        row, _ = await self._made(task, MP4, frame)
        return row

    async def _assemble(self, plan: Plan) -> events.Finished:
        node = plan.film
        media_type = GIF if node.format == "gif" else MP4
        row, memory = await self.store.checked(node.name), 0
        if row is None:
            self.record(events.Assembling())
            target = self.store.scratch(media_type)
            task = tasks.Join(
                job=self.job,
                node=node,
                segments=tuple([await self._path(segment) for segment in node.segments]),
                target=str(target),
            )
            row, memory = await self._made(task, media_type)
        self.store.keep(row.name)
        shape = tasks.read_shape(row.detail)
        return events.Finished(
            object=row.name,
            sha256=row.sha256,
            size=row.size,
            media_type=row.media_type,
            frames=shape.frames,
            seconds=shape.seconds,
            width=shape.width,
            height=shape.height,
            interpolator=plan.segments[0].interpolator,
            memory=memory,
            scores=shape.scores,
        )

    async def _made(
        self,
        task: tasks.Paint | tasks.Draw | tasks.Join,
        media_type: str,
        advanced: Callable[[tasks.Advanced], AnyEvent] | None = None,
    ) -> tuple[ObjectRow, int]:
        """Have a task done, take what it made into the store, and tell the memory that it took."""
        target = Path(task.target)
        try:
            made = await self.foreman.run(task, lambda reply: self._hear(reply, advanced))
            assert isinstance(made, tasks.Made)
            about = (made.sha256, made.size, media_type, made.detail, self.foreman.device.name)
            row = ObjectRow(task.node.name, *about)
            await asyncio.to_thread(self.store.place, target, row)
        except BaseException:
            self.store.discard(target)  # what a stopped, failed or lost task left half-done
            raise
        self.store.index(row)
        return row, made.memory

    def _hear(
        self, reply: tasks.AnyReply, advanced: Callable[[tasks.Advanced], AnyEvent] | None = None
    ) -> None:
        """Record what the worker says in the middle of a task."""
        match reply:
            case tasks.Advanced() if advanced:
                self.record(advanced(reply))
            case tasks.Loading():
                self.record(_loading(reply))
            case tasks.Economized(way=way, exact=exact):
                self.ways.add(way)
                self.record(events.Economized(way=way, exact=exact))

    async def _picture(self, name: str) -> str:
        """Return the file of what a keyframe is painted over, or in the colours of; "" for none.

        Raises:
            MissingPictureError: it is a user's picture that is no longer here.
        """
        images = [scene.start_image for scene in self.recipe.scenes]
        if name in images:
            row = await self.store.checked(name)
            if row is None or row.sha256 != name:
                raise MissingPictureError(images.index(name))
        return await self._path(name) if name else ""

    async def _path(self, name: str) -> str:
        """Return the file of a node that is about to be used."""
        if await self.store.checked(name) is None:
            raise NodeLostError(name)
        return str(self.store.path(name))


def _planned(plan: Plan, loaded: tasks.Loaded) -> events.Planned:
    return events.Planned(
        **msgspec.structs.asdict(_listed(plan)),
        frames=plan.recipe.frames,
        model=loaded.model,
        interpolator=loaded.interpolator,
        notice=loaded.notice,
    )


def _listed(plan: Plan, since: Size = NOTHING) -> events.Grown:
    """Return what a plan holds beyond a size, as events tell it."""
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


def _is_part(plan: events.Planned, of: events.Planned) -> bool:
    """Tell whether a plan may become another one as it grows."""
    lists = ((getattr(plan, name), getattr(of, name)) for name in GROWING)
    facts = ("frames", "model", "interpolator", "notice")
    same = all(getattr(plan, name) == getattr(of, name) for name in facts)
    return same and all(whole[: len(part)] == part for part, whole in lists)


def _loading(reply: tasks.Loading) -> events.ModelLoading:
    percent = 100 * reply.done / reply.total if reply.total else 0.0
    return events.ModelLoading(
        model=reply.model,
        done_bytes=reply.done,
        total_bytes=reply.total,
        percent=round(percent, 1),
    )
