"""Goes on with a film on another engine: what is finished is brought there first.

Until the other engine has the job, nothing changes on this laptop; if it cannot be done, the view
says why and all is as it was. It knows followers and pieces, not addresses or pages.
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
RETRY_DELAYS_SECONDS = (1.0, 4.0)  # seconds between attempts to bring what is missing


@dataclass(frozen=True)
class Migration:
    """One film on its way to one engine.

    Attributes:
        connection: to the engine that shall go on with it.
        follower: of that engine's jobs.
        name: what to call the engine.
        source: to the film's own engine, if that may be asked for what is not kept here.
        ended: whether the film failed or was cancelled, rather than being unfinished.
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
        """Bring what is finished, hand the recipe in, and leave the rest to the follower."""
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
        """Return the id of the job that goes on; empty if the film has ended meanwhile."""
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
                log.info("bringing pieces of %s again: %s", self.job, error)
                await asyncio.sleep(wait)
        await self._try_upload()

    async def _try_upload(self) -> None:
        known = await asyncio.to_thread(self._available_pieces)
        missing = await self.connection.find_missing(list(known)) if known else ()
        for number, name in enumerate(missing, start=1):
            self._report(f"Bringing finished part {number} of {len(missing)} to {self.name}…")
            if await self._is_here(known[name]):
                await self._upload(known[name])

    def _available_pieces(self) -> dict[str, Piece]:
        """Return the pieces of the film that are here or could be fetched from its own engine."""
        if self.source is None:
            return self.pieces.here(self.job)
        return {piece.object: piece for piece in self.pieces.of(self.job)}

    async def _is_here(self, piece: Piece) -> bool:
        """Tell whether a piece is here and whole; fetch it first if that may be."""
        if await asyncio.to_thread(self.pieces.whole, piece):
            return True
        if self.source is None:
            return False
        path = self.pieces.path(piece)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            await self.source.fetch(piece.object, path)
        except VisionFluxError as error:
            log.info("a piece of %s is painted again: %s", self.job, error)
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
