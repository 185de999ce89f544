"""The making of a film: computing what the store lacks, node by node, through a crew of workers.

It reports each step as an event. It knows neither the queue, nor clients, nor torch.
"""

import asyncio
import itertools
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine import events, growth, tasks
from engine.crew import Crew, MemoryShortError
from engine.errors import (
    InternalError,
    MissingPictureError,
    StorageError,
    UnknownModelError,
    VisionFluxError,
    WorkerLostError,
)
from engine.events import AnyEvent
from engine.foreman import Foreman, TaskStoppedError, WorkerDiedError
from engine.graph import FilmNode, KeyframeNode, SegmentNode
from engine.journal import ObjectRow
from engine.models import Model
from engine.plan import Plan, most_keyframes
from engine.progress import Progress
from engine.protocol.answers import label
from engine.recipe import Recipe
from engine.steps import Draw, Measure, Paint, Size, Step
from engine.store import Store

log = logging.getLogger(__name__)

MAX_LOSSES = 3  # workers that may die, or files that may rot, over one node before the job fails
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
        losses: how often work on something was lost.
    """

    job: str
    recipe: Recipe
    progress: Progress
    record: Callable[[AnyEvent], None]
    stopping: Callable[[], AnyEvent | None]
    models: dict[str, Model]
    store: Store
    crew: Crew
    losses: Counter[str] = field(default_factory=Counter)

    async def finish(self) -> AnyEvent:
        """Make the film and return the event by which that ends; this is the job's edge."""
        why: Literal["worker", "memory"] | None = None  # the last attempt ended
        while True:
            try:
                if why:
                    self.record(events.Interrupted(reason=why))
                return await self.film()
            except TaskStoppedError:
                return self.stopping() or events.Cancelled()
            except (WorkerDiedError, MemoryShortError) as loss:
                if stop := self.stopping():
                    return stop
                why = _reason(loss)
            except NodeLostError:
                why = None
            except WorkerLostError as error:  # where that was is in the worker's log, not here
                log.warning("Job %s failed: %s", self.job, error)
                return self.stopping() or events.Failed(error=error.report())
            except VisionFluxError as error:
                log.warning("Job %s failed.", self.job, exc_info=True)
                return self.stopping() or events.Failed(error=error.report())
            except Exception as error:
                log.exception("Job %s broke.", self.job)
                problem = f"{type(error).__name__} in the engine"
                return events.Failed(error=InternalError(problem).report())

    async def film(self) -> events.Finished:
        """Make everything that is missing, then the film."""
        name = self.recipe.model
        if name not in self.models:  # offered when the job was submitted, no longer now
            raise UnknownModelError(name, list(self.models))
        attempt = self.progress.attempt + 1
        self.record(events.Started(attempt=attempt, device=label(self.crew.devices)))
        plan = await self._plan(self.models[name])
        await self._make_all(plan)
        return await self._assemble(plan)

    async def _make_all(self, plan: Plan) -> None:
        """Do what a plan asks for, as much at once as there are workers, until it has all."""
        told, under_way = plan.size, dict[asyncio.Task[float], Step]()
        try:
            while self._begin(plan, under_way):
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    step, answer = under_way[task], self._answer(task, under_way)
                    del under_way[task]
                    if answer is not None:
                        plan.take(step, answer)
                if plan.size != told:
                    self._tell(plan, told)
                    told = plan.size
        except asyncio.CancelledError:
            for task in under_way:
                task.cancel()
            raise
        finally:
            if under_way:
                self.crew.stop(self.job)
                await asyncio.gather(*under_way, return_exceptions=True)

    def _begin(self, plan: Plan, under_way: dict[asyncio.Task[float], Step]) -> bool:
        """Begin what is ready, the first things first; return whether anything is under way."""
        if self.stopping():
            raise TaskStoppedError
        begun = {_key(step) for step in under_way.values()}
        fresh = (step for step in plan.ready() if _key(step) not in begun)
        for step in itertools.islice(fresh, self.crew.size - len(under_way)):
            under_way[asyncio.create_task(self._do(step))] = step
        return bool(under_way)

    def _answer(
        self, task: asyncio.Task[float], under_way: dict[asyncio.Task[float], Step]
    ) -> float | None:
        """Return the answer of a step; None if it was lost and others go on meanwhile."""
        try:
            return task.result()
        except (WorkerDiedError, MemoryShortError) as loss:
            if len(under_way) == 1 or self.stopping():
                raise
            match under_way[task]:
                case Paint(index=index):
                    lost = {"keyframe": index}
                case Draw(index=index):
                    lost = {"segment": index}
                case _:
                    lost = {}
            self.record(events.Interrupted(reason=_reason(loss), goes_on=True, **lost))
            return None

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

    @contextmanager
    def _counting(self, what: str) -> Iterator[None]:
        """Count what is lost over the same thing.

        Raises:
            WorkerLostError: that has happened too often.
        """
        try:
            yield
        except WorkerDiedError as death:
            self.losses[what] += 1
            if (times := self.losses[what]) >= MAX_LOSSES and not self.stopping():
                problem = f"the worker ended {times} times ({death}) over the same task"
                raise WorkerLostError(problem) from death
            raise

    async def _plan(self, model: Model) -> Plan:
        self._hear(tasks.Loading(model=model.name, done=0, total=0))
        each = math.ceil(most_keyframes(self.recipe) / self.crew.size)
        load = tasks.Load(job=self.job, model=model, keyframes=each)
        with self._counting("model"):
            loaded = await self.crew.load(load, self._hear)
        plan = Plan(self.recipe, model=loaded.model, interpolator=loaded.interpolator)
        planned, known = growth.planned(plan, loaded), self.progress.plan
        if known is None or not growth.is_part(planned, known):
            self.record(planned)
        self.store.hold(self.job, plan.names)
        return plan

    def _tell(self, plan: Plan, told: Size) -> None:
        """Tell by what a plan has grown, unless that was told before an interruption."""
        assert self.progress.plan
        self.store.hold(self.job, plan.names)
        if news := growth.news(plan, told, self.progress.plan):
            self.record(news)

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
        with self._counting(f"{first} {second}"):
            async with self.crew.borrowed() as worker:
                measured = await worker.run(task)
        assert isinstance(measured, tasks.Measured)
        return measured.distance

    async def _paint(self, index: int, node: KeyframeNode) -> ObjectRow:
        def step(reply: tasks.Advanced) -> AnyEvent:
            return events.KeyframeStep(index=index, step=reply.done, steps=reply.total)

        with self._counting(node.name):
            async with self.crew.borrowed() as worker:
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
                return await self._made(worker, task, PNG, step)

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

        with self._counting(node.name):
            async with self.crew.borrowed() as worker:
                self.record(events.SegmentStarted(index=index, frames=node.length))
                task = tasks.Draw(
                    job=self.job,
                    index=index,
                    node=node,
                    first=await self._path(node.first),
                    second=await self._path(node.second),
                    target=str(self.store.scratch(MP4)),
                )
                return await self._made(worker, task, MP4, frame)

    async def _assemble(self, plan: Plan) -> events.Finished:
        node = plan.film
        row = await self.store.checked(node.name) or await self._join(node)
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
            memory=self.crew.memory,
            scores=shape.scores,
        )

    async def _join(self, node: FilmNode) -> ObjectRow:
        self.record(events.Assembling())
        media_type = GIF if node.format == "gif" else MP4
        with self._counting(node.name):
            async with self.crew.borrowed() as worker:
                task = tasks.Join(
                    job=self.job,
                    node=node,
                    segments=tuple([await self._path(segment) for segment in node.segments]),
                    target=str(self.store.scratch(media_type)),
                )
                return await self._made(worker, task, media_type)

    async def _made(
        self,
        worker: Foreman,
        task: tasks.Paint | tasks.Draw | tasks.Join,
        media_type: str,
        advanced: Callable[[tasks.Advanced], AnyEvent] | None = None,
    ) -> ObjectRow:
        """Have a task done and take what it made into the store."""
        target = Path(task.target)
        try:
            made = await worker.run(task, lambda reply: self._hear(reply, advanced))
            assert isinstance(made, tasks.Made)
            about = (made.sha256, made.size, media_type, made.detail, worker.device.name)
            row = ObjectRow(task.node.name, *about)
            await asyncio.to_thread(self.store.place, target, row)
        except BaseException:
            self.store.discard(target)  # what a stopped, failed or lost task left half-done
            raise
        self.store.index(row)
        return row

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
            self.losses[f"file {name}"] += 1
            if self.losses[f"file {name}"] >= MAX_LOSSES:
                problem = f"the finished piece {name} was damaged again and again"
                raise StorageError(problem, remedy="check the disk of the engine's data folder")
            raise NodeLostError(name)
        return str(self.store.path(name))


def _key(step: Step) -> tuple[str, object]:
    """Return by what a step is known again; a segment's node may change until it is drawn."""
    return type(step).__name__, step.ends if isinstance(step, Measure) else step.index


def _reason(loss: Exception) -> Literal["worker", "memory"]:
    return "memory" if isinstance(loss, MemoryShortError) else "worker"


def _loading(reply: tasks.Loading) -> events.ModelLoading:
    percent = 100 * reply.done / reply.total if reply.total else 0.0
    return events.ModelLoading(
        model=reply.model,
        done_bytes=reply.done,
        total_bytes=reply.total,
        percent=round(percent, 1),
    )
