"""Same-origin routes beside Streamlit's: the live channel of a job, films and small pictures.

Streamlit protects none of them, so each asks for a ticket, and the live channel for the page's
own Origin. Where people sign in, each answers from what belongs to who asks. They know hubs and
tickets; they never draw.
"""

import asyncio
import json
import re
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.errors import VisionFluxError
from engine.protocol import Preview
from ui.exports import FORMATS, Exports, exported
from ui.hub import Hub
from ui.rushes import Rushes
from ui.tables import Film
from ui.tickets import Tickets
from ui.words import sentence, state

PROTOCOL = "visionflux.stage.v1"
WINDOW = 2  # previews under way to one browser
PAUSE = 0.03  # seconds between two words to one browser, at least
KINDS = {"step": 0, "keyframe": 1, "frame": 2}
HEADER = struct.Struct(">BHHH")  # kind, index, step, steps; the JPEG follows
MEDIA = {"mp4": "video/mp4", "gif": "image/gif", "webm": "video/webm"}
EXPIRED = PlainTextResponse("this address has expired; reload the page", 403)
MISSING = PlainTextResponse("this is not on this computer", 404)
UNKEPT = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PRIVATE = {"Cache-Control": "private, max-age=3600", "Cross-Origin-Resource-Policy": "same-origin"}

POLICY = "; ".join(
    (
        "default-src 'self'",
        # Streamlit's front end and its components need inline styles and blobs.
        "script-src 'self' 'unsafe-inline' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def routes(
    hub: Callable[[HTTPConnection], Hub | None], tickets: Callable[[], Tickets]
) -> list[BaseRoute]:
    """Return the routes; both arguments are asked when a request comes.

    Args:
        hub: returns that of who makes a request; None for strangers.
        tickets: returns those of this process.
    """
    relay = Relay(hub, tickets)
    return [
        WebSocketRoute("/api/jobs/{job}/stream", relay.stream),
        Route("/api/jobs/{job}/rushes", relay.rushes),
        Route("/api/films/{job}", relay.film),
        Route("/api/films/{job}/convert/{kind}", relay.convert),
        Route("/api/pictures/{job}/{index:int}", relay.picture),
    ]


class Relay:
    """The handlers of the routes."""

    def __init__(
        self, hub: Callable[[HTTPConnection], Hub | None], tickets: Callable[[], Tickets]
    ) -> None:
        self._hub = hub
        self._tickets = tickets
        self._exports = Exports()
        self._rushes = Rushes()

    async def stream(self, socket: WebSocket) -> None:
        """Send a job's state whenever it changes, and previews while the page is looked at.

        The page says ``visible``, ``hidden``, ``seen`` after each preview, ``pause``, ``resume``
        and ``cancel``.
        """
        job, hub = socket.path_params["job"], self._hub(socket)
        admitted = self._tickets().valid(_offered_ticket(socket), f"job:{job}")
        if hub is None or not admitted or not _own_origin(socket):
            await socket.close(1008)
            return
        await socket.accept(subprotocol=PROTOCOL)
        eye = Eye()
        reading = asyncio.create_task(_hear(socket, hub, job, eye))
        try:
            with hub.board.following(job, eye.woken):
                await _tell(socket, hub, job, eye, reading)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the browser went away while we spoke
        finally:
            reading.cancel()
            hub.look(job, eye, False)

    async def film(self, request: Request) -> Response:
        """Send a film, in parts if asked; ``?save`` makes the browser keep it as a file.

        ``?as=webm`` sends what ``convert`` has made.
        """
        if (hub := self._admitted(request)) is None:
            return EXPIRED
        film = await self._film(hub, request)
        kind = request.query_params.get("as") or (film.format if film else "")
        if film is None or kind not in MEDIA:
            return MISSING
        path = exported(hub.library.file(film), kind)
        if not path.is_file():
            return MISSING
        return FileResponse(
            path,
            media_type=MEDIA[kind],
            headers=PRIVATE,
            filename=file_name(film.title, kind),
            content_disposition_type="attachment" if "save" in request.query_params else "inline",
        )

    async def rushes(self, request: Request) -> Response:
        """Send what is finished of a film that is being made: its first ``?count`` segments."""
        count = request.query_params.get("count", "")
        if (hub := self._admitted(request)) is None:
            return EXPIRED
        film = await self._film(hub, request)
        if film is None or not re.fullmatch(r"[0-9]{1,4}", count):
            return MISSING
        try:
            path = await asyncio.to_thread(self._rushes.play, hub, film.job, int(count))
        except VisionFluxError as error:
            return PlainTextResponse(sentence(error.problem), 503)
        return FileResponse(path, media_type=MEDIA["mp4"], headers=PRIVATE)

    async def picture(self, request: Request) -> Response:
        """Send the small picture of a keyframe."""
        if (hub := self._admitted(request)) is None:
            return EXPIRED
        if (film := await self._film(hub, request)) is None:
            return MISSING
        path = hub.library.picture(film.job, request.path_params["index"])
        return (
            FileResponse(path, media_type="image/jpeg", headers=PRIVATE)
            if path.is_file()
            else MISSING
        )

    async def convert(self, request: Request) -> Response:
        """Make a film in another format; tell a line of JSON of how far that is, or what failed."""
        if (hub := self._admitted(request)) is None:
            return EXPIRED
        film, kind = await self._film(hub, request), request.path_params["kind"]
        if film is None or kind not in FORMATS or not hub.library.file(film).is_file():
            return MISSING
        progress = self._converting(hub.library.file(film), kind, film.seconds)
        return StreamingResponse(progress, media_type="application/x-ndjson", headers=UNKEPT)

    async def _converting(self, source: Path, kind: str, seconds: float) -> AsyncIterator[str]:
        try:
            async with aclosing(self._exports.convert(source, kind, seconds)) as progress:
                async for done in progress:
                    yield json.dumps({"done": round(done, 3)}) + "\n"
        except VisionFluxError as error:
            yield (
                json.dumps({"error": f"{sentence(error.problem)} {sentence(error.remedy)}"}) + "\n"
            )

    def _admitted(self, request: Request) -> Hub | None:
        """Return the hub of who asks with a ticket for this film."""
        ticket, job = request.query_params.get("ticket", ""), request.path_params["job"]
        return self._hub(request) if self._tickets().valid(ticket, f"film:{job}") else None

    async def _film(self, hub: Hub, request: Request) -> Film | None:
        return await asyncio.to_thread(hub.library.get, request.path_params["job"])


@dataclass(eq=False)
class Eye:
    """One page that shows a job.

    Attributes:
        looking: whether it is visible.
        undrawn: number of previews that it was sent and has not drawn yet.
        woken: set when there may be something to say.
    """

    looking: bool = False
    undrawn: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def sees_more(self) -> bool:
        """Whether another preview would be looked at and drawn."""
        return self.looking and self.undrawn < WINDOW


async def _tell(
    socket: WebSocket, hub: Hub, job: str, eye: Eye, reading: asyncio.Task[None]
) -> None:
    """Speak until the job is settled or the browser leaves; only the newest counts."""
    seen, shown = -1, None
    while not reading.done():
        with hub.board.reading(job) as view:
            if view is None:
                return
            word = None
            if view.version != seen:
                word = state(view, silent=time.monotonic() - view.heard_at)
            seen, preview, settled = view.version, view.preview, view.settled
        if preview is not None and preview is not shown and eye.sees_more:
            shown, eye.undrawn = preview, eye.undrawn + 1
            await socket.send_bytes(encode(preview))
        if word:
            await socket.send_text(json.dumps(word))
        if settled:
            await socket.close()
            return
        await _wait(eye.woken, reading)


async def _wait(woken: asyncio.Event, reading: asyncio.Task[None]) -> None:
    await asyncio.sleep(PAUSE)
    change = asyncio.create_task(woken.wait())
    await asyncio.wait({change, reading}, return_when=asyncio.FIRST_COMPLETED)
    change.cancel()
    woken.clear()


async def _hear(socket: WebSocket, hub: Hub, job: str, eye: Eye) -> None:
    """Read until the browser leaves."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        match message.get("text"):
            case "cancel":
                hub.cancel(job)
            case "pause" | "resume" as word:
                hub.rest(job, word == "pause")
            case "visible" | "hidden" as word:
                eye.looking = word == "visible"
                hub.look(job, eye, eye.looking)
            case "seen":
                eye.undrawn = max(0, eye.undrawn - 1)
        eye.woken.set()


def encode(preview: Preview) -> bytes:
    """Return a preview for the browser: a short header, then the JPEG."""
    kind, index = KINDS[preview.kind], min(preview.index, 65535)
    return HEADER.pack(kind, index, preview.step, preview.steps) + preview.jpeg


def file_name(title: str, suffix: str) -> str:
    """Return a film's name on disk: its first words, safe on every system."""
    words = re.findall(r"\w+", title)[:8]
    return f"{' '.join(words)[:60].strip() or 'VisionFlux'}.{suffix}"


def _own_origin(socket: WebSocket) -> bool:
    """Browsers always send an Origin; who sends none is no browser and still needs a ticket."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


def _offered_ticket(socket: WebSocket) -> str:
    """Return the ticket that stands beside the protocol's name among the subprotocols."""
    offered = [name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")]
    if len(offered) != 2 or offered[0] != PROTOCOL:
        return ""
    return offered[1].removeprefix("ticket.")


class SecurityHeaders:
    """ASGI middleware: every answer forbids foreign frames, foreign sources and sniffing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and add the headers to the answer."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = list(message.get("headers", []))
                headers += [(name.encode(), value.encode()) for name, value in SECURITY.items()]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, guarded)


MIDDLEWARE = [Middleware(SecurityHeaders)]
