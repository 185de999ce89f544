"""The live channel of a job: its state in words and its newest preview, to one browser's page.

It knows hubs, tickets and one socket; files are ``ui.routes.films``'s affair. It never draws.
"""

import asyncio
import json
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.wire.messages.responses import Preview
from ui.engines.hub import Hub
from ui.routes.job_state import state
from ui.shell.tickets import Tickets

PROTOCOL = "visionflux.stage.v1"
MAX_UNDRAWN_PREVIEWS = 2  # previews under way to one browser
STATE_INTERVAL_SECONDS = (
    0.1  # seconds between two words to one browser, at least; previews never wait
)
KINDS = {"step": 0, "keyframe": 1, "frame": 2}
HEADER = struct.Struct(">BHHH")  # kind, index, step, steps; the JPEG follows


class LiveChannel:
    """The handler of its route."""

    def __init__(
        self, hub: Callable[[HTTPConnection], Hub | None], tickets: Callable[[], Tickets]
    ) -> None:
        self._hub = hub
        self._tickets = tickets

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
        viewer = Viewer()
        reading = asyncio.create_task(_hear(socket, hub, job, viewer))
        reading.add_done_callback(lambda _: viewer.woken.set())
        try:
            with hub.job_views.subscribed(job, viewer.woken):
                await _tell(socket, hub, job, viewer, reading)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the browser went away while we spoke
        finally:
            reading.cancel()
            hub.set_watching(job, viewer, False)


@dataclass(eq=False)
class Viewer:
    """One page that shows a job.

    Attributes:
        visible: whether it is visible.
        undrawn: number of previews that it was sent and has not drawn yet.
        woken: set when there may be something to say.
    """

    visible: bool = False
    undrawn: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def wants_preview(self) -> bool:
        """Whether another preview would be looked at and drawn."""
        return self.visible and self.undrawn < MAX_UNDRAWN_PREVIEWS


async def _tell(
    socket: WebSocket, hub: Hub, job: str, viewer: Viewer, reading: asyncio.Task[None]
) -> None:
    """Speak until the job is settled or the browser leaves; only the newest counts."""
    seen, shown, spoke = -1, None, float("-inf")
    while not reading.done():
        viewer.woken.clear()
        now = time.monotonic()
        with hub.job_views.reading(job) as view:
            if view is None:
                return
            preview, settled, unsaid = view.preview, view.settled, view.version != seen
            word = None
            if unsaid and (settled or now >= spoke + STATE_INTERVAL_SECONDS):
                word = state(view, silent=now - view.last_message_at)
                seen, spoke, unsaid = view.version, now, False
        if preview is not None and preview is not shown and viewer.wants_preview:
            shown, viewer.undrawn = preview, viewer.undrawn + 1
            await socket.send_bytes(encode(preview))
        if word:
            await socket.send_text(json.dumps(word))
        if settled:
            await socket.close()
            return
        await _news(viewer.woken, STATE_INTERVAL_SECONDS if unsaid else None)


async def _news(woken: asyncio.Event, patience: float | None) -> None:
    """Wait until there may be something to say, at most ``patience`` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await woken.wait()


async def _hear(socket: WebSocket, hub: Hub, job: str, viewer: Viewer) -> None:
    """Read until the browser leaves."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        match message.get("text"):
            case "cancel":
                hub.cancel(job)
            case "pause" | "resume" as word:
                hub.set_paused(job, word == "pause")
            case "visible" | "hidden" as word:
                viewer.visible = word == "visible"
                hub.set_watching(job, viewer, viewer.visible)
            case "seen":
                viewer.undrawn = max(0, viewer.undrawn - 1)
        viewer.woken.set()


def encode(preview: Preview) -> bytes:
    """Return a preview for the browser: a short header, then the JPEG."""
    kind, index = KINDS[preview.kind], min(preview.index, 65535)
    return HEADER.pack(kind, index, preview.step, preview.steps) + preview.jpeg


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
