"""The private parts of libraries that the engine uses, each in one function.

``tests/engine/test_compat.py`` fails by name once a new version has removed a part.
"""

from collections.abc import Mapping
from typing import Any

from websockets.asyncio.connection import Connection


async def send_serialized(connection: Connection, frames: bytes) -> None:
    """Send frames that are serialized already, by one write; wait while the peer takes nothing.

    websockets has no public way to send a frame that one message made for many connections.

    Raises:
        ConnectionClosed: the connection has ended.
    """
    async with connection.send_context():
        connection.protocol.writes.append(frames)


def counts_written_bytes(bar: Mapping[str, Any]) -> bool:
    """Return whether a progress bar of huggingface_hub counts the bytes that are written.

    Args:
        bar: the arguments that the library makes the bar with.

    Other bars count files, or bytes received, which compression may make fewer. The library tells
    them apart by the English text of their description alone.
    """
    received = "downloading bytes" in str(bar.get("desc", "")).lower()
    return bar.get("unit") == "B" and not received
