"""Makes one small film after another through one engine: at the end it holds what it held early.

The models are the real ones. Each film has a client of its own, which takes previews and fetches
the film, as an app would that is opened and closed.
"""

import asyncio
import random
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from engine.film.recipe import Recipe
from engine.wire.pairing import Pairing
from tests.conftest import connected
from tests.torture.rig import PATIENCE, Machine, Outcome, a_machine, ending, tiny

EARLY = 10  # films after which everything that is kept should be there
# Share, or MiB, that memory may still grow by: a thread that comes late brings an arena of 0.5 MiB,
# and Python's table of interned strings (parts of paths are) doubles at some time.
GROWTH, LEAST = 0.05, 3.0
HELPERS = 4  # threads that asyncio may still start at a time of need; it never ends them


@dataclass(frozen=True)
class Holding:
    """What a process holds: MiB of resident memory, open files, threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, process: psutil.Process) -> "Holding":
        """Look at a process."""
        with process.oneshot():
            memory = process.memory_info().rss / 2**20
            return cls(memory, process.num_fds(), process.num_threads())

    def __str__(self) -> str:
        return "{:.1f} MiB, {} files, {} threads".format(*astuple(self))


async def look(machine: Machine) -> dict[str, Holding]:
    """Return what the server and the worker hold, once nobody is connected."""
    worker = machine.worker()
    assert machine.process
    assert worker
    async with asyncio.timeout(PATIENCE):
        while machine.process.net_connections()[1:]:  # the first is its door
            await asyncio.sleep(0.05)
    return {"server": Holding.of(machine.process), "worker": Holding.of(worker)}


def _more(early: Holding, late: Holding) -> bool:
    """Tell whether a process holds more than it may."""
    allowed = early.memory + max(LEAST, GROWTH * early.memory)
    threads = early.threads + HELPERS
    return late.memory > allowed or late.files > early.files or late.threads > threads


async def a_small_film(engine: Pairing, job: str, recipe: Recipe, file: Path) -> str:
    """Have a film made and fetched by a client that comes and goes; return how it ended."""
    async with connected(engine) as client:
        await client.connection.submit(job, recipe)
        await client.connection.watch(job)
        await client.until(lambda: bool(ending(client, job)), PATIENCE)
        if ending(client, job) == "Finished":
            await client.connection.fetch(client.events(job)[-1].event.object, file)  # type: ignore[union-attr]
        return ending(client, job)


async def run(folder: Path, dice: random.Random, number: int, *, stand_in: bool = False) -> Outcome:
    """Make ``number`` films."""
    outcome = Outcome("small films in a row through one engine")
    async with a_machine(folder / "engine", stand_in=stand_in) as (machine, engine):
        for film in range(1, number + 1):
            settings = {"num_inference_steps": 1, "interpolation_factor": 6}
            recipe = tiny(dice.randrange(2**32), format=dice.choice(("mp4", "gif")), **settings)
            end = await a_small_film(engine, f"film-{film:04}", recipe, folder / "film")
            outcome.check(end == "Finished", f"film {film} ended as {end}")
            outcome.counts.update(("films",))
            if film == EARLY:
                early = await look(machine)
            if film % 50 == 0 or film in (EARLY, number):
                held = (await look(machine)).items()
                outcome.notes += [f"after {film}: {who}: {holding}" for who, holding in held]
        for who, late in (await look(machine)).items():
            outcome.check(not _more(early[who], late), f"{who}: {early[who]} → {late}")
        outcome.check(not machine.tracebacks(), f"tracebacks in {machine.data / 'log'}")
    return outcome
