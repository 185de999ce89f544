"""Fifty watchers at once, one of them slow and one deaf: all is told, and nothing piles up.

The server and the clients are real, the worker only pretends to paint, so that far more happens
than a GPU could bring about. How much watching slows painting is ``benchmarks.watchers``' business.
"""

import asyncio
import contextlib
import random
from pathlib import Path

from benchmarks.clients import go_deaf, narrow
from benchmarks.watchers import NARROW, WATCHERS
from engine.errors import TransportError
from engine.wire.handshake import open_socket
from engine.wire.messages import codec, limits, requests
from engine.wire.pairing import Pairing
from tests.conftest import Client, connected
from tests.torture.rig import PATIENCE, Machine, Outcome, a_machine, ending, flaws, persist, tiny

WARM = 3  # films after which the server's memory should have come to rest
GROWTH = 8.0  # MiB that it may still take; Python's allocator does not give all back
STEP_SECONDS = "0.004"


def resident(machine: Machine) -> float:
    """Return the server's resident memory in MiB."""
    assert machine.process
    return float(machine.process.memory_info().rss) / 2**20


async def deaf(engine: Pairing, job: str) -> None:
    """Watch a job and read nothing of it, for ever."""
    while True:
        with contextlib.suppress(TransportError):
            async with open_socket(engine, limits.CONTROL_PATH) as connection:
                await connection.send(codec.encode(requests.Watch(id=1, job=job, after=0)))
                await go_deaf(connection)
        await asyncio.sleep(1)


async def follow(client: Client, job: str, outcome: Outcome) -> None:
    """Watch a job to its end, and no longer."""
    with contextlib.suppress(TransportError):  # it is watched once the connection is back
        await client.connection.watch(job)
    await client.until(lambda: bool(ending(client, job)), PATIENCE)
    for flaw in flaws(client.events(job)):
        outcome.check(False, f"{job}: {flaw}")
    await persist(lambda: client.connection.unwatch(job))
    outcome.counts.update({"logs": 1, "events": len(client.events(job))})
    outcome.counts.update({"previews": len(client.previews)})
    client.heard.clear()


async def run(folder: Path, dice: random.Random, number: int) -> Outcome:
    """Have ``number`` films watched."""
    outcome = Outcome(f"{WATCHERS} watchers at once, one at 1 KB/s, one that never reads")
    options = {"stand_in": True, "STEP_SECONDS": STEP_SECONDS}
    async with (
        a_machine(folder / "engine", **options) as (machine, engine),
        contextlib.AsyncExitStack() as stack,
    ):
        link = await stack.enter_async_context(narrow(engine, NARROW))
        slow = await stack.enter_async_context(connected(link))
        crowd = [await stack.enter_async_context(connected(engine)) for _ in range(WATCHERS - 2)]
        memory = []
        for film in range(number):
            job = f"film-{film:04}"
            steps = 20 if film else 3  # the slow one reads the first
            recipe = tiny(dice.randrange(2**32), num_inference_steps=steps)
            await crowd[0].connection.submit(job, recipe)
            if film == 0:
                reading = asyncio.create_task(follow(slow, job, outcome))
                silent = asyncio.create_task(deaf(engine, job))
            await asyncio.gather(*(follow(client, job, outcome) for client in crowd))
            memory.append(resident(machine))
        await reading
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)
        calm, last = max(memory[:WARM]), memory[-1]
        outcome.notes.append(f"server: {calm:.1f} MiB after {WARM} films, {last:.1f} at the end")
        outcome.check(last - calm < GROWTH, f"the server's memory grew: {memory}")
        outcome.check(not machine.tracebacks(), f"tracebacks in {machine.data / 'log'}")
    return outcome
