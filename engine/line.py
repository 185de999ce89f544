"""The engine's end of a WebSocket, on which many messages go out by one write.

What fifty clients are sent is framed once, and costs each of them one call of the system. It knows
no messages.
"""

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode


def framed(message: str | bytes) -> bytes:
    """Return a message as a server's frame, which is not masked and so the same for everybody."""
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, message).serialize(mask=False)


class Line(ServerConnection):
    """A connection that takes whole frames; nobody sends fragments on it."""

    async def send_frames(self, frames: bytes) -> None:
        """Send what ``framed`` gave; wait while the other end takes nothing.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        async with self.send_context():
            self.protocol.writes.append(frames)
