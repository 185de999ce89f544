"""Kills engines for good in mid-film; the app goes on with each film on a fresh one.

The app's own hub mirrors, pairs and moves; engines and models are the real ones. What was painted
where is counted from the journals that the dead engines leave behind.
"""

import asyncio
import contextlib
import json
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineUnreachableError
from engine.film.recipe import Recipe
from engine.film.stages import KEYFRAME
from engine.wire.pairing import Pairing
from tests.torture.rig import (
    PATIENCE,
    Film,
    Machine,
    Outcome,
    a_film,
    a_machine,
    compare,
    flaws,
    read_log,
    tiny,
)
from ui.engines.hub import Hub
from ui.storage.job_views import JobView
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

MOVES = 4  # of one film


def no_local_engine(_folder: Path) -> Pairing:
    raise EngineUnreachableError("there is none here")


@contextlib.contextmanager
def studio(folder: Path) -> Iterator[Hub]:
    """Run the app's hub, without pages."""
    folder.mkdir()
    library = Library(sqlite_engine(folder / "library.db"), folder / "films")
    hub = Hub(library, folder, start_local=no_local_engine)
    hub.start()
    try:
        yield hub
    finally:
        hub.close()


async def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until something is true, asked in a thread as a page would."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await asyncio.to_thread(condition)):
            await asyncio.sleep(0.01)
    return found


def painted(data: Path) -> list[str]:
    """Return the keyframes that an engine painted itself, by its journal."""
    with tempfile.TemporaryDirectory() as copies:
        for file in data.glob("engine/engine.db*"):
            shutil.copy(file, copies)
        with contextlib.closing(sqlite3.connect(Path(copies) / "engine.db")) as journal:
            told = [json.loads(body) for (body,) in journal.execute("SELECT body FROM event")]
    finished = [event for event in told if event["type"] == "piece_finished"]
    keyframes = [event for event in finished if event["stage"] == "keyframe"]
    return [event["object"] for event in keyframes if not event["reused"]]


@dataclass
class Odyssey:
    """One film and the engines that it outlives."""

    folder: Path
    dice: random.Random
    hub: Hub
    recipe: Recipe
    outcome: Outcome
    legs: list[tuple[Machine, set[str]]] = field(default_factory=list)  # with what came along

    async def run(self, moves: int, calm: Film) -> None:
        """Make the film, moving it at most ``moves`` times."""
        engine = await self._engine(set())
        job = await asyncio.to_thread(self.hub.submit, self.recipe)
        try:
            for _ in range(moves):
                if not await self._lose(job):
                    break  # it was finished before
                engine = await self._engine(self._safe(job))
                await asyncio.to_thread(self.hub.move, job)
                job = await eventually(lambda job=job: self._successor(job))
            await eventually(lambda: self._view(job).settled)
            await self._judge(job, engine, calm)
        finally:
            for machine, _ in self.legs:
                await machine.stop()

    async def _engine(self, along: set[str]) -> Pairing:
        """Start a fresh engine and pair with it; it will be brought ``along``."""
        machine = Machine(self.folder / f"engine-{len(self.legs)}")
        self.legs.append((machine, along))
        engine = await machine.start()
        await asyncio.to_thread(self.hub.pair, engine.link)
        return engine

    async def _lose(self, job: str) -> bool:
        """Kill the engine for good soon after it finished something; False if that was the film."""
        before = len(self.hub.pieces.downloaded(job))
        await eventually(lambda: len(self.hub.pieces.downloaded(job)) > before or self._ended(job))
        await asyncio.sleep(self.dice.uniform(0.0, 0.5))
        if self._ended(job):
            return False
        machine, _ = self.legs[-1]
        await machine.stop()
        await eventually(lambda: not self._view(job).reachable)
        lost = len(set(painted(machine.data)) - self._safe(job))
        self.outcome.counts.update({"moves": 1, "keyframes that died on their way here": lost})
        self.outcome.check(lost <= 1, f"{lost} finished keyframes were not here yet")
        return True

    async def _judge(self, job: str, engine: Pairing, calm: Film) -> None:
        check, row = self.outcome.check, self.hub.library.get(job)
        check(row and row.status == "finished", f"the film ended as {row and row.status}")
        if not row or row.status != "finished":
            return
        log = await read_log(engine, job)
        for wrong in (*flaws(log), *compare(Film(log, self.hub.library.file(row)), calm)):
            check(False, f"{self.folder.name}: {wrong}")
        self.outcome.counts.update({"films": 1})

        for machine, along in self.legs:
            made = painted(machine.data)
            self.outcome.counts.update({"keyframes painted": len(made)})
            twice = along & set(made) or len(made) - len(set(made))
            check(not twice, f"{machine.data}: painted again: {twice}")

    def _safe(self, job: str) -> set[str]:
        """Return the keyframes that are on the laptop."""
        here = self.hub.pieces.downloaded(job)
        return {name for name, piece in here.items() if piece.stage is KEYFRAME}

    def _view(self, job: str) -> JobView:
        view = self.hub.find(job)
        assert view
        return view

    def _ended(self, job: str) -> bool:
        return self._view(job).progress.final

    def _successor(self, job: str) -> str:
        view = self._view(job)
        assert not view.move_error, view.move_error
        return view.successor


async def run(folder: Path, dice: random.Random, number: int) -> Outcome:
    """Move films until ``number`` moves were made."""
    outcome = Outcome("the engine killed for good in mid-film, the film moved to a fresh one")
    async with a_machine(folder / "calm") as (_, calm):
        while (made := outcome.counts["moves"]) < number:
            recipe = tiny(dice.randrange(2**32), fps=24, num_inference_steps=8)
            place = folder / f"film-{outcome.counts['films']:03}"
            undisturbed = await a_film(calm, place.name, recipe, place.with_suffix(".calm"))
            with studio(place) as hub:
                odyssey = Odyssey(place, dice, hub, recipe, outcome)
                await odyssey.run(min(MOVES, number - made), undisturbed)
    return outcome
