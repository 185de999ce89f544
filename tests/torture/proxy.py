"""A TCP proxy that knows the messages which pass through it, and cuts the line where it is told.

It forwards bytes as they are; of WebSocket's framing (RFC 6455, section 5.2) it reads only lengths
and of messages only their kinds.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from websockets.utils import apply_mask

from engine.wire.pairing import Pairing

Side = Literal["client", "engine"]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what is unsent, and says so
BINARY = {1: "preview", 2: "chunk", 3: "part"}
CONTROL = {8: "close", 9: "ping", 10: "pong"}


@dataclass(frozen=True)
class Cut:
    """Where to cut: at the ``nth`` message of a kind from one side.

    Attributes:
        kind: a message's type, ``event`` and its type, ``handshake``, or a binary kind's name.
        where: ``before`` nothing of it gets through, ``inside`` half of it, ``after`` all of it.
        rude: whether the line ends with a reset, so that what was sent may be lost as well.
    """

    side: Side
    kind: str
    where: Literal["before", "inside", "after"]
    nth: int = 1
    rude: bool = False


class Proxy:
    """Carries out each cut once, across all connections that go through it."""

    def __init__(self, cuts: list[Cut]) -> None:
        self.left = list(cuts)
        self.made: list[Cut] = []
        self.seen: set[tuple[Side, str]] = set()
        self._counts: dict[tuple[Side, str], int] = {}

    def due(self, side: Side, kind: str) -> Cut | None:
        """Count a message and return the cut that is to be made at it."""
        self.seen.add((side, kind))
        count = self._counts[side, kind] = self._counts.get((side, kind), 0) + 1
        for cut in self.left:
            if (cut.side, cut.kind) == (side, kind) and count >= cut.nth:
                self.left.remove(cut)
                self.made.append(cut)
                return cut
        return None

    async def carry(
        self, side: Side, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> Cut | None:
        """Forward until one end goes or the line is cut."""
        splitter = Splitter()
        with contextlib.suppress(ConnectionError):
            while data := await source.read(2**16):
                for kind, message in splitter.feed(data):
                    cut = self.due(side, kind)
                    passing = {"before": 0, "inside": len(message) // 2, "after": len(message)}
                    sink.write(message[: passing[cut.where]] if cut else message)
                    await sink.drain()
                    if cut:
                        return cut
        return None


class Splitter:
    """Splits one direction of a connection into the HTTP head and WebSocket frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inside: bool | None = None  # None before the head; False after a refusal

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Take in what was read; yield the kind and bytes of each message that is complete."""
        self._buffer += data
        while size := self._size():
            message = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield self._kind(message), message
            if self._inside is None:
                self._inside = message.startswith((b"GET ", b"HTTP/1.1 101 "))

    def _kind(self, message: bytes) -> str:
        if self._inside is None:
            return "handshake"
        return _kind(message) if self._inside else "refusal"

    def _size(self) -> int:
        """Return the length of the first message, or 0 while it is incomplete."""
        if self._inside is None:
            end = self._buffer.find(b"\r\n\r\n")
            return end + 4 if end >= 0 else 0
        if not self._inside:
            return len(self._buffer)
        if len(self._buffer) < _head(self._buffer):
            return 0
        size = _head(self._buffer) + _payload(self._buffer)
        return size if len(self._buffer) >= size else 0


def _head(frame: bytes | bytearray) -> int:
    """Return the length of a frame's head; 2 while not even that is known."""
    if len(frame) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(frame[1] & 127, 0) + (4 if frame[1] & 128 else 0)


def _payload(frame: bytes | bytearray) -> int:
    length = frame[1] & 127
    match length:
        case 126:
            return int.from_bytes(frame[2:4], "big")
        case 127:
            return int.from_bytes(frame[2:10], "big")
    return length


def _kind(frame: bytes) -> str:
    opcode, head = frame[0] & 15, _head(frame)
    if opcode in CONTROL:
        return CONTROL[opcode]
    payload = apply_mask(frame[head:], frame[head - 4 : head]) if frame[1] & 128 else frame[head:]
    if opcode == 2:
        return BINARY[payload[0]]
    message = json.loads(payload)
    kind = str(message["type"])
    return f"event {message['event']['type']}" if kind == "event" else kind


@asynccontextmanager
async def cutting(engine: Pairing, cuts: list[Cut]) -> AsyncIterator[tuple[Proxy, Pairing]]:
    """Put a proxy before an engine; yield it and how to get to the engine through it."""
    proxy, target, tasks = Proxy(cuts), urlsplit(engine.url), set[asyncio.Task[None]]()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with contextlib.suppress(ConnectionError):
            far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
            await _both(proxy, reader, far_writer, far_reader, writer)
        writer.transport.abort()
        tasks.discard(task)

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, Pairing(f"http://127.0.0.1:{port}", engine.key)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _both(
    proxy: Proxy,
    reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Forward in both directions until either ends; then both lines end."""
    ways = {
        asyncio.create_task(proxy.carry("client", reader, far_writer)),
        asyncio.create_task(proxy.carry("engine", far_reader, writer)),
    }
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        cuts = [way.result() for way in done]
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    for end in (writer, far_writer):
        if any(cut and cut.rude for cut in cuts):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.transport.abort()
