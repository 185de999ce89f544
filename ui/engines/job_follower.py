"""Follows the jobs of this laptop on one engine: from submission to the film in the library.

It lives in the hub's loop. It knows a connection, the board, the library and the pieces, not the
address.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from engine.errors import TransportError, UnknownJobError, VisionFluxError
from engine.film.events import Logged
from engine.film.progress import Progress, advance
from engine.film.recipe import Recipe
from engine.wire.client import Connection, LogRestarted, Message
from engine.wire.messages.responses import JobEvent, Preview, Snapshot
from ui.engines.downloads import FilmDownloads, PieceDownloads
from ui.engines.event_writer import EventWriter
from ui.engines.thumbnails import Pictures
from ui.storage.event_log import EventLog
from ui.storage.job_views import JobView, JobViews
from ui.storage.library import Library
from ui.storage.pieces import Pieces
from ui.storage.preferences import Preferences
from ui.storage.start_images import Stills
from ui.storage.tables import Film, Piece

log = logging.getLogger(__name__)


class JobCommands:
    """The wishes for one engine's jobs; each returns at once."""

    def __init__(
        self,
        connection: Connection,
        board: JobViews,
        begin: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Pass on nothing yet.

        Args:
            connection: to the engine.
            board: where the jobs' views are.
            begin: runs work beside the caller's.
        """
        self._connection = connection
        self._board = board
        self._begin = begin

    def rest(self, job: str, resting: bool) -> None:
        """Pause a job or have it go on; an engine out of reach hears nothing of it."""
        self._begin(self._rest(job, resting))

    def cancel(self, job: str) -> None:
        """Cancel a job; if the engine is out of reach, once it is back."""
        self._begin(self._cancel(job))

    def look(self, job: str) -> None:
        """Have previews of a job begin or end, as somebody looks at it or nobody does."""
        with self._board.reading(job) as view:
            if view is None or view.progress.final:
                return
        self._begin(self._look(job))

    async def _rest(self, job: str, resting: bool) -> None:
        try:
            await (self._connection.pause if resting else self._connection.resume)(job)
        except VisionFluxError as error:
            log.info("job %s could not be paused or resumed: %s", job, error)

    async def _cancel(self, job: str) -> None:
        with suppress(TransportError):
            await self._connection.cancel(job)

    async def _look(self, job: str) -> None:
        with suppress(VisionFluxError):
            await self._connection.show_previews(job, self._board.seen(job))


log = logging.getLogger(__name__)


class Follower:
    """One engine's jobs; ``tasks`` end with it."""

    def __init__(
        self,
        connection: Connection,
        board: JobViews,
        library: Library,
        pieces: Pieces,
        record: EventLog,
        preferences: Preferences,
        stills: Stills,
        *,
        near: bool = False,
    ) -> None:
        """Follow nothing yet.

        Args:
            connection: to the engine.
            board: where the jobs' views are.
            library: where jobs and films are noted.
            pieces: where finished keyframes and segments are kept.
            record: where what is heard is written down.
            preferences: how much may be brought here while a film is made.
            stills: what scenes begin from.
            near: whether the engine keeps its things on this laptop: they need not be brought.
        """
        self.engine = ""
        self._near = near
        self._preferences = preferences
        self._stills = stills
        self._pictures = Pictures(connection, board, library, preferences, self.begin, near=near)
        self._mirror = PieceDownloads(
            connection,
            board,
            pieces,
            preferences,
            lambda piece: self._pictures.arrived(piece, pieces.path(piece)),
        )
        self._homecoming = FilmDownloads(connection, board, library)
        self._pieces = pieces
        self.tasks: set[asyncio.Task[Any]] = set()
        self._connection = connection
        self._board = board
        self._library = library
        self._record = record
        self._scribe = EventWriter(record, self.begin)
        self.wishes = JobCommands(connection, board, self.begin)
        self._offered: set[str] = set()
        self._settling: set[str] = set()

    async def close(self) -> None:
        """End what is under way."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._scribe.close()

    def link_changed(self, connected: bool, *, resting: bool = False) -> None:
        """Tell every job whether its engine can be reached; take them up again if so.

        Args:
            connected: whether it can.
            resting: whether the user has stopped it.
        """
        if connected and self._connection.hello:
            self.engine = self._connection.hello.engine
            self.begin(self._resume())
        for job in self._board.of_engine(self.engine):
            with self._board.changing(job) as view:
                if view:
                    view.reachable, view.resting = connected, resting

    async def submit(self, job: str, recipe: Recipe) -> None:
        """Note the job, hand it in and follow it.

        A connection that breaks meanwhile is no error: the job is handed in again later.

        Raises:
            VisionFluxError: the engine refused the recipe.
        """
        with self._offering(job):
            await asyncio.to_thread(self._library.add, job, recipe, self.engine)
            try:
                await self._offer(JobView(job, recipe, self.engine))
            except VisionFluxError:
                await asyncio.to_thread(self._library.delete, job)
                raise

    async def adopt(self, old: str, job: str, recipe: Recipe, *, ended: bool = False) -> bool:
        """Take over a film as ``job``; False if it is not what it was any more.

        Args:
            old: what the film was.
            job: what it shall be.
            recipe: of the film.
            ended: whether it failed or was cancelled, rather than being unfinished.

        Raises:
            VisionFluxError: the engine refused the recipe; the film stays what it was.
        """
        before = await asyncio.to_thread(self._library.get, old)
        replace = partial(self._library.replace, old, job, self.engine, ended=ended)
        with self._offering(job):
            if not await asyncio.to_thread(replace) or not before:
                return False
            view = JobView(job, recipe, self.engine, shown=before.shown)
            view.pictures = set(await asyncio.to_thread(self._library.pictures, job))
            try:
                await self._offer(view)
            except VisionFluxError:
                await asyncio.to_thread(self._library.replace, job, old, before.engine)
                if ended:
                    status: Any = before.status
                    await asyncio.to_thread(self._library.end, old, status, before.error)
                raise
        return True

    @contextmanager
    def _offering(self, job: str) -> Iterator[None]:
        """Keep a connection that comes up from handing in what is being handed in already."""
        self._offered.add(job)
        try:
            yield
        finally:
            self._offered.discard(job)

    async def _offer(self, view: JobView) -> None:
        """Put a job on the board and hand it in; if it is refused, it was never there."""
        self._board.open(view)
        try:
            await self._hand_in(view.job, view.recipe)
        except TransportError as error:
            log.warning("job %s will be submitted again: %s", view.job, error)
            self.begin(self._resume())  # which may have left it to us
        except VisionFluxError:
            self._board.close(view.job)
            raise

    async def bring(self, pieces: Sequence[Piece]) -> None:
        """Bring finished pieces here that somebody wants to see now; raises as a fetch does."""
        await self._mirror.bring(pieces)

    def hear(self, message: Message) -> None:
        """Take in what the engine says of a job."""
        with self._board.changing(message.job) as view:
            if view is None or view.successor:
                return
            self._update(view, message)
            caught_up = self._scribe.last(message.job) >= view.progress.seq
            final = view.progress.final
        if not isinstance(message, LogRestarted):
            self._pictures.hear(message, final)
        if final and caught_up and message.job not in self._settling:
            self._settling.add(message.job)
            self.begin(self._settle(message.job))

    def _update(self, view: JobView, message: Message) -> None:
        view.heard_at, view.reachable = time.monotonic(), True
        match message:
            case LogRestarted(job=job, seq=seq):
                self._scribe.restart(job, seq)
                view.progress = Progress()
            case Snapshot(progress=progress) if progress.seq >= view.progress.seq:
                view.progress = progress
            case JobEvent(seq=seq, at=at, event=event):
                self._scribe.hear(message, self._catch_up)
                advance(view.progress, Logged(seq=seq, at=at, event=event))
            case Preview():
                view.preview = message
                view.shown += len(message.jpeg)

    async def _catch_up(self, job: str) -> None:
        if self._near:
            return
        with self._board.reading(job) as view:
            shown = view.shown if view else 0
        if shown:
            await asyncio.to_thread(self._library.note_shown, job, shown)
        await self._mirror.catch_up(job)

    async def _resume(self) -> None:
        self.begin(self._leave_orphans())
        offered = self._offered.copy()
        films = await asyncio.to_thread(self._library.unfinished, self.engine)
        offered |= self._offered
        for film in [film for film in films if film.job not in offered]:
            pictures = await asyncio.to_thread(self._library.pictures, film.job)
            self._board.open(await asyncio.to_thread(self._record.view, film, pictures))
            try:
                await self._take_up(film)
            except TransportError:
                return  # the link's next change brings us back
            except VisionFluxError as error:
                await self._homecoming.fail(film.job, error.report(), lasting=True)

    async def _leave_orphans(self) -> None:
        """Tell the engine of those of its jobs that go on elsewhere by now: they end there."""
        for job in await asyncio.to_thread(self._record.orphans, self.engine):
            try:
                with suppress(UnknownJobError):
                    await self._connection.cancel(job)
            except VisionFluxError as error:
                log.info("the engine will be told of %s later: %s", job, error)
                return
            await asyncio.to_thread(self._record.told, job)

    async def _take_up(self, film: Film) -> None:
        if film.status == "submitting":
            await self._hand_in(film.job, film.recipe)
        else:
            await self._watch(film.job)
        with self._board.reading(film.job) as view:
            wanted = view is not None and view.cancelling
        if wanted:
            await self._connection.cancel(film.job)

    async def _hand_in(self, job: str, recipe: Recipe) -> None:
        await self._stills.bring(self._connection, recipe)
        await self._connection.submit(job, recipe)
        await asyncio.to_thread(self._library.accepted, job)
        await self._watch(job)

    async def _watch(self, job: str) -> None:
        """Follow a job from the last event that was heard of it, be it before a restart."""
        after = await self._scribe.recall(job)
        await self._connection.watch(
            job,
            after=after,
            previews=self._board.seen(job),
            budget=self._allowance(job),
        )
        self.begin(self._catch_up(job))

    def _allowance(self, job: str) -> int | None:
        """Return the bytes that a film's previews may still take; None: no limit."""
        if self._near:
            return None
        with self._board.reading(job) as view:
            shown = view.shown if view else 0
        return max(0, self._preferences.preview_budget - shown)

    async def _settle(self, job: str) -> None:
        """Bring the film home, or note how the job ended."""
        with self._board.reading(job) as view:
            if view is None:
                return
            progress = view.progress
        if progress.film:
            await self._homecoming.bring(job, progress.film)
        elif progress.status == "failed":
            await asyncio.to_thread(self._library.end, job, "failed", progress.error)
        else:
            await asyncio.to_thread(self._library.end, job, "cancelled")
        await self._scribe.write(job)
        await asyncio.to_thread(self._record.abridge, job)
        await asyncio.to_thread(self._pieces.sweep)
        with suppress(VisionFluxError):
            await self._connection.unwatch(job)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until it ends or the follower is closed."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("following a job failed", exc_info=task.exception())
