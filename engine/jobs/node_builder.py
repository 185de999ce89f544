"""Provides the nodes of a film: from the store, or made by a worker and then stored.

Each step is recorded as an event. It does not know the order of nodes, how a film recovers a lost
node, the queue or torch.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import MissingPictureError, StorageError, WorkerLostError
from engine.film import events
from engine.film.events import AnyEvent
from engine.film.graph import FilmNode
from engine.film.plan import MakeStep, MeasureStep, Plan, Step
from engine.film.progress import Progress
from engine.film.recipe import Recipe
from engine.film.stages import FILM, KEYFRAME, Node, Stage
from engine.models import Model
from engine.storage.journal import ObjectRecord
from engine.storage.object_store import ObjectStore
from engine.workers import messages
from engine.workers.pool import WorkerPool
from engine.workers.process import WorkerDiedError, WorkerProcess

MAX_LOSSES = 3  # of workers or damaged files, for one node, before the job fails
GIF = "image/gif"


class NodeLostError(Exception):
    """A finished node was damaged before it was used; it must be made again."""


@dataclass(frozen=True)
class NodeBuilder:
    """Provides the nodes of one film.

    Attributes:
        job: id of the job, for tasks and previews.
        progress: the job's state, which ``record`` updates.
        record: adds an event to the job's log.
        stopping: returns the event that stops the job; None if it continues.
        losses: how often each piece of work was lost.
    """

    job: str
    recipe: Recipe
    progress: Progress
    record: Callable[[AnyEvent], None]
    stopping: Callable[[], AnyEvent | None]
    store: ObjectStore
    pool: WorkerPool
    losses: Counter[str] = field(default_factory=Counter)

    async def load(self, model: Model, keyframes: int, batch: int) -> messages.Loaded:
        """Have the pool load a model, for at most ``keyframes`` keyframes, ``batch`` at once."""
        self._hear(messages.Loading(model=model.name, done=0, total=0))
        each = -(-keyframes // self.pool.size)
        with self._counting("model"):
            load = messages.Load(
                job=self.job,
                model=model,
                keyframes=each,
                batch=batch,
                upscale=self.recipe.enlargement,
            )
            return await self.pool.load(load, self._hear)

    def lacks(self, node: Node) -> bool:
        """Return whether a node is not in the store; its content is not checked."""
        return self.store.find(node.name) is None

    async def do(self, steps: Sequence[Step]) -> list[float]:
        """Carry out steps: several pieces of one stage, or a single step; return the answers."""
        match steps:
            case [MeasureStep(first=first, second=second)]:
                return [await self._measure(first, second)]
        return await self._pieces([step for step in steps if isinstance(step, MakeStep)])

    @contextmanager
    def _counting(self, *things: str) -> Iterator[None]:
        """Count how often the same work is lost.

        Raises:
            WorkerLostError: it was lost too often.
        """
        try:
            yield
        except WorkerDiedError as death:
            self.losses.update(things)
            times = max(self.losses[thing] for thing in things)
            if times >= MAX_LOSSES and not self.stopping():
                problem = f"the worker ended {times} times ({death}) during the same task"
                raise WorkerLostError(problem) from death
            raise

    async def _pieces(self, steps: Sequence[MakeStep]) -> list[float]:
        """Ensure that pieces are in the store; return 1 for each blank keyframe, else 0."""
        found = {step.index: await self.store.checked(step.node.name) for step in steps}
        missing = [step for step in steps if not found[step.index]]
        made = await self._make(missing) if missing else {}
        return [self._finish(step, found[step.index], made.get(step.index)) for step in steps]

    def _finish(
        self, step: MakeStep, found: ObjectRecord | None, made: ObjectRecord | None
    ) -> float:
        """Record that a piece is in the store; return 1 if it is a blank keyframe, else 0."""
        row = found or made
        assert row
        if not (found and self.progress.of(step.stage).names[step.index]):  # else recorded before
            event = events.PieceFinished(
                stage=step.stage.name,
                index=step.index,
                object=row.name,
                sha256=row.sha256,
                size=row.size,
                reused=found is not None,
                origin=row.origin,
                detail="" if step.stage is FILM else row.detail,
            )
            self.record(event)
        return float(step.stage is KEYFRAME and "blank" in events.remarks(row.detail))

    async def _measure(self, first: str, second: str) -> float:
        task = messages.Measure(
            job=self.job, first=await self._path(first), second=await self._path(second)
        )
        with self._counting(f"{first} {second}"):
            async with self.pool.borrowed() as worker:
                measured = await worker.run(task)
        assert isinstance(measured, messages.Measured)
        return measured.distance

    async def _make(self, steps: Sequence[MakeStep]) -> dict[int, ObjectRecord]:
        """Have a worker make pieces of one stage; return their records by index."""
        stage = steps[0].stage
        with self._counting(*(step.node.name for step in steps)):
            async with self.pool.borrowed(paints=stage.paints) as worker:
                for row, step in enumerate(steps):
                    self.record(events.PieceStarted(stage=stage.name, index=step.index, row=row))
                names = {name for step in steps for name in step.node.inputs}
                task = messages.Make(
                    job=self.job,
                    stage=stage.name,
                    pieces=tuple(map(self._piece, steps)),
                    inputs={name: await self._input(name) for name in sorted(names)},
                )
                made = await self._made(worker, task, steps)
                return {step.index: row for step, row in zip(steps, made, strict=True)}

    def _piece(self, step: MakeStep) -> messages.Piece:
        target = str(self.store.scratch(_media_type(step)))
        return messages.Piece(index=step.index, node=step.node, target=target)

    def finished(self, plan: Plan) -> events.Finished:
        """Return the event that ends the job, once all pieces of the film are finished.

        Raises:
            NodeLostError: the film was removed from the store meanwhile.
        """
        row = self.store.find(plan.film.name)
        if row is None:
            raise NodeLostError(plan.film.name)
        self.store.keep(row.name)
        shape = events.read_shape(row.detail)
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
            memory=self.pool.memory,
            scores=shape.scores,
        )

    async def _made(
        self, worker: WorkerProcess, task: messages.Make, steps: Sequence[MakeStep]
    ) -> list[ObjectRecord]:
        """Have a worker carry out a task, and store the files that it made."""
        targets, rows = [Path(target) for target in messages.targets(task)], []
        try:
            made = await worker.run(task, lambda reply: self._hear(reply, steps[0].stage))
            assert isinstance(made, messages.Made)
            for target, step, file in zip(targets, steps, made.files, strict=True):
                about = (file.sha256, file.size, _media_type(step), file.detail, worker.device.name)
                rows.append(ObjectRecord(step.node.name, *about))
                await asyncio.to_thread(self.store.place, target, rows[-1])
                self.store.index(rows[-1])
        finally:
            for target in targets:
                self.store.discard(target)  # incomplete if the task was stopped, failed or lost
        return rows

    def _hear(self, reply: messages.AnyReply, stage: Stage | None = None) -> None:
        """Record what a worker reports during a task."""
        match reply:
            case messages.Advanced(index=index, done=done, total=total) if stage:
                name = stage.name
                self.record(events.PieceAdvanced(stage=name, index=index, done=done, total=total))
            case messages.Loading():
                self.record(_loading(reply))
            case messages.Economized(way=way, exact=exact):
                self.record(events.Economized(way=way, exact=exact))

    async def _input(self, name: str) -> str:
        """Return the file of an input of a piece: a node, or a start image.

        Raises:
            MissingPictureError: it is a start image that is no longer in the store.
        """
        images = [scene.start_image for scene in self.recipe.scenes]
        if name in images:
            row = await self.store.checked(name)
            if row is None or row.sha256 != name:
                raise MissingPictureError(images.index(name))
        return await self._path(name)

    async def _path(self, name: str) -> str:
        """Return the file of a node, and check its content."""
        if await self.store.checked(name) is None:
            self.losses[f"file {name}"] += 1
            if self.losses[f"file {name}"] >= MAX_LOSSES:
                problem = f"the finished piece {name} was damaged {MAX_LOSSES} times"
                raise StorageError(problem, remedy="check the disk of the engine's data folder")
            raise NodeLostError(name)
        return str(self.store.path(name))


def _media_type(step: MakeStep) -> str:
    """Return the media type of a piece's file; that of a film follows from its recipe."""
    is_gif = isinstance(step.node, FilmNode) and step.node.format == "gif"
    return GIF if is_gif else step.stage.media_type


def _loading(reply: messages.Loading) -> events.ModelLoading:
    percent = 100 * reply.done / reply.total if reply.total else 0.0
    return events.ModelLoading(
        model=reply.model,
        done_bytes=reply.done,
        total_bytes=reply.total,
        percent=round(percent, 1),
    )
