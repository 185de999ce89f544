"""Moves a film to another engine: uploads its finished pieces, then submits its recipe there.

The film stays as it is until the other engine has accepted the job. If the move fails, the view has
the error. It knows followers and pieces, not addresses or pages.
"""

import asyncio
import logging
import uuid
from dataclasses import dataclass

from engine.errors import (
    ConnectionLostError,
    ErrorReport,
    InvalidParameterError,
    TransportError,
    UnknownModelError,
    VisionFluxError,
)
from engine.film.recipe import Recipe
from engine.wire.client import Connection
from ui.engines.job_follower import Follower
from ui.storage.job_views import JobViews
from ui.storage.pieces import Pieces
from ui.storage.tables import Piece

log = logging.getLogger(__name__)

INTERRUPTED: ErrorReport | None = ConnectionLostError(
    "the film did not get to the other engine", remedy="press Continue again"
).report()
RETRY_DELAYS_SECONDS = (1.0, 4.0)  # between attempts to upload the missing pieces


@dataclass(frozen=True)
class Migration:
    """Moves one film to one engine.

    Attributes:
        job: id of the film's job before the move.
        connection: to the new engine.
        follower: of the new engine's jobs.
        name: of the new engine, for users.
        source: to the film's own engine, to download pieces that are not here; None if pieces
            are not to be downloaded.
        ended: whether the film failed or was cancelled; False if it is unfinished.
    """

    job: str
    recipe: Recipe
    connection: Connection
    follower: Follower
    name: str
    job_views: JobViews
    pieces: Pieces
    source: Connection | None = None
    ended: bool = False

    async def run(self) -> None:
        """Upload the finished pieces and submit the recipe; the follower follows the new job."""
        successor, move_error = "", INTERRUPTED
        try:
            successor, move_error = await self._move(), None
        except VisionFluxError as error:
            log.warning("the film %s could not move: %s", self.job, error)
            move_error = error.report()
        finally:
            with self.job_views.changing(self.job) as view:
                if view:
                    view.move_status, view.move_error, view.successor = "", move_error, successor

    async def _move(self) -> str:
        """Return the id of the new job; empty if the film has ended meanwhile."""
        self._check_model()
        await self._upload_missing()
        new = uuid.uuid4().hex
        adopted = await self.follower.submissions.adopt(
            self.job, new, self.recipe, ended=self.ended
        )
        return new if adopted else ""

    def _check_model(self) -> None:
        offered = [model.name for model in self.connection.hello.models]  # type: ignore[union-attr]
        if self.recipe.model not in offered:
            raise UnknownModelError(self.recipe.model, offered)

    async def _upload_missing(self) -> None:
        for wait in RETRY_DELAYS_SECONDS:
            try:
                return await self._try_upload()
            except TransportError as error:
                log.info("the upload of pieces of %s will be retried: %s", self.job, error)
                await asyncio.sleep(wait)
        await self._try_upload()

    async def _try_upload(self) -> None:
        known = await asyncio.to_thread(self._available_pieces)
        missing = await self.connection.find_missing(list(known)) if known else ()
        for number, name in enumerate(missing, start=1):
            self._report(f"Uploading finished part {number} of {len(missing)} to {self.name}…")
            if await self._is_here(known[name]):
                await self._upload(known[name])

    def _available_pieces(self) -> dict[str, Piece]:
        """Return the pieces that are here or can be downloaded, by content address."""
        if self.source is None:
            return self.pieces.downloaded(self.job)
        return {piece.object: piece for piece in self.pieces.of(self.job)}

    async def _is_here(self, piece: Piece) -> bool:
        """Return whether a piece is here and intact; download it first if there is a source."""
        if await asyncio.to_thread(self.pieces.is_intact, piece):
            return True
        if self.source is None:
            return False
        path = self.pieces.path(piece)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            await self.source.fetch(piece.object, path)
        except VisionFluxError as error:
            log.info("a piece of %s has to be made again: %s", self.job, error)
            return False
        return True

    async def _upload(self, piece: Piece) -> None:
        path, kind = self.pieces.path(piece), piece.stage.media_type
        try:
            await self.connection.upload(
                piece.object, path, kind, origin=piece.origin, detail=piece.detail
            )
        except InvalidParameterError as error:
            raise InvalidParameterError(
                error.field or "object",
                f"{self.name} did not accept a finished part: {error.problem}",
                "update VisionFlux on that engine, or continue on another one",
            ) from error

    def _report(self, line: str) -> None:
        with self.job_views.changing(self.job) as view:
            if view:
                view.move_status = line
