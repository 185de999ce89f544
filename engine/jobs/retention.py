"""Keeps the nodes that waiting jobs will need in the store, as far as they are known.

It knows the queue and the store, not how a film is made. ``engine.jobs.film_builder`` holds the
nodes of the running job.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from engine.errors import StorageError
from engine.film.events import Planned
from engine.film.plan import Plan
from engine.jobs.job import Job
from engine.storage.journal import Ended, Journal
from engine.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


IDENTITIES = ("model", "interpolator", "upscaler", "batch")  # of a plan, which names depend on


class PinnedNodes:
    """The nodes that waiting jobs will need.

    They are known once a film was planned with the same model since the engine started, because
    their names depend on its weights. Keyframes that a plan adds later are not known.
    """

    def __init__(self, queue: Collection[Job], store: ObjectStore) -> None:
        """Prepare it; nothing is held yet.

        Args:
            queue: returns the waiting jobs.
            store: of finished nodes.
        """
        self._queue, self._store = queue, store
        # Of the newest plan with each model, as ``Plan`` takes them.
        self._identities: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only

    def learn(self, model: str, planned: Planned) -> None:
        """Store the identities of a plan; if they are new, hold the nodes of waiting jobs."""
        known = {name: getattr(planned, name) for name in IDENTITIES}
        if self._identities.get(model) != known:
            self._identities[model] = known
            task = asyncio.create_task(self._hold_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def hold(self, name: str) -> None:
        """Hold the nodes of a job if it waits and its model's identity is known."""
        job = next((job for job in self._queue if job.id == name), None)
        known = self._identities.get(job.recipe.model) if job else None
        if job is None or known is None:
            return
        plan = await asyncio.to_thread(Plan, job.recipe, **known)
        if job in self._queue:
            try:
                self._store.hold(job.id, plan.names)
            except StorageError:  # the job itself reports it when its turn comes
                log.warning("The nodes that job %s needs cannot be held.", job.id, exc_info=True)

    async def _hold_all(self) -> None:
        for job in tuple(self._queue):
            await self.hold(job.id)

    def close(self) -> None:
        """Cancel all tasks."""
        for task in self._tasks:
            task.cancel()


# How long a job is remembered, and a film that no client fetches is protected.
KEPT_SECONDS = 30 * 86_400.0
MIN_JOBS, MAX_JOBS = 200, 1_000  # that are kept whatever their age, and at most


def prune(journal: Journal, now: float) -> set[str]:
    """Delete old jobs; return the films that are no longer protected.

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
