"""What users want of the jobs of one engine, passed on to it: that they rest, end, are seen.

It lives in the hub's loop. It knows a connection and the board, not how a job is followed.
"""

import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from engine.errors import TransportError, VisionFluxError
from engine.wire.client import Connection
from ui.storage.job_views import Board

log = logging.getLogger(__name__)


class Wishes:
    """The wishes for one engine's jobs; each returns at once."""

    def __init__(
        self,
        connection: Connection,
        board: Board,
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
