"""The engine's end of a WebSocket: how it comes in, and many messages by one write.

What fifty clients are sent is framed once, and costs each of them one call of the system. It knows
no messages, and not who may come in.
"""

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

HALF_OPEN = 128  # connections that may be at the door at once


def framed(message: str | bytes) -> bytes:
    """Return a message as a server's frame, which is not masked and so the same for everybody."""
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, message).serialize(mask=False)


class Line(ServerConnection):
    """A connection that takes whole frames; nobody sends fragments on it.

    Args:
        coming: those at the door, the first to come first. Where there are too many, that one is
            cut off: who means well is through in no time.
    """

    def __init__(self, *args: Any, coming: "dict[Line, None]", **options: Any) -> None:
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
        """Send what ``framed`` gave; wait while the other end takes nothing.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        async with self.send_context():
            self.protocol.writes.append(frames)
