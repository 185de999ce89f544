"""Kills a rendering engine again and again, at random instants, and compares the films.

The models are the real ones. Every shot aims at a phase of the work and hits a random instant of
it; another kind of shot hits any instant since the engine came back. What a kill left behind is
counted from the journal and the files, so that the table tells what was really hit.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.film.events import (
    AnyEvent,
    Interrupted,
    ModelLoading,
    PieceAdvanced,
    PieceStarted,
    Started,
)
from engine.film.progress import fold
from engine.wire.messages.responses import JobEvent
from engine.wire.pairing import Pairing
from tests.conftest import Client, connected
from tests.torture.rig import (
    PATIENCE,
    Film,
    Machine,
    Outcome,
    a_film,
    a_machine,
    compare,
    ending,
    flaws,
    gone,
    persist,
    read_log,
    tiny,
)

VICTIMS = ("worker", "server", "engine")  # "engine": server and worker at the same instant
PHASES = ("load", "paint", "keep keyframe", "draw", "keep segment", "any")
AMBUSHES = ("place", "index")  # the instants after a node's file, or its row, is written
PATIENT_WITH_WORKERS = 2  # so many may die over one node; the third fails the job, rightly


def phase(event: AnyEvent) -> str:
    """Return the phase of the work that begins with an event."""
    match event:
        case PieceStarted(stage="keyframe"):
            return "paint"
        case PieceStarted(stage="segment"):
            return "draw"
        case PieceAdvanced(stage=stage, done=done, total=total):
            if done == total:
                return f"keep {stage}"
            return "paint" if stage == "keyframe" else "draw"
        case PieceStarted(stage="film"):
            return "join"
        case Started() | ModelLoading():
            return "load"
    return "between"


def durations(events: list[JobEvent]) -> dict[str, float]:
    """Return how long each phase usually takes, in seconds, in a film whose worker started cold."""
    gaps: dict[str, list[float]] = {}
    for message, following in itertools.pairwise(events):
        gaps.setdefault(phase(message.event), []).append(following.at - message.at)
    at = {type(message.event).__name__: message.at for message in reversed(events)}
    usual = {name: statistics.median(lasted) for name, lasted in gaps.items()}
    return usual | {"load": at["Planned"] - at["Started"], "any": at["Finished"] - at["Planned"]}


@dataclass
class Gallows:
    """One engine that is killed, one that is not, and the tally."""

    folder: Path
    dice: random.Random
    victim: Machine
    engine: Pairing
    calm: Pairing
    outcome: Outcome
    usual: dict[str, float] = field(default_factory=dict)
    in_a_row: int = 0  # workers that were killed since the server was
    cold: bool = True  # whether the worker starts anew for the next film

    async def film(self, number: int, kills: int) -> None:
        """Have one film made while the engine is killed, at most ``kills`` times."""
        recipe = tiny(self.dice.randrange(2**32), format=("mp4", "mp4", "gif")[number % 3])
        job = f"film-{number:04}"
        calm = await a_film(self.calm, job, recipe, self.folder / f"{job}.calm")
        self.usual = self.usual or durations(calm.events)
        async with connected(self.engine) as witness:
            await witness.connection.submit(job, recipe)
            await witness.connection.watch(job, previews=self.dice.random() < 0.5)
            for aim in self._aims(kills):
                if not await self._shoot(job, aim):
                    break  # finished before
            await witness.until(lambda: bool(ending(witness, job)), PATIENCE)
            self.cold = False
            await self._judge(job, witness, calm)

    def _aims(self, kills: int) -> list[str]:
        aims = [*PHASES, *AMBUSHES, *self.dice.choices(PHASES + AMBUSHES, k=3)]
        self.dice.shuffle(aims)
        return [*aims[: kills - 1], "join"]

    async def _shoot(self, job: str, aim: str) -> bool:
        """Kill once; False if the film was finished before."""
        async with connected(self.engine) as scout:
            snapshot = await scout.connection.watch(job, after=0, previews=False)
            await scout.until(lambda: _in_sight(scout, job, aim, snapshot.progress.seq), PATIENCE)
            if ending(scout, job):
                return False
            if aim in AMBUSHES:
                file = _coming(scout.events(job))
                await self._kill(job, lambda: lie_in_wait(self.victim.data / "engine", file, aim))
                return True
            await asyncio.sleep(self.dice.uniform(0.0, self._length(aim)))
            if ending(scout, job):
                return False
            await self._kill(job)
        return True

    def _length(self, aim: str) -> float:
        """Return about how many seconds lie in a phase; a warm worker has nothing to load."""
        load = self.usual["load"] if self.cold else 0.0
        return {"load": load, "any": load + self.usual["any"]}.get(aim, self.usual[aim])

    async def _kill(self, job: str, wait: Callable[[], bool] = lambda: True) -> None:
        """Kill as soon as ``wait``, in a thread, returns True."""
        what = self.dice.choice(VICTIMS)
        if what == "worker" and self.in_a_row >= PATIENT_WITH_WORKERS:
            what = "engine"
        family, worker = self.victim.family(), self.victim.worker()
        chosen = {"server": family[:1], "worker": [worker], "engine": [family[0], worker]}[what]
        doomed = [process.pid for process in chosen if process]
        if not await asyncio.to_thread(lambda: wait() and strike(doomed)):
            return  # nothing was killed
        self.outcome.counts.update(("kills", f"of {what}"))
        self.cold = True
        self.in_a_row = self.in_a_row + 1 if what == "worker" else 0
        left = await gone(family[1:])
        self.outcome.check(not left, f"{job}: {left} outlived a killed {what}")
        if what != "worker":
            await self.victim.stop()
            self.outcome.counts.update(await asyncio.to_thread(debris, self.victim.data / "engine"))
            self.engine = await self.victim.start()

    async def _judge(self, job: str, witness: Client, calm: Film) -> None:
        check = self.outcome.check
        seen = witness.events(job)
        check(ending(witness, job) == "Finished", f"{job} ended as {seen[-1].event}")
        if ending(witness, job) != "Finished":
            return
        for flaw in flaws(seen):
            check(False, f"{job}: the log that the witness saw: {flaw}")
        check(seen == await read_log(self.engine, job), f"{job}: the witness saw another log")
        file = self.folder / f"{job}.film"
        await persist(lambda: witness.connection.fetch(seen[-1].event.object, file))  # type: ignore[union-attr]
        for difference in compare(Film(seen, file), calm):
            check(False, f"{job}: {difference}")
        self.outcome.counts.update({"films": 1, "events": len(seen)})
        for before, message in itertools.pairwise(seen):
            if isinstance(message.event, Interrupted):
                self.outcome.counts.update(("interruptions", f"hit {phase(before.event)}"))


def _in_sight(scout: Client, job: str, aim: str, since: int) -> bool:
    """Tell whether what is aimed at has begun, after event ``since``, or the job has ended."""
    if aim in ("load", "any") or ending(scout, job):  # these may be under way already
        return True
    begun = {phase(m.event) for m in scout.events(job) if m.seq > since}
    return bool(begun & ({"keep keyframe", "keep segment"} if aim in AMBUSHES else {aim}))


def _coming(log: list[JobEvent]) -> str:
    """Return the name of the node that is about to be finished."""
    told = [message.event for message in log]
    plan = fold(log).plan
    assert plan
    last = next(event for event in reversed(told) if isinstance(event, PieceAdvanced))
    names = plan.keyframes if last.stage == "keyframe" else plan.segments
    return names[last.index]


def lie_in_wait(data: Path, name: str, aim: str) -> bool:
    """Return at the instant at which a node's file is placed, or the journal changes after that.

    False: that did not come; the engine was faster, or slower, than it was to be.
    """
    until = time.monotonic() + 5.0
    files = [data / "objects" / name[:2] / f"{name}{suffix}" for suffix in (".png", ".mp4")]
    journal = data / "engine.db-wal"
    if any(file.exists() for file in files):
        return False
    while not any(file.exists() for file in files):
        if time.monotonic() > until:
            return False
    written = journal.stat().st_mtime_ns
    while aim == "index" and journal.stat().st_mtime_ns == written:
        if time.monotonic() > until:
            return False
    return True


def strike(doomed: list[int]) -> bool:
    """Kill processes; tell whether there was any."""
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(doomed)


def debris(data: Path) -> Counter[str]:
    """Return what a killed engine left half-done, read from copies: recovery is its own job."""
    with tempfile.TemporaryDirectory() as copies:
        for file in data.glob("engine.db*"):
            shutil.copy(file, copies)
        with contextlib.closing(sqlite3.connect(Path(copies) / "engine.db")) as journal:
            indexed = {name for (name,) in journal.execute("SELECT name FROM object")}
            bodies = journal.execute("SELECT body FROM event")
            told = {json.loads(body).get("object") for (body,) in bodies}
    files = [file for file in (data / "objects").glob("*/*") if file.suffix != ".json"]
    placed = {file.stem for file in files}  # what stands beside them in JSON is their record
    half = [file for file in (data / "scratch").glob("*/*") if file.stat().st_size]
    found = {
        "left a file unplaced": bool(half),
        "left a placed file unindexed": bool(placed - indexed),
        "left an indexed node untold": bool(indexed - told),
    }
    return Counter(name for name, is_so in found.items() if is_so)


async def run(folder: Path, dice: random.Random, number: int) -> Outcome:
    """Kill ``number`` times."""
    outcome = Outcome("kill -9 of worker, server or both while films are made")
    calm = a_machine(folder / "calm")
    async with calm as (_, undisturbed), a_machine(folder / "victim") as (victim, engine):
        gallows = Gallows(folder, dice, victim, engine, undisturbed, outcome)
        films = 0
        while outcome.counts["kills"] < number:
            await gallows.film(films, number - outcome.counts["kills"])
            films += 1
        outcome.check(not victim.tracebacks(), f"tracebacks in {victim.data / 'log'}")
        files = [file for file in (victim.data / "engine" / "scratch").rglob("*")]
        outcome.check(not files, f"scratch files were left: {files}")
    return outcome
