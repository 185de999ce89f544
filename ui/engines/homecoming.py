"""Brings finished films home from one engine, or notes why one did not come.

It lives in the hub's loop. It knows a connection, the board and the library, not who makes a film.
"""

import asyncio
import logging
from pathlib import Path

from engine.errors import ErrorReport, TransportError, VisionFluxError
from engine.film.events import Finished
from engine.wire.client import Connection
from ui.storage.job_views import Board
from ui.storage.library import Library

log = logging.getLogger(__name__)

RETRIES = (0.5, 1, 2, 4, 8, 15, 30)  # seconds between attempts; the last one repeats


class Homecoming:
    """The finished films of one engine on their way here."""

    def __init__(self, connection: Connection, board: Board, library: Library) -> None:
        """Bring nothing yet.

        Args:
            connection: to the engine.
            board: where the jobs' views are.
            library: where films are kept.
        """
        self._connection = connection
        self._board = board
        self._library = library

    async def bring(self, job: str, film: Finished) -> None:
        """Have a finished film in the library, however often the way to its engine breaks."""
        row = await asyncio.to_thread(self._library.get, job)
        if row is None:
            return
        try:
            await self._fetch(job, film, self._library.file(row))
        except OSError as error:
            log.exception("the film %s could not be written", job)
            problem = f"the film could not be written to this computer: {error.strerror}"
            await self.fail(job, ErrorReport("E_STORAGE", problem, "free some disk space"))
        except VisionFluxError as error:
            await self.fail(job, error.report(), lasting=True)
        else:
            await asyncio.to_thread(self._library.finish, job, film)
            with self._board.changing(job) as view:
                if view:
                    view.saved = True

    async def _fetch(self, job: str, film: Finished, target: Path) -> None:
        def arrived(have: int, whole: int) -> None:
            with self._board.changing(job) as view:
                if view:
                    view.fetched = (have, whole)

        for attempt in range(1_000_000):
            try:
                return await self._connection.fetch(film.object, target, arrived)
            except TransportError as error:
                log.info("fetching %s again: %s", job, error)
                await asyncio.sleep(RETRIES[min(attempt, len(RETRIES) - 1)])

    async def fail(self, job: str, report: ErrorReport, *, lasting: bool = False) -> None:
        """Show a failure; unless it is ``lasting``, the next start tries again."""
        with self._board.changing(job) as view:
            if view:
                view.progress.status, view.progress.error = "failed", report
        if lasting:
            await asyncio.to_thread(self._library.end, job, "failed", report)
