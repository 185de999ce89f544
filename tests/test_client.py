"""How a client comes back: with growing pauses, each a random part less, and where it left off."""

import asyncio
import socket

import pytest

from engine.client import FIRST_DELAY, Connection, LinkState
from engine.pairing import Pairing
from tests.conftest import PATIENCE, Client, a_recipe, connected
from tests.proxy import through

pytestmark = pytest.mark.anyio
JOB = "job-0001"


async def test_pauses_grow_and_differ_from_client_to_client() -> None:
    with socket.socket() as nobody:  # bound but not listening: whoever comes is refused
        nobody.bind(("127.0.0.1", 0))
        engine = Pairing(f"http://127.0.0.1:{nobody.getsockname()[1]}", bytes(32))
        waits = await asyncio.gather(*(pauses(engine, 4) for _ in range(5)))
    for one in waits:
        for number, wait in enumerate(one):
            longest = FIRST_DELAY * 1.6**number
            assert longest / 2 <= wait <= longest
    assert len({wait for one in waits for wait in one}) == 20


async def pauses(engine: Pairing, count: int) -> list[float]:
    """Return how long a client waits between its first attempts."""
    waits: list[float] = []
    enough = asyncio.Event()

    def note(state: LinkState) -> None:
        if state.name == "waiting":
            waits.append(state.retry_in)
            if len(waits) == count:
                enough.set()

    connection = Connection(engine, on_state=note)
    task = asyncio.create_task(connection.run())
    async with asyncio.timeout(PATIENCE):
        await enough.wait()
    await connection.close()
    await task
    return waits[:count]


async def test_a_client_that_is_cut_off_again_and_again_misses_and_doubles_nothing(
    engine: Pairing,
) -> None:
    async with through(engine) as (proxy, link), connected(link) as client:
        await client.connection.submit(JOB, a_recipe(num_inference_steps=100))
        await client.connection.watch(JOB)
        for number in (1, 40, 90):
            await client.count(JOB, number)
            proxy.cut()
        await client.ended(JOB)
    whole = await everything(engine)
    assert client.events(JOB) == whole


async def everything(engine: Pairing) -> list[object]:
    """Return a job's whole log."""
    async with connected(engine) as other:
        await other.connection.watch(JOB)
        await Client.ended(other, JOB)
        return list(other.events(JOB))
