"""Submits films to one engine, each under one id even if it is submitted repeatedly.

It runs in the hub's loop. It knows a connection and the stores, not how jobs are followed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from engine.errors import TransportError, VisionFluxError
from engine.film.recipe import Recipe
from engine.wire.client import Connection
from ui.storage.job_views import JobView
from ui.storage.storage import Storage

log = logging.getLogger(__name__)


class Submissions:
    """Submits films to one engine."""

    def __init__(
        self,
        connection: Connection,
        storage: Storage,
        engine: Callable[[], str],
        watch: Callable[[str], Awaitable[None]],
        resume: Callable[[], None],
    ) -> None:
        """Prepare the submissions.

        Args:
            connection: to the engine.
            storage: where jobs are stored.
            engine: returns the engine's id.
            watch: follows a job that the engine has accepted.
            resume: submits again the stored jobs that no engine has accepted.
        """
        self._connection = connection
        self._storage = storage
        self._engine = engine
        self._watch = watch
        self._resume = resume
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.under_way: set[str] = set()  # jobs that a new connection does not submit

    async def close(self) -> None:
        """Cancel the submissions; the next connection repeats them."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, job: str, recipe: Recipe) -> None:
        """Store a job, submit it and follow it; a second call for the same job joins the first.

        A lost connection is not an error: the job is submitted again later. Cancelling a caller
        does not cancel the submission.

        Raises:
            VisionFluxError: the engine rejected the recipe.
        """
        if job not in self._tasks:
            task = self._tasks[job] = asyncio.create_task(self._submit(job, recipe))
            task.add_done_callback(lambda _: self._tasks.pop(job))
        await asyncio.shield(self._tasks[job])

    async def upload_start_images(
        self, recipe: Recipe, on_bytes: Callable[[int, int], None]
    ) -> None:
        """Upload the start images that the engine lacks; a lost connection is retried later.

        Args:
            recipe: of the film.
            on_bytes: called with the bytes sent and the bytes to send.

        Raises:
            VisionFluxError: the engine rejected an image.
        """
        try:
            await self._storage.start_images.upload(self._connection, recipe, on_bytes)
        except TransportError as error:
            log.warning("the upload of start images will be retried: %s", error)

    async def adopt(self, old: str, job: str, recipe: Recipe, *, ended: bool = False) -> bool:
        """Submit another job's film as ``job``; return False if the film has changed meanwhile.

        Args:
            old: id of the film's job.
            job: id of its new job.
            recipe: of the film.
            ended: whether the old job failed or was cancelled; False if it is unfinished.

        Raises:
            VisionFluxError: the engine rejected the recipe; the film keeps its old job.
        """
        library = self._storage.library
        before = await asyncio.to_thread(library.get, old)
        replace = partial(library.replace, old, job, self._engine(), ended=ended)
        with self._marked(job):
            if not await asyncio.to_thread(replace) or not before:
                return False
            view = JobView(job, recipe, self._engine(), preview_bytes=before.shown)
            view.thumbnails = set(await asyncio.to_thread(library.thumbnails, job))
            try:
                await self._offer(view)
            except VisionFluxError:
                await asyncio.to_thread(library.replace, job, old, before.engine)
                if ended:
                    status: Any = before.status
                    await asyncio.to_thread(library.end, old, status, before.error)
                raise
        return True

    async def hand_over(self, job: str, recipe: Recipe) -> None:
        """Submit a job that is stored already, and follow it.

        Raises:
            VisionFluxError: the engine rejected it, or could not be reached.
        """
        await self._storage.start_images.upload(self._connection, recipe)
        await self._connection.submit(job, recipe)
        await asyncio.to_thread(self._storage.library.accepted, job)
        await self._watch(job)

    async def _submit(self, job: str, recipe: Recipe) -> None:
        library = self._storage.library
        with self._marked(job):
            film = await asyncio.to_thread(library.get, job)
            if film and (film.status != "submitting" or film.engine != self._engine()):
                return  # an earlier attempt was accepted, or another engine has it
            if film is None:
                await asyncio.to_thread(library.add, job, recipe, self._engine())
            try:
                await self._offer(JobView(job, recipe, self._engine()))
            except VisionFluxError:
                await asyncio.to_thread(library.delete, job)
                raise

    @contextmanager
    def _marked(self, job: str) -> Iterator[None]:
        """Keep a new connection from submitting a job that is being submitted."""
        self.under_way.add(job)
        try:
            yield
        finally:
            self.under_way.discard(job)

    async def _offer(self, view: JobView) -> None:
        """Open a job's view and submit the job; close the view if the engine rejects it."""
        self._storage.job_views.open(view)
        try:
            await self.hand_over(view.job, view.recipe)
        except TransportError as error:
            log.warning("job %s will be submitted again: %s", view.job, error)
            self._resume()  # a new connection may have skipped the job meanwhile
        except VisionFluxError:
            self._storage.job_views.close(view.job)
            raise
