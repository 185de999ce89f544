"""A real TCP proxy before an engine: it counts, cuts, and falls silent as a dead tunnel does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psutil

from engine.wire.pairing import Pairing

SLICE = 16_384  # bytes forwarded at once


class Proxy:
    """Forwards every connection to one address.

    Attributes:
        up, down: whether bytes to the engine and from it are forwarded; while not, they are left
            lying and nobody is told.
        carried: bytes forwarded, both ways.
        silent_after: bytes from the engine on one connection after which all fall silent.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.carried = 0
        self.silent_after: int | None = None
        self._ports: set[int] = set()  # of our ends of connections to the engine
        self._writers: set[asyncio.StreamWriter] = set()
        self.resume()

    async def left_by_engine(self) -> None:
        """Wait until the engine, which runs in this process, has closed its ends."""
        while await asyncio.to_thread(self._held_by_engine):
            await asyncio.sleep(0.1)

    def _held_by_engine(self) -> bool:
        connections = psutil.Process().net_connections("tcp")
        return any(
            one.laddr.port == self.target.port and one.raddr and one.raddr.port in self._ports
            for one in connections
        )

    def fall_silent(self) -> None:
        """Forward nothing any more, and close nothing."""
        self.up.clear()
        self.down.clear()

    def resume(self) -> None:
        """Forward again."""
        self.up.set()
        self.down.set()

    def cut(self) -> None:
        """End every connection at once."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either end is gone."""
        inner, outer = await asyncio.open_connection(self.target.hostname, self.target.port)
        self._ports.add(outer.get_extra_info("sockname")[1])
        ways = (self._pump(reader, outer, self.up), self._pump(inner, writer, self.down))
        self._writers |= {writer, outer}
        try:
            await asyncio.gather(*ways)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers -= {writer, outer}
            for one in (writer, outer):
                one.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, open_: asyncio.Event
    ) -> None:
        passed = 0
        while data := await source.read(SLICE):
            await open_.wait()
            passed += len(data)
            if open_ is self.down and self.silent_after and passed > self.silent_after:
                self.fall_silent()
                await open_.wait()
            sink.write(data)
            await sink.drain()
            self.carried += len(data)
        raise ConnectionResetError


@asynccontextmanager
async def through(engine: Pairing) -> AsyncIterator[tuple[Proxy, Pairing]]:
    """Put a proxy before an engine; return it with the link that leads through it."""
    proxy = Proxy(engine.url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, Pairing(f"http://127.0.0.1:{port}", engine.key)
    finally:
        server.close()
        proxy.cut()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
