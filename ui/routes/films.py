"""Same-origin routes beside Streamlit's: films, thumbnails, and the live channel of a job.

Streamlit does not protect them, so each requires a ticket, and the live channel also the app's own
Origin. With accounts, each visitor gets their own films only. The routes know hubs and tickets;
they draw nothing.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from engine.errors import VisionFluxError
from ui.engines.hub import Hub
from ui.routes.conversions import FORMATS, Conversions, converted
from ui.routes.live import LiveChannel
from ui.routes.partial_film import PartialFilms
from ui.shell.text import sentence, short
from ui.shell.tickets import Tickets
from ui.storage.library import Library
from ui.storage.tables import Film

MEDIA = {"mp4": "video/mp4", "gif": "image/gif", "webm": "video/webm"}
EXPIRED = PlainTextResponse("this address has expired; reload the page", 403)
MISSING = PlainTextResponse("this is not on this computer", 404)
UNCACHED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PRIVATE = {"Cache-Control": "private, max-age=3600", "Cross-Origin-Resource-Policy": "same-origin"}


def routes(
    hub: Callable[[HTTPConnection], Hub | None], tickets: Callable[[], Tickets]
) -> list[BaseRoute]:
    """Return the routes.

    Args:
        hub: returns the hub of the user who makes a request; None if nobody has signed in.
        tickets: returns the tickets of this process.
    """
    film_routes = FilmRoutes(hub, tickets)
    return [
        WebSocketRoute("/api/jobs/{job}/stream", LiveChannel(hub, tickets).stream),
        Route("/api/jobs/{job}/partial_film", film_routes.partial_film),
        Route("/api/films/{job}", film_routes.film),
        Route("/api/films/{job}/poster", film_routes.poster),
        Route("/api/films/{job}/convert/{kind}", film_routes.convert),
        Route("/api/pictures/{job}/{index:int}", film_routes.thumbnail),
    ]


class FilmRoutes:
    """The handlers of the routes."""

    def __init__(
        self, hub: Callable[[HTTPConnection], Hub | None], tickets: Callable[[], Tickets]
    ) -> None:
        self._hub = hub
        self._tickets = tickets
        self._conversions = Conversions()
        self._partial_films = PartialFilms()

    async def film(self, request: Request) -> Response:
        """Send a film, or a range of its bytes.

        ``?save`` makes the browser save it as a file; ``?as=webm`` sends a conversion that
        ``convert`` has made.
        """
        if (hub := self._authorized(request)) is None:
            return EXPIRED
        film = await self._film(hub, request)
        kind = request.query_params.get("as") or (film.format if film else "")
        if film is None or kind not in MEDIA:
            return MISSING
        path = converted(hub.library.file(film), kind)
        if not path.is_file():
            return MISSING
        return FileResponse(
            path,
            media_type=MEDIA[kind],
            headers=PRIVATE,
            filename=file_name(film.title, kind),
            content_disposition_type="attachment" if "save" in request.query_params else "inline",
        )

    async def partial_film(self, request: Request) -> Response:
        """Send the first ``?count`` segments of a film that is being made."""
        count = request.query_params.get("count", "")
        if (hub := self._authorized(request)) is None:
            return EXPIRED
        film = await self._film(hub, request)
        if film is None or not re.fullmatch(r"[0-9]{1,4}", count):
            return MISSING
        try:
            path = await asyncio.to_thread(self._partial_films.play, hub, film.job, int(count))
        except VisionFluxError as error:
            return PlainTextResponse(sentence(error.problem), 503)
        return FileResponse(path, media_type=MEDIA["mp4"], headers=PRIVATE)

    async def poster(self, request: Request) -> Response:
        """Send the film's poster."""
        return await self._image(request, lambda library, job: library.poster(job))

    async def thumbnail(self, request: Request) -> Response:
        """Send the thumbnail of a keyframe."""
        index = request.path_params["index"]
        return await self._image(request, lambda library, job: library.thumbnail(job, index))

    async def _image(self, request: Request, path_of: Callable[[Library, str], Path]) -> Response:
        if (hub := self._authorized(request)) is None:
            return EXPIRED
        if (film := await self._film(hub, request)) is None:
            return MISSING
        path = path_of(hub.library, film.job)
        return FileResponse(path, headers=PRIVATE) if path.is_file() else MISSING

    async def convert(self, request: Request) -> Response:
        """Convert a film to another format; send progress or the error as lines of JSON."""
        if (hub := self._authorized(request)) is None:
            return EXPIRED
        film, kind = await self._film(hub, request), request.path_params["kind"]
        if film is None or kind not in FORMATS or not hub.library.file(film).is_file():
            return MISSING
        progress = self._converting(hub.library.file(film), kind, film.seconds)
        return StreamingResponse(progress, media_type="application/x-ndjson", headers=UNCACHED)

    async def _converting(self, source: Path, kind: str, seconds: float) -> AsyncIterator[str]:
        try:
            async with aclosing(self._conversions.convert(source, kind, seconds)) as progress:
                async for done in progress:
                    yield json.dumps({"done": round(done, 3)}) + "\n"
        except VisionFluxError as error:
            yield (
                json.dumps({"error": f"{sentence(error.problem)} {sentence(error.remedy)}"}) + "\n"
            )

    def _authorized(self, request: Request) -> Hub | None:
        """Return the user's hub if the request has a valid ticket for this film."""
        ticket, job = request.query_params.get("ticket", ""), request.path_params["job"]
        return self._hub(request) if self._tickets().valid(ticket, f"film:{job}") else None

    async def _film(self, hub: Hub, request: Request) -> Film | None:
        return await asyncio.to_thread(hub.library.get, request.path_params["job"])


def file_name(title: str, suffix: str) -> str:
    """Return a file name from the first words of a film's title, valid on every system."""
    words = " ".join(re.findall(r"\w+", title)[:8])
    return f"{short(words, 60).rstrip('…') or 'VisionFlux'}.{suffix}"
