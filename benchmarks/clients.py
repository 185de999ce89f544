"""Clients that benchmarks and tests share: one that looks, onlookers, and a slow link."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from engine.errors import TransportError
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.wire.client import Connection, Message
from engine.wire.handshake import open_socket
from engine.wire.messages import codec, limits, requests
from engine.wire.messages.codec import encode_preview
from engine.wire.messages.responses import JobEvent, Preview
from engine.wire.pairing import Pairing

SLICE = 0.1  # seconds of a slow link's rate that it carries at once


def a_recipe(seed: int, seconds: float) -> Recipe:
    """Return a recipe that shares nothing with one of another seed."""
    scenes = [{"prompt": "dawn over the sea, sun on the left", "seconds": seconds}]
    return parse_recipe({"scenes": scenes, "seed": 1000 * seed})


class Watcher:
    """A client that follows one job and counts what it is sent."""

    def __init__(self, engine: Pairing) -> None:
        self.events: list[JobEvent] = []
        self.previews = 0
        self.sizes: list[int] = []  # bytes of each preview
        self.finished = 0  # previews that were of finished keyframes
        self.first = 0.0  # seconds from when a film was asked for to its first preview
        self._asked = 0.0
        self.ended = asyncio.Event()
        self.connection = Connection(engine, on_message=self._take)

    def _take(self, message: Message) -> None:
        if isinstance(message, Preview):
            self.previews += 1
            self.first = self.first or time.monotonic() - self._asked
            self.sizes.append(len(encode_preview(message)))
            self.finished += message.kind == "keyframe"
        elif isinstance(message, JobEvent):
            self.events.append(message)
            if type(message.event).__name__ in ("Finished", "Failed"):
                self.ended.set()

    async def film(self, job: str, recipe: Recipe, *, previews: bool = False) -> None:
        """Have a film made, and hear of nothing else."""
        self.events.clear()
        self.ended.clear()
        self.first, self._asked = 0.0, time.monotonic()
        await self.connection.submit(job, recipe)
        await self.connection.watch(job, previews=previews)
        await self.ended.wait()

    def seconds(self) -> float:
        """Return the time from the plan to the film, by the engine's clock."""
        at = {type(message.event).__name__: message.at for message in self.events}
        return at["Finished"] - at["Planned"]


@asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[None]:
    """Keep a connection up for as long as the context lasts."""
    task = asyncio.create_task(connection.run())
    try:
        await connection.connected()
        yield
    finally:
        await connection.close()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def watching(engine: Pairing) -> AsyncIterator[Watcher]:
    """Connect a watcher."""
    watcher = Watcher(engine)
    async with running(watcher.connection):
        yield watcher


class Onlooker:
    """A connection that takes what comes, at its link's pace or never, and looks at nothing.

    Attributes:
        taken: how many messages of each type.
    """

    def __init__(self, way: Pairing, *, deaf: bool = False) -> None:
        self._way, self._deaf, self._job = way, deaf, ""
        self._socket: ClientConnection | None = None
        self.connected = asyncio.Event()
        self.taken: Counter[type] = Counter()

    async def run(self) -> None:
        """Stay connected for ever."""
        while True:
            with contextlib.suppress(TransportError, ConnectionClosed):
                async with open_socket(self._way, limits.CONTROL_PATH) as self._socket:
                    self.connected.set()
                    await self._take()
            await asyncio.sleep(1)

    async def watch(self, job: str) -> None:
        """Ask for all of a job."""
        self._job = job
        if self._socket:
            with contextlib.suppress(ConnectionClosed):
                request = requests.Watch(id=1, job=job, after=0)
                await self._socket.send(codec.encode(request))

    async def _take(self) -> None:
        assert self._socket
        if self._job:
            await self.watch(self._job)
        if self._deaf:
            await go_deaf(self._socket)
        async for message in self._socket:
            self.taken[type(message)] += 1


async def go_deaf(connection: ClientConnection) -> None:
    """Read nothing more, and let the system hold as little as it can."""
    connection.transport.pause_reading()
    inner: socket.socket = connection.transport.get_extra_info("socket")
    inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    await connection.wait_closed()


@asynccontextmanager
async def narrow(engine: Pairing, rate: int) -> AsyncIterator[Pairing]:
    """Put a link before an engine that carries ``rate`` bytes per second towards the client."""
    target = urlsplit(engine.url)
    assert target.hostname
    assert target.port
    address = (target.hostname, target.port)

    async def towards_client(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(int(rate * SLICE)):
            sink.write(data)
            await asyncio.sleep(len(data) / rate)

    async def towards_engine(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(2**16):
            sink.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = socket.socket()
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # nothing hides in buffers
        inner.setblocking(False)
        await asyncio.get_running_loop().sock_connect(inner, address)
        source, sink = await asyncio.open_connection(sock=inner, limit=2_048)
        ways = (towards_client(source, writer), towards_engine(reader, sink))
        tasks = {asyncio.create_task(way) for way in ways}
        with contextlib.suppress(asyncio.CancelledError):  # the link goes away
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, sink):
            end.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Pairing(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", engine.key)
