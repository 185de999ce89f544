"""What the scenarios share: engines that can be killed, films to compare, and the table.

An engine is a process started as users start it. It keeps its port when it is started again, so
that a client which never leaves finds it.
"""

import asyncio
import contextlib
import os
import random
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import psutil

from engine.errors import TransportError
from engine.film.events import FINAL, PieceFinished
from engine.film.recipe import Recipe
from engine.film.stages import STAGES
from engine.local import find_engine
from engine.wire.messages.responses import JobEvent
from engine.wire.pairing import Pairing
from tests.conftest import Client, a_recipe, connected
from tests.pieces import finished

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 300.0  # seconds that anything may take on a busy machine
PORTS = range(20_000, 30_000)  # below those that systems give to outgoing connections


@dataclass
class Outcome:
    """What a scenario did, what it counted, and what was wrong: nothing, if all is well."""

    did: str
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def check(self, right: object, wrong: str) -> None:
        """Note a failure unless ``right`` is true, and say so at once: the rest may take long."""
        if not right:
            self.failures.append(wrong)
            print(f"WRONG: {wrong}", file=sys.stderr, flush=True)


class Machine:
    """An engine in a process of its own.

    Args:
        data: its data folder; ``log`` there holds what it says.
        stand_in: whether its worker only pretends to paint.
        environment: more variables for its processes.
    """

    def __init__(self, data: Path, *, stand_in: bool = False, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self._command = ("tests.stand_ins.engine",) if stand_in else ("engine", "serve", "--data")
        self._folder = data / "engine" if stand_in else data
        self._environment = {**os.environ, **environment}
        self.process: psutil.Popen | None = None

    async def start(self) -> Pairing:
        """Start it and wait until it answers."""
        self._let_go()
        self.data.mkdir(parents=True, exist_ok=True)
        command = (*self._command, str(self._folder), "--port", str(self.port))
        with (self.data / "log").open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        async with asyncio.timeout(PATIENCE):
            while not (engine := await asyncio.to_thread(find_engine, self.data / "engine")):
                if self.process.poll() is not None:
                    log = (self.data / "log").read_text(errors="replace")
                    raise AssertionError(f"the engine has ended at its start:\n{log[-8000:]}")
                await asyncio.sleep(0.02)
        return engine

    def family(self) -> list[psutil.Process]:
        """Return the server and all that it started: worker, encoders."""
        assert self.process
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def worker(self) -> psutil.Process | None:
        """Return the worker's process, if there is one at the moment."""
        assert self.process
        with contextlib.suppress(psutil.NoSuchProcess):
            return next((p for p in self.process.children() if alive(p)), None)
        return None

    def tracebacks(self) -> int:
        """Return how many tracebacks stand in the log."""
        return (self.data / "log").read_text(errors="replace").count("Traceback (most recent")

    async def stop(self) -> None:
        """End it for good."""
        if self.process:
            await end(self.process)
        self._let_go()

    def _let_go(self) -> None:
        """Close our end of its input, at whose end a stand-in ends."""
        if self.process and self.process.stdin:
            self.process.stdin.close()


@asynccontextmanager
async def a_machine(data: Path, **options: Any) -> AsyncIterator[tuple[Machine, Pairing]]:
    """Run an engine in a process of its own while the context lasts."""
    machine = Machine(data, **options)
    try:
        yield machine, await machine.start()
    finally:
        await machine.stop()


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


async def gone(processes: Iterable[psutil.Process], patience: float = PATIENCE) -> list[str]:
    """Wait until processes have ended; return those that have not."""
    left = list(processes)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while left := [process for process in left if alive(process)]:
                await asyncio.sleep(0.02)
    return [str(process) for process in left]


async def end(process: psutil.Popen) -> None:
    """Kill a process of ours and all that it started."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    await gone(family)
    process.wait()  # it is over; this lets the system forget it


async def persist(ask: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Ask again whenever the connection breaks, as the app does."""
    async with asyncio.timeout(patience):
        while True:
            try:
                return await ask()
            except TransportError:
                await asyncio.sleep(0.1)


# Films


@dataclass(frozen=True)
class Film:
    """A finished film: the events that told of it, and its file."""

    events: list[JobEvent]
    file: Path

    @property
    def nodes(self) -> dict[str, str]:
        """Hashes of all contents by content address."""
        told = [message.event for message in self.events]
        return {event.object: event.sha256 for event in told if isinstance(event, PieceFinished)}

    def frames(self) -> list[str]:
        """Return a hash of each frame's pixels."""
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(self.file)]
        said = subprocess.run(
            [*command, "-f", "framemd5", "-"], capture_output=True, text=True, check=True
        ).stdout
        return [line.split()[-1] for line in said.splitlines() if not line.startswith("#")]


def tiny(seed: int, **settings: Any) -> Recipe:
    """Return the recipe of a small film: 7 keyframes and 13 frames of 64 × 64 pixels."""
    about = {"width": 64, "height": 64, "fps": 13, "interpolation_factor": 2, "seed": seed}
    prompts = ("dawn over the sea", "a city at night")
    return a_recipe(*prompts, **{"num_inference_steps": 3, **about, **settings})


async def a_film(engine: Pairing, job: str, recipe: Recipe, file: Path) -> Film:
    """Have a film made and fetch it."""
    async with connected(engine) as client:
        await client.connection.submit(job, recipe)
        await client.connection.watch(job, previews=False)
        await client.until(lambda: bool(ending(client, job)), PATIENCE)
        assert ending(client, job) == "Finished", client.events(job)[-1]
        await client.connection.fetch(client.events(job)[-1].event.object, file)  # type: ignore[union-attr]
        return Film(client.events(job), file)


def ending(client: Client, job: str) -> str:
    """Return the type of a job's last event; empty while it goes on."""
    last = client.types(job)[-1:]
    return last[0] if last and last[0] in ("Finished", "Cancelled", "Failed") else ""


async def read_log(engine: Pairing, job: str) -> list[JobEvent]:
    """Read the whole log of a job that has ended, over a connection of its own."""
    async with connected(engine) as client:
        snapshot = await client.connection.watch(job, after=0, previews=False)
        await client.count(job, snapshot.progress.seq)
        return client.events(job)


def flaws(events: list[JobEvent]) -> list[str]:
    """Return what is wrong with a log: gaps, duplicates, nodes that were finished twice."""
    found = []
    if [message.seq for message in events] != list(range(1, len(events) + 1)):
        found.append(f"numbers are {[message.seq for message in events]}")
    for stage in STAGES:
        told = [message.event for message in events]
        indexes = [event.index for event in finished(told, stage)]
        if len(indexes) != len(set(indexes)):  # their order is the plan's business
            found.append(f"{stage} finished for {indexes}")
    if [message.seq for message in events if isinstance(message.event, FINAL)] != [len(events)]:
        found.append("it has not exactly one end")
    return found


def compare(film: Film, calm: Film) -> list[str]:
    """Return how a film differs from the one that was never disturbed."""
    found = []
    if film.nodes != calm.nodes:
        found.append("keyframes, segments or the film have other hashes")
    if film.frames() != calm.frames():
        found.append("its frames differ")
    if film.file.read_bytes() != calm.file.read_bytes():
        found.append("its bytes differ")
    return found
