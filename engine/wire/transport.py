"""WebSocket connections: admission at the server, many frames in one write, pings, byte counts.

A message for many clients is framed once and takes one system call for each. It knows neither
messages nor who may connect.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from engine._compat import send_serialized

HALF_OPEN_LIMIT = 128  # connections during their handshake


def framed(message: str | bytes) -> bytes:
    """Return a message as a frame of a server: not masked, so the same for every client."""
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, message).serialize(mask=False)


class ServerTransport(ServerConnection):
    """A connection that sends frames which are serialized already; it never sends fragments.

    Args:
        half_open: connections during their handshake, oldest first. Beyond ``HALF_OPEN_LIMIT``
            the oldest is aborted: a normal handshake takes no time.
    """

    def __init__(
        self, *args: Any, half_open: "dict[ServerTransport, None]", **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._half_open = half_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count as half open."""
        super().connection_made(transport)
        self._half_open[self] = None
        if len(self._half_open) > HALF_OPEN_LIMIT:
            first = next(iter(self._half_open))
            first.admitted()
            first.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count no longer as half open."""
        self.admitted()
        super().connection_lost(exc)

    def admitted(self) -> None:
        """Note that the handshake is over."""
        self._half_open.pop(self, None)

    async def send_frames(self, frames: bytes) -> None:
        """Send what ``framed`` returned; wait while the peer reads nothing.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        await send_serialized(self, frames)


PING_INTERVAL = 10.0  # seconds between pings
PONG_TIMEOUT = 15.0  # seconds until a missing pong ends the connection


@asynccontextmanager
async def keepalive(socket: Connection) -> AsyncIterator[None]:
    """Send pings while the context lasts; abort the connection if no pong arrives in time."""
    pinging = asyncio.create_task(_ping_forever(socket))
    try:
        yield
    finally:
        pinging.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pinging


async def _ping_forever(socket: Connection) -> None:
    while True:
        await asyncio.sleep(PING_INTERVAL)
        try:
            async with asyncio.timeout(PONG_TIMEOUT):
                await (await socket.ping())
        except TimeoutError:
            socket.transport.abort()
            return
        except ConnectionClosed:  # by itself
            return


class ByteCounter:
    """Bytes received and bytes sent."""

    received = sent = 0

    @property
    def whole(self) -> int:
        """Return received and sent bytes together."""
        return self.received + self.sent


class CountingConnection(ClientConnection):
    """A connection that counts its bytes."""

    def __init__(self, *args: Any, traffic: ByteCounter, **options: Any) -> None:
        super().__init__(*args, **options)
        self._traffic = traffic

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wrap the transport, so that sent bytes are counted."""
        super().connection_made(cast(asyncio.BaseTransport, Tap(transport, self._traffic)))

    def data_received(self, data: bytes) -> None:
        """Count and process received bytes."""
        self._traffic.received += len(data)
        super().data_received(data)


class Tap:
    """A transport that counts what is written."""

    def __init__(self, transport: asyncio.BaseTransport, traffic: ByteCounter) -> None:
        self._transport, self._traffic = cast(asyncio.Transport, transport), traffic

    def write(self, data: bytes) -> None:
        """Count and send bytes."""
        self._traffic.sent += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
