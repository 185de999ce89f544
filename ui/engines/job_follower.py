"""Follows this library's jobs on one engine until their films are downloaded.

It also sends the users' commands to the engine: pause, resume, cancel, show previews. It runs in
the hub's loop. It knows a connection and the stores, not the engine's address;
``ui.engines.submission`` submits the jobs.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from engine.errors import TransportError, UnknownJobError, VisionFluxError
from engine.film.events import Logged
from engine.film.progress import Progress, advance
from engine.film.stages import POSTER
from engine.wire.client import Connection, LogRestarted, Message
from engine.wire.messages.responses import JobEvent, Preview, Snapshot
from ui.engines.downloads import FilmDownloads, PieceDownloads
from ui.engines.event_writer import EventWriter
from ui.engines.submission import Submissions
from ui.engines.thumbnails import Thumbnails
from ui.storage.job_views import JobView, JobViews
from ui.storage.storage import Storage
from ui.storage.tables import Film, Piece

log = logging.getLogger(__name__)


class JobCommands:
    """Sends users' commands to one engine; each method returns at once."""

    def __init__(
        self,
        connection: Connection,
        job_views: JobViews,
        begin: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Prepare the commands.

        Args:
            connection: to the engine.
            job_views: the views of the jobs.
            begin: runs a coroutine in the background.
        """
        self._connection = connection
        self._job_views = job_views
        self._begin = begin

    def set_paused(self, job: str, paused: bool) -> None:
        """Pause or resume a job; does nothing without a connection."""
        self._begin(self._set_paused(job, paused))

    def cancel(self, job: str) -> None:
        """Cancel a job; without a connection, the next one does it."""
        self._begin(self._cancel(job))

    def update_previews(self, job: str) -> None:
        """Start a job's previews if a page shows it, else stop them."""
        with self._job_views.reading(job) as view:
            if view is None or view.progress.final:
                return
        self._begin(self._update_previews(job))

    async def _set_paused(self, job: str, paused: bool) -> None:
        try:
            await (self._connection.pause if paused else self._connection.resume)(job)
        except VisionFluxError as error:
            log.info("job %s could not be paused or resumed: %s", job, error)

    async def _cancel(self, job: str) -> None:
        try:
            await self._connection.cancel(job)
        except (
            TransportError
        ) as error:  # the next connection repeats it, since ``cancelling`` is set
            log.info("job %s will be cancelled later: %s", job, error)

    async def _update_previews(self, job: str) -> None:
        try:
            await self._connection.show_previews(job, self._job_views.is_watched(job))
        except VisionFluxError as error:
            log.info("previews of job %s could not be switched: %s", job, error)


class Follower:
    """Follows the jobs of one engine, in tasks that end when it is closed."""

    def __init__(self, connection: Connection, storage: Storage, *, near: bool = False) -> None:
        """Prepare the follower.

        Args:
            connection: to the engine.
            storage: where jobs, events, pieces and films are stored.
            near: whether the engine runs on this computer, so that pieces need no download.
        """
        self.engine = ""
        self.tasks: set[asyncio.Task[Any]] = set()
        self._near = near
        self._connection = connection
        self._job_views, self._library = storage.job_views, storage.library
        self._event_log, self._pieces = storage.event_log, storage.pieces
        self._preferences = storage.preferences
        self._thumbnails = Thumbnails(
            connection, self._job_views, self._library, self._preferences, self.begin, near=near
        )
        self._piece_downloads = PieceDownloads(
            connection,
            self._job_views,
            self._pieces,
            self._preferences,
            lambda piece: self._thumbnails.piece_downloaded(piece, self._pieces.path(piece)),
        )
        self._film_downloads = FilmDownloads(connection, self._job_views, self._library)
        self._writer = EventWriter(self._event_log, self.begin)
        self.commands = JobCommands(connection, self._job_views, self.begin)
        self.submissions = Submissions(
            connection,
            storage,
            engine=lambda: self.engine,
            watch=self._watch,
            resume=lambda: self.begin(self._resume()),
        )
        self._settling: set[str] = set()

    async def close(self) -> None:
        """Cancel all tasks and write the events."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.submissions.close()
        await self._writer.close()

    def link_changed(self, connected: bool, *, engine_stopped: bool = False) -> None:
        """Update every job's view; resume the jobs if the engine is connected.

        Args:
            connected: whether the engine is connected.
            engine_stopped: whether the user has stopped it.
        """
        if connected and self._connection.hello:
            self.engine = self._connection.hello.engine
            self.begin(self._resume())
        for job in self._job_views.of_engine(self.engine):
            with self._job_views.changing(job) as view:
                if view:
                    view.reachable, view.engine_stopped = connected, engine_stopped

    async def download_pieces(self, pieces: Sequence[Piece]) -> None:
        """Download finished pieces that a page needs now; raises as ``Connection.fetch`` does."""
        await self._piece_downloads.download(pieces)

    def receive(self, message: Message) -> None:
        """Process an engine's message about a job."""
        with self._job_views.changing(message.job) as view:
            if view is None or view.successor:
                return
            self._update(view, message)
            caught_up = self._writer.last(message.job) >= view.progress.seq
            final = view.progress.final
        if not isinstance(message, LogRestarted):
            self._thumbnails.receive(message, final)
        if final and caught_up and message.job not in self._settling:
            self._settling.add(message.job)
            self.begin(self._settle(message.job))

    def _update(self, view: JobView, message: Message) -> None:
        view.last_message_at, view.reachable = time.monotonic(), True
        match message:
            case LogRestarted(job=job, seq=seq):
                self._writer.restart(job, seq)
                view.progress = Progress()
            case Snapshot(job=job, progress=progress, epoch=epoch):
                self._writer.set_epoch(job, epoch, progress.seq)
                if progress.seq >= view.progress.seq:
                    view.progress = progress
            case JobEvent(seq=seq, at=at, event=event):
                self._writer.add(message, self._catch_up)
                advance(view.progress, Logged(seq=seq, at=at, event=event))
            case Preview():
                view.preview = message
                view.preview_bytes += len(message.jpeg)

    async def _catch_up(self, job: str) -> None:
        if self._near:
            return
        with self._job_views.reading(job) as view:
            shown = view.preview_bytes if view else 0
        if shown:
            await asyncio.to_thread(self._library.note_shown, job, shown)
        await self._piece_downloads.catch_up(job)

    async def _resume(self) -> None:
        self.begin(self._cancel_orphans())
        under_way = self.submissions.under_way.copy()
        films = await asyncio.to_thread(self._library.unfinished, self.engine)
        under_way |= self.submissions.under_way
        for film in [film for film in films if film.job not in under_way]:
            thumbnails = await asyncio.to_thread(self._library.thumbnails, film.job)
            self._job_views.open(await asyncio.to_thread(self._event_log.view, film, thumbnails))
            try:
                await self._resume_film(film)
            except TransportError:
                return  # the next connection resumes
            except VisionFluxError as error:
                await self._film_downloads.fail(film.job, error.report(), lasting=True)

    async def _cancel_orphans(self) -> None:
        """Cancel the engine's jobs whose films have moved to another engine."""
        for job in await asyncio.to_thread(self._event_log.orphans, self.engine):
            try:
                with suppress(UnknownJobError):
                    await self._connection.cancel(job)
            except VisionFluxError as error:
                log.info("the moved job %s will be cancelled later: %s", job, error)
                return
            await asyncio.to_thread(self._event_log.confirm_orphan, job)

    async def _resume_film(self, film: Film) -> None:
        if film.status == "submitting":
            await self.submissions.hand_over(film.job, film.recipe)
        else:
            await self._watch(film.job)
        with self._job_views.reading(film.job) as view:
            wanted = view is not None and view.cancelling
        if wanted:
            await self._connection.cancel(film.job)

    async def _watch(self, job: str) -> None:
        """Follow a job from the last event that was received, also before a restart."""
        after, epoch = await self._writer.recall(job)
        await self._connection.watch(
            job,
            after=after,
            epoch=epoch,
            previews=self._job_views.is_watched(job),
            budget=self._preview_budget_left(job),
        )
        self.begin(self._catch_up(job))

    def _preview_budget_left(self, job: str) -> int | None:
        """Return the bytes that a film's previews may still take; None if there is no limit."""
        if self._near:
            return None
        with self._job_views.reading(job) as view:
            shown = view.preview_bytes if view else 0
        return max(0, self._preferences.preview_budget - shown)

    async def _settle(self, job: str) -> None:
        """Download the finished film, or store how the job ended."""
        with self._job_views.reading(job) as view:
            if view is None:
                return
            progress = view.progress
        await self._writer.write(job)  # before pages see that it ended and can start it again
        if progress.film:
            poster = "".join(progress.of(POSTER).names)
            await self._film_downloads.download(job, progress.film, poster)
        elif progress.status == "failed":
            await asyncio.to_thread(self._library.end, job, "failed", progress.error)
        else:
            await asyncio.to_thread(self._library.end, job, "cancelled")
        await asyncio.to_thread(self._event_log.drop_transient, job)
        await asyncio.to_thread(self._pieces.sweep)
        with suppress(VisionFluxError):
            await self._connection.unwatch(job)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background until it ends or the follower is closed."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("following a job failed", exc_info=task.exception())
