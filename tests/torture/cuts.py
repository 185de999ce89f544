"""Cuts the socket at every kind of message, from both sides: before it, inside it and after it.

The server, the client and the transport are the real ones; the worker only pretends to paint. A
session does everything that the protocol offers, over one connection that nobody renews by hand.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from engine.errors import TransportError, UnknownJobError, VisionFluxError
from engine.film import events
from engine.film.events import Finished
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.wire.client import Connection
from engine.wire.messages import requests, responses
from engine.wire.pairing import Pairing
from tests.conftest import Client
from tests.torture.proxy import Cut, cutting
from tests.torture.rig import PATIENCE, Outcome, a_machine, ending, flaws, persist, read_log, tiny

AT_ONCE = 8  # sessions
PLACES = ("before", "inside", "after")
STEP_SECONDS = "0.005"
SPECIAL = {  # prompts that make the stand-in worker bring about rare events
    "event failed": "always crash",
    "event interrupted": "always crash",
    "event economized": "run short",
}


def tag(message: type) -> str:
    """Return the ``type`` of a message or an event."""
    return str(message.__struct_config__.tag)  # type: ignore[attr-defined]


def kinds() -> list[tuple[str, str]]:
    """Return all kinds of messages there are, as the protocol declares them, with their sender."""
    asked = [*get_args(requests.ControlRequest), *get_args(requests.DataRequest)]
    client = ["handshake", *map(tag, asked), "part"]
    answered = [
        tag(kind) for kind in get_args(responses.AnyResponse) if kind is not responses.JobEvent
    ]
    told = [f"event {tag(kind)}" for kind in get_args(events.AnyEvent)]
    engine = ["handshake", *answered, *told, "preview", "chunk"]
    return [*(("client", kind) for kind in client), *(("engine", kind) for kind in engine)]


EVERY = len(kinds()) * len(PLACES)  # sessions in which every cut happens that there is


@dataclass
class Session:
    """One client that uses all of the protocol, and checks what it got.

    Attributes:
        engine: how the client gets to it.
        direct: how the engine's own word can be had.
        special: a prompt of one more job that brings about a rare event.
    """

    name: str
    engine: Pairing
    direct: Pairing
    folder: Path
    recipe: Recipe
    outcome: Outcome
    special: str = ""

    async def run(self) -> None:
        """Do it all."""
        try:
            async with asyncio.timeout(PATIENCE), self._client() as client:
                await self._talk(client.connection)
                await self._bring(client.connection)
                await self._film(client)
                await self._others(client)
        except (VisionFluxError, TimeoutError) as error:
            self.outcome.check(False, f"{self.name}: {type(error).__name__}: {error}")
        else:
            self.outcome.counts.update(("sessions",))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        """Connect a client, however often the first attempts fail."""
        client = Client(self.engine)
        task = asyncio.create_task(client.connection.run())
        try:
            await client.connection.connected(PATIENCE)
            yield client
            self.outcome.check(not task.done(), f"{self.name}: the client gave up")
        finally:
            await client.connection.close()
            await task

    async def _talk(self, connection: Connection) -> None:
        await persist(connection.describe)
        await persist(connection.jobs)
        with contextlib.suppress(UnknownJobError):
            await persist(lambda: connection.watch("no-such-job"))
            self.outcome.check(False, f"{self.name}: an unknown job can be watched")

    async def _bring(self, connection: Connection) -> None:
        """Bring an object of several parts, and fetch it again."""
        name, picture = random.randbytes(32).hex(), self.folder / "picture.png"
        missing = await persist(lambda: connection.find_missing([name]))
        self.outcome.check(missing == (name,), f"{self.name}: {missing} are missing")
        await persist(lambda: connection.upload(name, picture, "image/png"))
        back = self.folder / f"{self.name}.png"
        await persist(lambda: connection.fetch(name, back))
        self.outcome.check(back.read_bytes() == picture.read_bytes(), f"{self.name}: other bytes")

    async def _film(self, client: Client) -> None:
        job = f"{self.name}-film"
        await self._begin(client, job, self.recipe)
        await persist(lambda: client.connection.show_previews(job, True))
        await client.until(lambda: bool(ending(client, job)), PATIENCE)
        await self._judge(client, job, "Finished")
        film = client.events(job)[-1].event
        if isinstance(film, Finished):
            file = self.folder / f"{self.name}.film"
            await persist(lambda: client.connection.fetch(film.object, file))
        await persist(lambda: client.connection.unwatch(job))

    async def _others(self, client: Client) -> None:
        """Let a job rest and go on, cancel it, and have one to which something rare happens."""
        job = f"{self.name}-cancelled"
        await self._begin(client, job, tiny(self.recipe.seed, num_inference_steps=150))
        await persist(lambda: client.connection.pause(job))
        await client.until(lambda: "Paused" in client.types(job) or bool(ending(client, job)))
        await persist(lambda: client.connection.resume(job))
        await persist(lambda: client.connection.cancel(job))
        await client.until(lambda: bool(ending(client, job)), PATIENCE)
        await self._judge(client, job, "Cancelled", "Finished")  # the wish may come late
        if self.special:
            job = f"{self.name}-special"
            recipe = {"scenes": [{"prompt": self.special}], "fps": 1, "seed": self.recipe.seed}
            await self._begin(client, job, parse_recipe(recipe))
            await client.until(lambda: bool(ending(client, job)), PATIENCE)
            await self._judge(client, job, "Failed", "Finished")

    async def _begin(self, client: Client, job: str, recipe: Recipe) -> None:
        await persist(lambda: client.connection.submit(job, recipe))
        with contextlib.suppress(TransportError):  # it is watched once the connection is back
            await client.connection.watch(job)

    async def _judge(self, client: Client, job: str, *ends: str) -> None:
        seen = client.events(job)
        self.outcome.counts.update({"events": len(seen)})
        self.outcome.check(ending(client, job) in ends, f"{job} ended as {seen[-1].event}")
        self.outcome.check(seen == await read_log(self.direct, job), f"{job}: another log")
        for flaw in flaws(seen):
            self.outcome.check(False, f"{job}: {flaw}")


def draw_noise(file: Path) -> None:
    """Write a picture that no encoder can make small: more than three parts."""
    noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3), np.uint8)
    Image.fromarray(noise).save(file)


def plan(dice: random.Random, number: int) -> list[list[Cut]]:
    """Return the cuts of each session: one that must happen, and two that may."""
    every = [(side, kind, where) for where in PLACES for side, kind in kinds()]
    chosen = [every[index % len(every)] for index in range(number)]
    return [
        [Cut(*aim, rude=dice.random() < 0.5), *(_any(dice, every) for _ in range(2))]  # type: ignore[arg-type]
        for aim in chosen
    ]


def _any(dice: random.Random, every: list[tuple[str, str, str]]) -> Cut:
    aim = dice.choice(every)
    return Cut(*aim, nth=dice.randint(1, 4), rude=dice.random() < 0.5)  # type: ignore[arg-type]


async def run(folder: Path, dice: random.Random, number: int) -> Outcome:
    """Hold ``number`` sessions, each with cuts of its own."""
    outcome = Outcome("the socket cut at every kind of message, both ways")
    draw_noise(folder / "picture.png")
    places, happened = asyncio.Semaphore(AT_ONCE), set[Cut]()
    options = {"stand_in": True, "STEP_SECONDS": STEP_SECONDS}
    async with a_machine(folder / "engine", **options) as (machine, engine):

        async def hold(index: int, cuts: list[Cut]) -> None:
            async with places, cutting(engine, cuts) as (proxy, way):
                special = SPECIAL.get(cuts[0].kind, "")
                about = (f"cut-{index:03}", way, engine, folder, tiny(index), outcome, special)
                await Session(*about).run()
                outcome.check(cuts[0] in proxy.made, f"cut-{index:03}: {cuts[0]} never happened")
                outcome.counts.update({"cuts": len(proxy.made)})
                happened.update(proxy.made)

        async with asyncio.TaskGroup() as group:
            for index, cuts in enumerate(plan(dice, number)):
                group.create_task(hold(index, cuts))
        outcome.check(not machine.tracebacks(), f"tracebacks in {machine.data / 'log'}")
    covered = {(cut.side, cut.kind) for cut in happened}
    outcome.counts["kinds"] = len(covered)
    return outcome
