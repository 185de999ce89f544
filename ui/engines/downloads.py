"""Downloads the finished pieces of films from a remote engine, and the finished films.

Pieces are downloaded one at a time, keyframes first, as far as each film's budget of bytes allows;
``ui.engines.migration`` uses them if the engine is lost. It knows a connection and the stores, not
the engine's address.
"""

import asyncio
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from engine.errors import ErrorReport, TransportError, VisionFluxError
from engine.film.events import Finished
from engine.film.stages import STAGES
from engine.wire.client import Connection
from ui.storage.files import write_private
from ui.storage.job_views import JobViews
from ui.storage.library import Library
from ui.storage.pieces import Pieces
from ui.storage.preferences import Preferences
from ui.storage.tables import Piece

log = logging.getLogger(__name__)

MAX_POSTER_SIDE = 1280  # pixels
RETRY_DELAYS_SECONDS = (0.5, 1, 2, 4, 8, 15, 30)  # between attempts; the last one repeats


class PieceDownloads:
    """Downloads the pieces of one engine's films."""

    def __init__(
        self,
        connection: Connection,
        job_views: JobViews,
        pieces: Pieces,
        preferences: Preferences,
        on_piece: Callable[[Piece], None],
    ) -> None:
        """Prepare the downloads.

        Args:
            connection: to the engine.
            job_views: the views of the jobs.
            pieces: where the pieces are stored.
            preferences: how many bytes the pieces of one film may take.
            on_piece: called with each piece that was downloaded.
        """
        self._connection = connection
        self._job_views = job_views
        self._pieces = pieces
        self._preferences = preferences
        self._on_piece = on_piece
        self._download_lock = asyncio.Lock()

    async def catch_up(self, job: str) -> None:
        """Download the pieces that a film's budget allows; a later call retries what failed."""
        while True:
            async with self._download_lock:
                piece = await self._next(job)
                if piece is None:
                    return
                try:
                    await self._download(piece)
                except (VisionFluxError, OSError) as error:
                    log.info("a piece of %s could not be downloaded yet: %s", job, error)
                    return
                self._on_piece(piece)

    async def download(self, pieces: Sequence[Piece]) -> None:
        """Download pieces that a page needs now, regardless of the budget.

        Raises:
            VisionFluxError: the engine could not be reached, or lacks a piece.
        """
        for piece in pieces:
            async with self._download_lock:
                if not self._pieces.path(piece).is_file():
                    await self._download(piece)

    async def _download(self, piece: Piece) -> None:
        path = self._pieces.path(piece)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._connection.fetch(piece.object, path)

    async def _next(self, job: str) -> Piece | None:
        with self._job_views.reading(job) as view:
            if view is None or view.progress.final or view.successor:
                return None
            if view.progress.plan is None:
                return None  # the number of pieces to come is unknown
            whole = {name: view.progress.whole(stage) for name, stage in STAGES.items()}
        return await asyncio.to_thread(
            self._pieces.next, job, whole, self._preferences.mirror_budget
        )


class FilmDownloads:
    """Downloads the finished films of one engine."""

    def __init__(self, connection: Connection, job_views: JobViews, library: Library) -> None:
        """Prepare the downloads.

        Args:
            connection: to the engine.
            job_views: the views of the jobs.
            library: where films are stored.
        """
        self._connection = connection
        self._job_views = job_views
        self._library = library

    async def download(self, job: str, film: Finished, poster: str) -> None:
        """Download a finished film into the library; a lost connection is retried.

        Args:
            job: id of the job.
            film: the event that ended it.
            poster: content address of its poster; "" if it has none.
        """
        row = await asyncio.to_thread(self._library.get, job)
        if row is None:
            return
        try:
            target = self._library.file(row)
            if poster:
                await self._download_poster(job, poster)
            await self._download(job, film, target)
        except OSError as error:
            log.exception("the film %s could not be written", job)
            problem = f"the film could not be written to this computer: {error.strerror}"
            await self.fail(job, ErrorReport("E_STORAGE", problem, "free some disk space"))
        except VisionFluxError as error:
            await self.fail(job, error.report(), lasting=True)
        else:
            await asyncio.to_thread(self._library.finish, job, film)
            with self._job_views.changing(job) as view:
                if view:
                    view.saved = True

    async def _download(self, job: str, film: Finished, target: Path) -> None:
        def arrived(have: int, whole: int) -> None:
            with self._job_views.changing(job) as view:
                if view:
                    view.downloaded = (have, whole)

        for attempt in range(1_000_000):
            try:
                return await self._connection.fetch(film.object, target, arrived)
            except TransportError as error:
                log.info("the download of %s will be retried: %s", job, error)
                await asyncio.sleep(
                    RETRY_DELAYS_SECONDS[min(attempt, len(RETRY_DELAYS_SECONDS) - 1)]
                )

    async def _download_poster(self, job: str, name: str) -> None:
        """Download a film's poster; a keyframe's thumbnail is shown if that fails."""
        poster = self._library.poster(job)
        try:
            await self._connection.fetch(name, poster)
            await asyncio.to_thread(fit_poster, poster)
        except (VisionFluxError, OSError) as error:
            log.info("the poster of %s could not be downloaded: %s", job, error)

    async def fail(self, job: str, report: ErrorReport, *, lasting: bool = False) -> None:
        """Show a failure; the next start retries unless the failure is ``lasting``."""
        with self._job_views.changing(job) as view:
            if view:
                view.progress.status, view.progress.error = "failed", report
        if lasting:
            await asyncio.to_thread(self._library.end, job, "failed", report)


def fit_poster(path: Path) -> None:
    """Make the poster of an enlarged film smaller, as many are shown on one page."""
    with Image.open(path) as picture:
        if max(picture.size) <= MAX_POSTER_SIDE:
            return
        picture.thumbnail((MAX_POSTER_SIDE, MAX_POSTER_SIDE))
        smaller = io.BytesIO()
        picture.save(smaller, "PNG")
    write_private(path, smaller.getvalue())
