"""The live channel of a job: sends its state and its newest preview to a page.

It knows hubs, tickets and a WebSocket; ``ui.routes.films`` sends files. It draws nothing.
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

from engine.errors import VisionFluxError
from engine.wire.messages.responses import Preview
from ui.engines.hub import Hub
from ui.routes.job_state import NO_RESCUE, Rescue, is_lost, state
from ui.shell.tickets import Tickets

PROTOCOL = "visionflux.stage.v1"
MAX_UNDRAWN_PREVIEWS = 2  # previews sent to one browser that it has not drawn yet
STATE_INTERVAL_SECONDS = 0.1  # between two states sent to one browser; previews do not wait
LOST_INTERVAL_SECONDS = 1.0  # the same while the engine does not answer
KINDS = {"step": 0, "keyframe": 1, "frame": 2}
HEADER = struct.Struct(">BHHH")  # kind, index, step, steps; the JPEG follows


class LiveChannel:
    """The handler of the route."""

    def __init__(
        self, hub: Callable[[HTTPConnection], Hub | None], tickets: Callable[[], Tickets]
    ) -> None:
        self._hub = hub
        self._tickets = tickets

    async def stream(self, socket: WebSocket) -> None:
        """Send a job's state whenever it changes, and previews while the page is visible.

        The page sends ``visible`` or ``hidden``, ``seen`` after it has drawn a preview, ``pause``,
        ``resume``, ``cancel`` and ``move``, which continues it on the chosen engine.
        """
        job, hub = socket.path_params["job"], self._hub(socket)
        admitted = self._tickets().valid(_offered_ticket(socket), f"job:{job}")
        if hub is None or not admitted or not _own_origin(socket):
            await socket.close(1008)
            return
        await socket.accept(subprotocol=PROTOCOL)
        viewer = Viewer()
        reading = asyncio.create_task(_receive(socket, hub, job, viewer))
        reading.add_done_callback(lambda _: viewer.woken.set())
        try:
            with hub.job_views.subscribed(job, viewer.woken):
                await _send_updates(socket, hub, job, viewer, reading)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the browser closed the connection while something was sent
        finally:
            reading.cancel()
            hub.set_watching(job, viewer, False)


@dataclass(eq=False)
class Viewer:
    """One page that shows a job.

    Attributes:
        visible: whether it is visible.
        undrawn: number of previews sent to it that it has not drawn yet.
        woken: set when there may be something to send.
    """

    visible: bool = False
    undrawn: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def wants_preview(self) -> bool:
        """Whether another preview may be sent."""
        return self.visible and self.undrawn < MAX_UNDRAWN_PREVIEWS


async def _send_updates(
    socket: WebSocket, hub: Hub, job: str, viewer: Viewer, reading: asyncio.Task[None]
) -> None:
    """Send states and previews until the job is settled or the browser disconnects."""
    version, shown, sent_at, lost = -1, None, float("-inf"), False
    while not reading.done():
        viewer.woken.clear()
        now = time.monotonic()
        rescue = await asyncio.to_thread(_rescue, hub, job) if lost else NO_RESCUE
        with hub.job_views.reading(job) as view:
            if view is None:
                return
            preview, settled = view.preview, view.settled
            unsent = view.version != version or (lost and now >= sent_at + LOST_INTERVAL_SECONDS)
            message = None
            if unsent and (settled or now >= sent_at + STATE_INTERVAL_SECONDS):
                message = state(
                    view,
                    silent=now - view.last_message_at,
                    engine=hub.name_of(view.engine),
                    rescue=rescue,
                )
                version, sent_at, unsent = view.version, now, False
            lost = is_lost(view)
        if preview is not None and preview is not shown and viewer.wants_preview:
            shown, viewer.undrawn = preview, viewer.undrawn + 1
            await socket.send_bytes(encode(preview))
        if message:
            await socket.send_text(json.dumps(message))
        if settled:
            await socket.close()
            return
        await _wait(
            viewer.woken,
            STATE_INTERVAL_SECONDS if unsent else LOST_INTERVAL_SECONDS if lost else None,
        )


def _rescue(hub: Hub, job: str) -> Rescue:
    """Return what is left of a job whose engine is lost."""
    engine = hub.rescue_engine(job)
    return Rescue(engine.name if engine else "", bool(hub.pieces.downloaded(job)))


async def _wait(woken: asyncio.Event, seconds: float | None) -> None:
    """Wait until there may be something to send, for at most that many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()


async def _receive(socket: WebSocket, hub: Hub, job: str, viewer: Viewer) -> None:
    """Process the page's messages until the browser disconnects."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        match message.get("text"):
            case "cancel":
                hub.cancel(job)
            case "move":
                with suppress(VisionFluxError):  # the next state offers it again
                    await asyncio.to_thread(hub.move, job)
            case "pause" | "resume" as command:
                hub.set_paused(job, command == "pause")
            case "visible" | "hidden" as command:
                viewer.visible = command == "visible"
                hub.set_watching(job, viewer, viewer.visible)
            case "seen":
                viewer.undrawn = max(0, viewer.undrawn - 1)
        viewer.woken.set()


def encode(preview: Preview) -> bytes:
    """Return a preview as bytes: a header, then the JPEG."""
    kind, index = KINDS[preview.kind], min(preview.index, 65535)
    return HEADER.pack(kind, index, preview.step, preview.steps) + preview.jpeg


def _own_origin(socket: WebSocket) -> bool:
    """Return whether a request comes from the app's own pages, or not from a browser.

    Browsers always send an Origin.
    """
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


def _offered_ticket(socket: WebSocket) -> str:
    """Return the ticket among the subprotocols that the page offers."""
    offered = [name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")]
    if len(offered) != 2 or offered[0] != PROTOCOL:
        return ""
    return offered[1].removeprefix("ticket.")
