"""The client keeps its word when its connection does not hold."""

import asyncio
import socket
import sqlite3
from pathlib import Path

import pytest

from benchmarks.clients import running
from engine.daemon import JOURNAL, KEY
from engine.errors import EngineUnreachableError, UnknownJobError, VisionFluxError
from engine.film.events import Finished
from engine.wire.client import FIRST_DELAY, Connection, LinkState, LogRestarted
from engine.wire.handshake import open_socket
from engine.wire.messages.limits import CONTROL_PATH
from engine.wire.messages.responses import JobEvent
from engine.wire.pairing import Pairing
from tests.conftest import PATIENCE, Client, a_recipe, an_engine, connected, set_clock
from tests.stand_ins.proxy import through
from tests.torture.proxy import Cut, cutting
from tests.torture.rig import free_port

pytestmark = pytest.mark.anyio
JOB = "job-0001"


@pytest.mark.slow
async def test_a_watcher_of_new_events_misses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.01")
    cut = Cut("engine", "snapshot", "after")
    async with (
        an_engine(tmp_path) as engine,
        cutting(engine, [cut]) as (proxy, way),
        connected(engine) as other,
        connected(way) as client,
    ):
        await other.connection.submit(JOB, a_recipe(num_inference_steps=150))
        await other.connection.watch(JOB)
        await other.reached(JOB, "keyframe advanced", 1)
        snapshot = await client.connection.watch(JOB, after=None)
        assert await client.ended(JOB) == "Finished"
        assert proxy.made == [cut]
        numbers = [message.seq for message in client.events(JOB)]
        assert numbers == list(range(snapshot.progress.seq + 1, numbers[-1] + 1))


async def test_a_log_that_became_shorter_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.004")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe("a", "b", num_inference_steps=40))
        await client.reached(JOB, "segment finished", 2)
        await client.rest(JOB)
        heard = client.events(JOB)[-1].seq
    db = sqlite3.connect(tmp_path / JOURNAL)
    db.execute("UPDATE event SET body='x' WHERE job=? AND seq=6", (JOB,))
    db.commit()
    db.close()
    monkeypatch.setenv("STEP_SECONDS", "0")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.watch(JOB, after=heard)
        assert [type(message) for message in client.heard[:1]] == [LogRestarted]
        assert await client.ended(JOB) == "Finished"
        numbers = [message.seq for message in client.events(JOB)]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_a_log_of_another_epoch_is_read_from_its_start_though_it_is_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: what was recorded since has the numbers of what was lost."""
    port = free_port()
    async with an_engine(tmp_path, port=port) as engine:
        client = Client(engine)
        run = asyncio.create_task(client.connection.run())
        await client.connection.connected()
        await client.begin(JOB, a_recipe())
        assert await client.ended(JOB) == "Finished"
    before = len(client.events(JOB))
    db = sqlite3.connect(tmp_path / JOURNAL)
    db.execute("INSERT INTO meta VALUES ('opened', 'before the power cut')")
    db.commit()
    db.close()
    async with an_engine(tmp_path, port=port):
        await client.until(lambda: len(client.events(JOB)) == 2 * before)
        assert sum(isinstance(message, LogRestarted) for message in client.heard) == 1
        await client.connection.close()
        await run


async def test_a_longer_log_of_another_epoch_arrives_once_and_complete(tmp_path: Path) -> None:
    """The engine sends what follows the former events before the client asks for the others."""
    async with an_engine(tmp_path) as engine:
        async with connected(engine) as first:
            await first.begin(JOB, a_recipe("a", "b", num_inference_steps=40))
            await first.ended(JOB)
        async with connected(engine) as second:
            await second.connection.watch(JOB, after=5, epoch="of a lost log")
            await second.ended(JOB)
            assert second.events(JOB) == first.events(JOB)
            assert isinstance(second.heard[0], LogRestarted)


async def test_a_job_that_is_missing_after_a_reconnection_is_reported(tmp_path: Path) -> None:
    port, refusals = free_port(), asyncio.Queue[tuple[str, VisionFluxError]]()
    async with an_engine(tmp_path / "a", port=port) as engine:
        connection = Connection(engine, on_refused=lambda *each: refusals.put_nowait(each))
        run = asyncio.create_task(connection.run())
        await connection.connected()
        await connection.submit(JOB, a_recipe())
        await connection.watch(JOB)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / KEY).write_text((tmp_path / "a" / KEY).read_text())
    async with an_engine(tmp_path / "b", port=port):
        job, error = await asyncio.wait_for(refusals.get(), PATIENCE)
        assert (job, type(error)) == (JOB, UnknownJobError)
        await connection.close()
        await run


async def test_a_callback_that_raises_does_not_end_the_connection(
    engine: Pairing, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []

    def take(message: object) -> None:
        heard.append(message)
        if len(heard) == 3:
            raise IndexError("an event that does not fit what is known")

    connection = Connection(engine, on_message=take)
    async with running(connection):
        await connection.submit(JOB, a_recipe())
        await connection.watch(JOB)
        async with asyncio.timeout(PATIENCE):
            while not (isinstance(heard[-1], JobEvent) and isinstance(heard[-1].event, Finished)):
                await asyncio.sleep(0.01)
        assert connection.state.name == "connected"
    assert "an event that does not fit" in caplog.text


async def test_closing_ends_an_attempt_that_is_under_way(engine: Pairing) -> None:
    begun = asyncio.Event()
    connection = Connection(engine, on_state=lambda _: begun.set())
    task = asyncio.create_task(connection.run())
    await begun.wait()
    assert connection.state.name == "connecting"
    await connection.close()
    await asyncio.wait_for(task, PATIENCE)
    assert connection.state.name == "closed"


async def test_a_handshake_that_breaks_is_no_refusal(
    engine: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose clock is wrong shakes hands twice; the second one is cut here."""
    set_clock(monkeypatch, 7200.0)
    cut = Cut("engine", "handshake", "before", nth=2)
    async with cutting(engine, [cut]) as (proxy, way):
        with pytest.raises(EngineUnreachableError):
            async with open_socket(way, CONTROL_PATH):
                pass
        assert proxy.made == [cut]
        async with open_socket(way, CONTROL_PATH) as socket:
            assert await socket.recv()


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
        await other.ended(JOB)
        return list(other.events(JOB))
