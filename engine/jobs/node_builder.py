"""One node of a film at a time: found in the store, or made by a worker and put there.

Each step of that is told as an event. It knows neither the order of nodes, nor what becomes of a
film that has lost one, nor the queue, nor torch.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import MissingPictureError, StorageError, WorkerLostError
from engine.film import events
from engine.film.events import AnyEvent
from engine.film.graph import FilmNode, KeyframeNode, SegmentNode
from engine.film.plan import DrawStep, MeasureStep, PaintStep, Plan, Step
from engine.film.progress import Progress
from engine.film.recipe import Recipe
from engine.models import Model
from engine.storage.journal import ObjectRecord
from engine.storage.object_store import ObjectStore
from engine.workers import messages as tasks
from engine.workers.pool import WorkerPool
from engine.workers.process import WorkerDiedError, WorkerProcess

MAX_LOSSES = 3  # workers that may die, or files that may rot, over one node before the job fails
PNG, MP4, GIF = "image/png", "video/mp4", "image/gif"


class NodeLostError(Exception):
    """A finished node was damaged before it was used; it must be made again."""


@dataclass(frozen=True)
class NodeBuilder:
    """The nodes of one film in the making.

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
    store: ObjectStore
    crew: WorkerPool
    losses: Counter[str] = field(default_factory=Counter)

    async def load(self, model: Model, keyframes: int, batch: int) -> tasks.Loaded:
        """Have the crew load a model, to paint so many keyframes at most, ``batch`` at once."""
        self._hear(tasks.Loading(model=model.name, done=0, total=0))
        each = -(-keyframes // self.crew.size)
        with self._counting("model"):
            return await self.crew.load(
                tasks.Load(job=self.job, model=model, keyframes=each, batch=batch), self._hear
            )

    def lacks(self, node: KeyframeNode) -> bool:
        """Tell whether a keyframe is not in the store; its content is not looked at."""
        return self.store.find(node.name) is None

    async def do(self, steps: Sequence[Step]) -> list[float]:
        """Do what a plan asks for, keyframes at once or else one thing; return the answers."""
        match steps:
            case [DrawStep(index=index, node=node)]:
                await self._segment(index, node)
                return [0.0]
            case [MeasureStep(first=first, second=second)]:
                return [await self._measure(first, second)]
        return await self._keyframes([step for step in steps if isinstance(step, PaintStep)])

    @contextmanager
    def _counting(self, *things: str) -> Iterator[None]:
        """Count what is lost over the same thing.

        Raises:
            WorkerLostError: that has happened too often.
        """
        try:
            yield
        except WorkerDiedError as death:
            self.losses.update(things)
            times = max(self.losses[thing] for thing in things)
            if times >= MAX_LOSSES and not self.stopping():
                problem = f"the worker ended {times} times ({death}) over the same task"
                raise WorkerLostError(problem) from death
            raise

    async def _keyframes(self, steps: Sequence[PaintStep]) -> list[float]:
        """Have keyframes in the store; return 1 for each that is blank, else 0."""
        found = {step.index: await self.store.checked(step.node.name) for step in steps}
        missing = [step for step in steps if not found[step.index]]
        made = await self._paint(missing) if missing else {}
        return [
            self._keyframe(index, row or made[index], reused=row is not None)
            for index, row in found.items()
        ]

    def _keyframe(self, index: int, row: ObjectRecord, *, reused: bool) -> float:
        """Tell of a keyframe that is in the store; return 1 if it is blank, else 0."""
        if not (reused and self.progress.keyframes[index]):  # else before an interruption
            about = _about(index, row, reused=reused)
            self.record(events.KeyframeFinished(**about, detail=row.detail))
        return float("blank" in events.remarks(row.detail))

    async def _measure(self, first: str, second: str) -> float:
        task = tasks.Measure(
            job=self.job, first=await self._path(first), second=await self._path(second)
        )
        with self._counting(f"{first} {second}"):
            async with self.crew.borrowed() as worker:
                measured = await worker.run(task)
        assert isinstance(measured, tasks.Measured)
        return measured.distance

    async def _paint(self, steps: Sequence[PaintStep]) -> dict[int, ObjectRecord]:
        def advanced(reply: tasks.Advanced) -> AnyEvent:
            return events.KeyframeStep(index=reply.index, step=reply.done, steps=reply.total)

        first = steps[0].node
        with self._counting(*(step.node.name for step in steps)):
            async with self.crew.borrowed(paints=True) as worker:
                for row, step in enumerate(steps):
                    self.record(events.KeyframeStarted(index=step.index, row=row))
                task = tasks.Paint(
                    job=self.job,
                    source=await self._picture(first.source),
                    anchor=await self._picture(first.anchor),
                    subject=await self._picture(first.subject or ""),
                    keyframes=tuple(map(self._canvas, steps)),
                )
                names = [step.node.name for step in steps]
                made = await self._made(worker, task, names, PNG, advanced)
                return {step.index: row for step, row in zip(steps, made, strict=True)}

    def _canvas(self, step: PaintStep) -> tasks.Keyframe:
        return tasks.Keyframe(index=step.index, node=step.node, target=str(self.store.scratch(PNG)))

    async def _segment(self, index: int, node: SegmentNode) -> None:
        found = await self.store.checked(node.name)
        if found and self.progress.segments[index]:
            return
        row = found or await self._draw(index, node)
        about = _about(index, row, reused=found is not None)
        self.record(events.SegmentFinished(**about, judgement=row.detail))

    async def _draw(self, index: int, node: SegmentNode) -> ObjectRecord:
        def frame(reply: tasks.Advanced) -> AnyEvent:
            return events.SegmentFrame(index=reply.index, frame=reply.done, frames=reply.total)

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
                [row] = await self._made(worker, task, [node.name], MP4, frame)
                return row

    async def assemble(self, plan: Plan) -> events.Finished:
        """Have the film in the store, once all of its segments are, and return how that ends."""
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

    async def _join(self, node: FilmNode) -> ObjectRecord:
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
                [row] = await self._made(worker, task, [node.name], media_type)
                return row

    async def _made(
        self,
        worker: WorkerProcess,
        task: tasks.Paint | tasks.Draw | tasks.Join,
        names: Sequence[str],
        media_type: str,
        advanced: Callable[[tasks.Advanced], AnyEvent] | None = None,
    ) -> list[ObjectRecord]:
        """Have a task done and take what it made into the store, under ``names``."""
        targets, rows = [Path(target) for target in tasks.targets(task)], []
        try:
            made = await worker.run(task, lambda reply: self._hear(reply, advanced))
            assert isinstance(made, tasks.Made)
            for target, name, file in zip(targets, names, made.files, strict=True):
                about = (file.sha256, file.size, media_type, file.detail, worker.device.name)
                rows.append(ObjectRecord(name, *about))
                await asyncio.to_thread(self.store.place, target, rows[-1])
                self.store.index(rows[-1])
        finally:
            for target in targets:
                self.store.discard(target)  # what a stopped, failed or lost task left half-done
        return rows

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
        """Return the file of a picture that a keyframe is made of; "" for none.

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


def _about(index: int, row: ObjectRecord, *, reused: bool) -> dict[str, Any]:
    """Return what the end of a keyframe and that of a segment tell alike."""
    about = {"object": row.name, "sha256": row.sha256, "size": row.size, "origin": row.origin}
    return {"index": index, "reused": reused, **about}


def _loading(reply: tasks.Loading) -> events.ModelLoading:
    percent = 100 * reply.done / reply.total if reply.total else 0.0
    return events.ModelLoading(
        model=reply.model,
        done_bytes=reply.done,
        total_bytes=reply.total,
        percent=round(percent, 1),
    )
