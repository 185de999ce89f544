"""What the tests of faults share: engines as processes, disks that fill up or cannot be written.

The disks are real: a tmpfs in a mount namespace of its own, which needs no rights where the system
allows user namespaces, and none but root's elsewhere.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from engine.film.events import AnyEvent, Failed, Finished
from engine.film.recipe import Recipe
from engine.wire.pairing import Pairing
from tests.conftest import PATIENCE, Client, connected
from tests.processes import ROOT, Process

STAND_IN = (sys.executable, "-m", "tests.stand_ins.engine")
REAL = (sys.executable, "-m", "engine", "serve", "--until-input-ends", "--data")


@asynccontextmanager
async def an_engine_process(
    data: Path,
    *,
    command: Sequence[str] = STAND_IN,
    inside: Sequence[str] = (),
    **environment: str,
) -> AsyncIterator[tuple[Pairing, Process]]:
    """Run an engine; ``inside`` is what to start it with, such as a disk's ``inside``."""
    with start(data, command=command, inside=inside, **environment) as process:
        line = await asyncio.to_thread(process.line)
        yield Pairing.parse(line.removeprefix("Pairing link: ")), process


def start(
    data: Path,
    *,
    command: Sequence[str] = STAND_IN,
    inside: Sequence[str] = (),
    **environment: str,
) -> Process:
    """Start an engine that ends with its standard input."""
    log = data.with_name(data.name + ".log")
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return Process([*inside, *command, str(data)], log, graceful=True, **environment)


def refused_to_start(data: Path, inside: Sequence[str] = ()) -> str:
    """Start an engine that cannot run; return what it writes to its log."""
    with start(data, inside=inside) as process:
        assert process.wait() == 1, process.output
        return process.log


class Disk:
    """A small disk, mounted at ``path`` for those who are started ``inside``."""

    def __init__(self, path: Path, holder: int) -> None:
        self.path, self._holder = path, holder
        self.outside = Path(f"/proc/{holder}/root") / path.relative_to("/")
        user = ("--user", "--preserve-credentials") if os.geteuid() else ()
        self.inside = ("nsenter", "--target", str(holder), *user, "--mount")

    def fill(self, leave: int = 0) -> None:
        """Take all room but ``leave`` bytes."""
        free = shutil.disk_usage(self.outside).free
        with contextlib.suppress(OSError), (self.outside / "filler").open("ab") as filler:
            filler.write(bytes(max(0, free - leave)))

    def free(self) -> None:
        """Give the room back."""
        (self.outside / "filler").unlink()

    def remount(self, how: str) -> None:
        """Mount it anew: ``ro`` or ``rw``."""
        mount = ("mount", "-o", f"remount,bind,{how}", str(self.path))
        subprocess.run([*self.inside, *mount], check=True)


@contextmanager
def a_disk(path: Path, size: int) -> Iterator[Disk]:
    """Mount a disk of ``size`` bytes; skip the test where the system allows that to nobody."""
    path.mkdir()
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    mount = f"mount -t tmpfs -o size={size} tmpfs '{path}' && echo mounted && exec cat"
    try:
        holder = subprocess.Popen(
            ["unshare", *user, "--mount", "sh", "-c", mount],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("this system has no unshare")
    assert holder.stdout
    try:
        if "mounted" not in holder.stdout.readline():
            pytest.skip("this system lets nobody but root mount a file system")
        yield Disk(path, holder.pid)
    finally:
        holder.communicate()


async def film_of(client: Client, job: str, recipe: Recipe, patience: float = PATIENCE) -> Finished:
    """Have a film made; it must be finished."""
    return made(await _end_of(client, job, recipe, patience))


def made(last: AnyEvent) -> Finished:
    """Return a job's film, without how much memory it took: none, where it was found."""
    assert isinstance(last, Finished), last
    return msgspec.structs.replace(last, memory=0)


async def failure_of(
    client: Client, job: str, recipe: Recipe | None = None, patience: float = PATIENCE
) -> Failed:
    """Have a film made, or wait for one that is watched; it must fail."""
    last = await _end_of(client, job, recipe, patience)
    assert isinstance(last, Failed), last
    return last


async def _end_of(client: Client, job: str, recipe: Recipe | None, patience: float) -> AnyEvent:
    if recipe:
        await client.connection.submit(job, recipe)
        await client.connection.watch(job)
    ends = {"Finished", "Cancelled", "Failed"}
    await client.until(lambda: bool(ends & set(client.types(job))), patience)
    return client.events(job)[-1].event


async def undisturbed(folder: Path, recipe: Recipe) -> Finished:
    """Return the film that an engine makes to which nothing happens."""
    async with an_engine_process(folder) as (engine, _), connected(engine) as client:
        return await film_of(client, "job-undisturbed", recipe)


def flip(path: Path, place: int = -1) -> None:
    """Flip one bit of a file; by default in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place < 0 else place] ^= 1
    path.write_bytes(content)


def painted(client: Client, job: str) -> int:
    return client.types(job).count("keyframe started")
