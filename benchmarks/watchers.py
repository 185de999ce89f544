"""Do fifty watchers slow down painting? Two engines, the same films, in turns, in one run.

    python -m benchmarks.watchers [--rounds 8]

``alone``: one client follows the events without previews. ``watched``: fifty more take events and
previews, one of them through a link of 1 KB/s, and one that never reads. They run in a process of
their own at the lowest priority, because in life they sit on other machines; what they still take
from the engine counts against it here. Prints how much longer a watched film takes, as the median
over rounds of the ratio inside one round, and the processor time of the server, and asserts that
the films are equal bit for bit.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.previews import a_recipe, watching
from engine import daemon, protocol
from engine.dial import opened
from engine.errors import TransportError
from engine.models import catalogue
from engine.pairing import Pairing
from engine.recipe import Recipe

MODES = ("alone", "watched")
WATCHERS = 50
NARROW = 1_000  # bytes per second of the slowest reader's link
SLICE = 0.1  # seconds


# The crowd, in a process of its own


async def crowd(engine: Pairing) -> None:
    """Watch every job whose id comes on the standard input, with ``WATCHERS`` connections."""
    async with narrow(engine) as link:
        ways = [engine] * (WATCHERS - 2) + [link]
        watchers = [Watcher(way) for way in ways] + [Watcher(engine, deaf=True)]
        tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
        await asyncio.gather(*(watcher.connected.wait() for watcher in watchers))
        print("ready", flush=True)
        while job := (await asyncio.to_thread(sys.stdin.readline)).strip():
            for watcher in watchers:
                await watcher.watch(job)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Watcher:
    """A connection that takes what comes, at its link's pace or never, and looks at nothing."""

    def __init__(self, way: Pairing, *, deaf: bool = False) -> None:
        self._way, self._deaf, self._job = way, deaf, ""
        self._socket: ClientConnection | None = None
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Stay connected for ever."""
        while True:
            with contextlib.suppress(TransportError, ConnectionClosed):
                async with opened(self._way, protocol.CONTROL_PATH) as self._socket:
                    self.connected.set()
                    await self._take()
            await asyncio.sleep(1)

    async def watch(self, job: str) -> None:
        """Ask for all of a job."""
        self._job = job
        if self._socket:
            with contextlib.suppress(ConnectionClosed):
                request = protocol.Watch(id=1, job=job, after=0)
                await self._socket.send(protocol.encode(request))

    async def _take(self) -> None:
        assert self._socket
        if self._job:
            await self.watch(self._job)
        if self._deaf:
            await go_deaf(self._socket)
        async for _ in self._socket:
            pass


async def go_deaf(connection: ClientConnection) -> None:
    """Read nothing more, and let the system hold as little as it can."""
    connection.transport.pause_reading()
    inner: socket.socket = connection.transport.get_extra_info("socket")
    inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    await connection.wait_closed()


@asynccontextmanager
async def narrow(engine: Pairing, rate: int = NARROW) -> AsyncIterator[Pairing]:
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


@asynccontextmanager
async def a_crowd(engine: Pairing) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``crowd`` in a process of its own, at the lowest priority."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.watchers", "--crowd", engine.link),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.nice(19),
    )
    assert process.stdin
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


# The measurement


async def film(
    engine: Pairing, recipe: Recipe, job: str, others: asyncio.subprocess.Process | None
) -> tuple[float, float, str]:
    """Make a film; return its seconds, the server's processor seconds, and its hash."""
    async with watching(engine) as watcher:
        before = resource.getrusage(resource.RUSAGE_SELF)
        await watcher.connection.submit(job, recipe)
        if others and others.stdin:
            others.stdin.write(f"{job}\n".encode())
        await watcher.connection.watch(job, previews=False)
        await watcher.ended.wait()
        after = resource.getrusage(resource.RUSAGE_SELF)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return watcher.seconds(), used, watcher.events[-1].event.sha256  # type: ignore[union-attr]


async def run(rounds: int, seconds: float) -> None:
    """Measure and print."""
    took: dict[str, list[float]] = {mode: [] for mode in MODES}
    used: dict[str, list[float]] = {mode: [] for mode in MODES}
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engines = {}
        for mode in MODES:
            options = daemon.Options(data=folder / mode, models=catalogue())
            engines[mode] = await stack.enter_async_context(daemon.running(options))
        others = await stack.enter_async_context(a_crowd(engines["watched"]))
        for number in range(rounds + 1):
            recipe, hashes = a_recipe(number, seconds), set()
            for mode in MODES if number % 2 else reversed(MODES):
                watched = others if mode == "watched" else None
                lasted, spent, sha256 = await film(
                    engines[mode], recipe, f"round-{number:03}", watched
                )
                hashes.add(sha256)
                if number:  # the first round warms up
                    took[mode].append(lasted)
                    used[mode].append(spent)
            assert len(hashes) == 1, "watching changed the film"
    report(took, used)


def report(took: dict[str, list[float]], used: dict[str, list[float]]) -> None:
    """Print one line for each mode, then the comparison."""
    for mode in MODES:
        print(
            f"{mode:8} median {statistics.median(took[mode]):6.2f} s  min {min(took[mode]):6.2f} s"
            f"  server's processor time {statistics.median(used[mode]):5.2f} s a film"
        )
    ratios = [a / b for a, b in zip(took["watched"], took["alone"], strict=True)]
    print(
        f"with {WATCHERS} watchers a film takes longer by: "
        f"median {100 * (statistics.median(ratios) - 1):+.1f} %, "
        f"of the minima {100 * (min(took['watched']) / min(took['alone']) - 1):+.1f} %"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each film")
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(
        crowd(Pairing.parse(given.crowd)) if given.crowd else run(given.rounds, given.seconds)
    )
