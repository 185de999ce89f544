"""The queue of jobs, their logs and their watchers.

Every step becomes a numbered event, which is stored before any watcher receives it.
``engine.jobs.film_builder`` makes the films; ``engine.server.server`` has the sockets.
"""

import asyncio
import logging
import time
from collections import deque

from engine.errors import (
    JobConflictError,
    LimitError,
    MissingPictureError,
    StorageError,
    UnknownJobError,
    UnknownModelError,
)
from engine.film import events
from engine.film.events import AnyEvent
from engine.film.preview_budget import SETTINGS, PreviewQuality
from engine.film.recipe import Recipe
from engine.jobs.film_builder import FilmBuilder
from engine.jobs.job import Job
from engine.jobs.node_builder import NodeBuilder
from engine.jobs.retention import PinnedNodes, prune
from engine.models import Model
from engine.storage.journal import JobRecord, Journal
from engine.storage.object_store import ObjectStore
from engine.wire.messages import codec, limits, responses
from engine.workers.pool import WorkerPool

log = logging.getLogger(__name__)

RETRY_DELAY = 5.0  # seconds until a job that could not be recorded is tried again


class JobQueue:
    """All jobs of an engine; one film is made at a time."""

    def __init__(
        self,
        journal: Journal,
        store: ObjectStore,
        models: dict[str, Model],
        pool: WorkerPool,
        batch: int = 1,
    ) -> None:
        self._journal, self._store, self._models = journal, store, models
        self._batch = batch  # keyframes that are painted at once
        self._jobs: dict[str, Job] = {}
        self._queue: deque[Job] = deque()
        self._arrived = asyncio.Event()
        self._running: Job | None = None
        self.holding = PinnedNodes(self._queue, store)
        self.pool = pool

    @property
    def waiting(self) -> int:
        """Number of waiting jobs."""
        return len(self._queue)

    def restore(self) -> None:
        """Queue the jobs that an earlier process of this engine did not finish."""
        self._prune()
        for row in self._journal.unfinished():
            job = self._remember(row)
            if planned := job.progress.plan:
                self._store.hold(job.id, (*planned.keyframes, *planned.segments))
            if job.progress.status == "running":
                self._record(job, events.Interrupted(reason="engine"))
            if job.progress.status != "paused":
                self._enqueue(job)

    def _prune(self) -> None:
        try:
            self._store.unkeep(prune(self._journal, time.time()))
        except StorageError:  # it can be done later
            log.warning("Objects that are no longer needed cannot be removed.", exc_info=True)

    def submit(self, job: str, recipe: Recipe, client: object = None) -> bool:
        """Queue a job; return False if it was submitted before.

        Args:
            job: its id.
            recipe: of the film.
            client: that submits it; the number of waiting jobs of each client is limited.

        Raises:
            JobConflictError: the id has another recipe.
            UnknownModelError: the recipe names a model that is not offered.
            InvalidParameterError: the model does not support a setting.
            MissingPictureError: a scene's start image was not uploaded.
            LimitError: too many jobs wait, in total or of this client.
        """
        known = self._journal.job(job)
        if known:
            if known.recipe != recipe:
                raise JobConflictError(job)
            return False
        if recipe.model not in self._models:
            raise UnknownModelError(recipe.model, list(self._models))
        self._models[recipe.model].check(recipe)
        self._check_pictures(recipe)
        self._check_queue(client)
        queued = events.Queued(position=self._ahead())
        fresh = self._remember(self._journal.add_job(job, recipe, queued))
        fresh.client = client
        if recipe.start_images:
            self._store.hold(job, recipe.start_images)
        self._append(fresh)
        return True

    def _check_pictures(self, recipe: Recipe) -> None:
        for name in recipe.start_images:
            row = self._store.find(name)
            if row is None or row.sha256 != name:
                starts = [scene.start_image for scene in recipe.scenes]
                raise MissingPictureError(starts.index(name))

    def _check_queue(self, client: object) -> None:
        allowed, remedy = limits.LIMITS, "cancel one, or try again later"
        if len(self._queue) >= allowed.queued_jobs:
            raise LimitError(f"{allowed.queued_jobs} jobs wait already", remedy=remedy)
        mine = sum(job.client is client for job in self._queue)
        if mine >= allowed.client_jobs:
            raise LimitError(f"{mine} jobs of this connection wait already", remedy=remedy)

    def get(self, job: str) -> Job:
        """Return a job, from the journal if it is not in memory.

        Raises:
            UnknownJobError: there is no job with this id.
        """
        if job in self._jobs:
            return self._jobs[job]
        row = self._journal.job(job)
        if row is None:
            raise UnknownJobError(job)
        return self._remember(row)

    def release(self, job: Job) -> None:
        """Remove a job from memory if it has ended and has no watchers."""
        if job.progress.final and not job.watchers:
            self._jobs.pop(job.id, None)

    def want(self, job: Job, who: object, setting: PreviewQuality | None) -> None:
        """Store how to make the next preview of a job for a watcher; None if it wants none."""
        if setting:
            job.wants[who] = SETTINGS.index(setting)
        else:
            job.wants.pop(who, None)
        if job is self._running:
            self._ask_for_preview()

    def _ask_for_preview(self) -> None:
        """Request the best preview that a watcher of the running job can receive."""
        wants = self._running.wants.values() if self._running else ()
        self.pool.credit(SETTINGS[min(wants)] if wants else None)

    def cancel(self, job: Job) -> None:
        """Cancel a job, unless it has ended."""
        if not job.progress.final:
            self._stop(job, events.Cancelled())
        self.release(job)

    def pause(self, job: Job) -> None:
        """Pause a job until it is resumed, unless it is paused or has ended.

        Raises:
            LimitError: too many jobs are paused already.
        """
        if job.progress.final or job.progress.status == "paused":
            return
        paused = sum(other.progress.status == "paused" for other in self._jobs.values())
        if paused >= limits.LIMITS.queued_jobs:
            raise LimitError(f"{paused} jobs are paused already", remedy="resume or cancel one")
        self._stop(job, events.Paused())

    def resume(self, job: Job) -> None:
        """Queue a job if it is paused."""
        if isinstance(job.stop, events.Paused):
            job.stop = events.Queued(position=len(self._queue))  # once it has stopped
        elif job.progress.status == "paused":
            self._enqueue(job)

    def _stop(self, job: Job, event: AnyEvent) -> None:
        """Stop the running job with an event; record the event at once for any other job."""
        if job is self._running:
            if not isinstance(job.stop, events.Cancelled):  # which is final
                job.stop = event
            self.pool.stop(job.id)
            return
        self._record(job, event)
        if job in self._queue:
            self._queue.remove(job)
            self._number_queue()

    def summaries(self) -> tuple[responses.JobSummary, ...]:
        """Return the newest 200 jobs."""
        return tuple(
            responses.JobSummary(
                job=row.id,
                status=self._status(row),
                created_at=row.created_at,
                prompt=row.recipe.scenes[0].prompt[:200],
            )
            for row in self._journal.jobs(200)
        )

    def _status(self, row: JobRecord) -> str:
        if row.id in self._jobs:
            return self._jobs[row.id].progress.status
        last = self._journal.last_event(row.id)
        return type(last).__name__.lower() if row.ended and last else "queued"

    async def work(self) -> None:
        """Make films, oldest job first; never return."""
        await self.pool.start()  # a worker that cannot be started fails the jobs that need it
        try:
            await self._work()
        finally:
            self.holding.close()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            self._running = job = self._queue.popleft()
            self._ask_for_preview()
            try:
                self._number_queue()
                self._end(job, await self._make(job))
            except Exception:  # the journal itself failed
                log.exception(
                    "The events of job %s cannot be recorded; the job is tried again.", job.id
                )
                self._queue.appendleft(job)
                await asyncio.sleep(RETRY_DELAY)
            finally:
                self._running = None
                self._ask_for_preview()
                self.release(job)

    def _end(self, job: Job, event: AnyEvent) -> None:
        """Record the event that ended a job; queue the job again if it was resumed meanwhile."""
        self._record(job, event)
        self._prune()
        job.stop = None
        if isinstance(event, events.Queued):
            self._append(job)

    async def _make(self, job: Job) -> AnyEvent:
        nodes = NodeBuilder(
            job=job.id,
            recipe=job.recipe,
            progress=job.progress,
            record=lambda event: self._record(job, event),
            stopping=lambda: job.stop,
            store=self._store,
            pool=self.pool,
        )
        return await FilmBuilder(nodes, self._models, self._batch).finish()

    def _record(self, job: Job, event: AnyEvent) -> None:
        final = isinstance(event, events.FINAL)
        seq = job.progress.seq + 1
        job.add(self._journal.append(job.id, seq, event, final=final))
        if final:
            self._store.release(job.id)
        if isinstance(event, events.Planned):
            self.holding.learn(job.recipe.model, event)

    def _remember(self, row: JobRecord) -> Job:
        job = self._jobs[row.id] = Job(row, self._journal.events(row.id))
        return job

    def _enqueue(self, job: Job) -> None:
        self._record(job, events.Queued(position=self._ahead()))
        self._append(job)

    def _append(self, job: Job) -> None:
        self._queue.append(job)
        self._arrived.set()

    def _ahead(self) -> int:
        return len(self._queue) + (self._running is not None)

    def _number_queue(self) -> None:
        """Record the new positions of the waiting jobs."""
        for place, job in enumerate(self._queue, self._running is not None):
            if job.progress.position != place:
                self._record(job, events.Queued(position=place))

    def show(self, preview: bytes) -> None:
        """Send the newest preview to the watchers of the running job."""
        picture = codec.decode_answer(preview)
        assert isinstance(picture, responses.Preview)
        if self._running and self._running.id == picture.job:
            self._running.show(preview, (picture.kind, picture.step))
            self._ask_for_preview()  # not of another worker, unless somebody has room for more
