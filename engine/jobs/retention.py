"""Keeps what waiting jobs will need from being evicted, as far as that is known.

It knows the queue and the store, not how a film is made. What a running job needs is held by
``engine.jobs.film_builder``.
"""

import asyncio
import logging
from collections.abc import Collection

from engine.errors import StorageError
from engine.film.events import Planned
from engine.film.plan import Plan
from engine.jobs.job import Job
from engine.storage.journal import Ended, Journal
from engine.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


class PinnedNodes:
    """What is known of the models' weights, and so of what waiting jobs will need.

    A model's weights are known once a film was planned with them since the engine started. Of what
    a plan may grow by nothing is known yet.
    """

    def __init__(self, queue: Collection[Job], store: ObjectStore) -> None:
        """Hold nothing yet.

        Args:
            queue: the jobs that wait, at any time.
            store: where finished nodes are.
        """
        self._queue, self._store = queue, store
        # By model: its identity, its interpolator's, and how many keyframes are painted at once.
        self._identities: dict[str, tuple[str, str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only

    def learn(self, model: str, planned: Planned) -> None:
        """Note the identity of a model's weights that a plan has; hold more if it is new."""
        known = planned.model, planned.interpolator, planned.batch
        if self._identities.get(model) != known:
            self._identities[model] = known
            task = asyncio.create_task(self._hold_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def hold(self, name: str) -> None:
        """Hold what a job will need, if it waits and its model's weights are known."""
        job = next((job for job in self._queue if job.id == name), None)
        known = self._identities.get(job.recipe.model) if job else None
        if job is None or known is None:
            return
        model, interpolator, batch = known
        names = {"model": model, "interpolator": interpolator}
        plan = await asyncio.to_thread(Plan, job.recipe, batch=batch, **names)
        if job in self._queue:
            try:
                self._store.hold(job.id, plan.names)
            except StorageError:  # the job itself reports it when its turn comes
                log.warning("What job %s needs cannot be noted.", job.id, exc_info=True)

    async def _hold_all(self) -> None:
        for job in tuple(self._queue):
            await self.hold(job.id)

    def close(self) -> None:
        """Stop what is under way."""
        for task in self._tasks:
            task.cancel()


# How long a job is remembered, and a film that no client fetches is protected.
KEPT_SECONDS = 30 * 86_400.0
MIN_JOBS, MAX_JOBS = 200, 1_000  # that are kept whatever their age, and at most


def prune(journal: Journal, now: float) -> set[str]:
    """Forget jobs that nobody will ask for; return the films that are no longer protected.

    Args:
        journal: of the engine.
        now: Unix time, seconds.

    Raises:
        StorageError: the journal cannot be written.
    """
    ended = journal.ended()  # newest first
    journal.forget_jobs(job.id for n, job in enumerate(ended) if _is_past(job, n, now))
    awaited = {job.film for job in ended[:MAX_JOBS] if not _is_old(job, now)}
    gone = {job.film for job in ended}
    released = (journal.kept() & gone) - awaited
    for film in released:
        journal.unkeep(film)
    return released


def _is_old(job: Ended, now: float) -> bool:
    return job.at < now - KEPT_SECONDS


def _is_past(job: Ended, place: int, now: float) -> bool:
    return place >= MAX_JOBS or (place >= MIN_JOBS and _is_old(job, now))
