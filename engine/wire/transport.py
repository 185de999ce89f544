"""The engine's end of a WebSocket: how it comes in, and many messages by one write.

What fifty clients are sent is framed once, and costs each of them one call of the system. It knows
no messages, and not who may come in.
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

HALF_OPEN = 128  # connections that may be at the door at once


def framed(message: str | bytes) -> bytes:
    """Return a message as a server's frame, which is not masked and so the same for everybody."""
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, message).serialize(mask=False)


class ServerTransport(ServerConnection):
    """A connection that takes whole frames; nobody sends fragments on it.

    Args:
        coming: those at the door, the first to come first. Where there are too many, that one is
            cut off: who means well is through in no time.
    """

    def __init__(self, *args: Any, coming: "dict[ServerTransport, None]", **options: Any) -> None:
        super().__init__(*args, **options)
        self._coming = coming

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stand at the door."""
        super().connection_made(transport)
        self._coming[self] = None
        if len(self._coming) > HALF_OPEN:
            first = next(iter(self._coming))
            first.come_in()
            first.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the door."""
        self.come_in()
        super().connection_lost(exc)

    def come_in(self) -> None:
        """Stand no longer at the door."""
        self._coming.pop(self, None)

    async def send_frames(self, frames: bytes) -> None:
        """Send what ``framed`` returned; wait while the peer takes nothing.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        await send_serialized(self, frames)


PAUSE = 10.0  # seconds between pings
PATIENCE = 15.0  # seconds until a missing pong ends the connection


@asynccontextmanager
async def keepalive(socket: Connection) -> AsyncIterator[None]:
    """Ping while the context lasts; a peer that does not answer in time finds itself cut off."""
    beating = asyncio.create_task(_beat(socket))
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def _beat(socket: Connection) -> None:
    while True:
        await asyncio.sleep(PAUSE)
        try:
            async with asyncio.timeout(PATIENCE):
                await (await socket.ping())
        except TimeoutError:
            socket.transport.abort()
            return
        except ConnectionClosed:  # by itself
            return


class ByteCounter:
    """Bytes that came and bytes that went."""

    received = sent = 0

    @property
    def whole(self) -> int:
        """Both ways together."""
        return self.received + self.sent


class CountingConnection(ClientConnection):
    """A connection that counts its bytes."""

    def __init__(self, *args: Any, traffic: ByteCounter, **options: Any) -> None:
        super().__init__(*args, **options)
        self._traffic = traffic

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport, through which everything leaves."""
        super().connection_made(cast(asyncio.BaseTransport, Tap(transport, self._traffic)))

    def data_received(self, data: bytes) -> None:
        """Take in what arrived."""
        self._traffic.received += len(data)
        super().data_received(data)


class Tap:
    """A transport that counts what is written."""

    def __init__(self, transport: asyncio.BaseTransport, traffic: ByteCounter) -> None:
        self._transport, self._traffic = cast(asyncio.Transport, transport), traffic

    def write(self, data: bytes) -> None:
        """Send it on."""
        self._traffic.sent += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
