"""Limits that hold: every one through the real server, with a coded error that names it."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.errors import LimitError
from engine.wire.handshake import open_socket
from engine.wire.messages import codec
from engine.wire.messages.limits import CONTROL_PATH, DATA_PATH, LIMITS
from engine.wire.pairing import Pairing
from engine.workers import process
from tests.conftest import Client, a_recipe, an_engine, connected
from tests.engine.jobs.test_queue import made
from tests.engine.server.test_data import a_part, a_png
from tests.engine.server.test_server import ask
from tests.pieces import finished

pytestmark = pytest.mark.anyio

# Messages and recipes


TOO_MUCH: list[tuple[str, int, dict[str, Any]]] = [
    ("E_INVALID_PARAMETER", LIMITS.prompt, {"scenes": [{"prompt": "x" * (LIMITS.prompt + 1)}]}),
    ("E_INVALID_PARAMETER", LIMITS.scenes, {"scenes": [{"prompt": "x"}] * (LIMITS.scenes + 1)}),
    ("E_INVALID_PARAMETER", LIMITS.max_side, {"width": LIMITS.max_side + 8}),
    ("E_INVALID_PARAMETER", LIMITS.min_side, {"height": LIMITS.min_side - 8}),
    ("E_INVALID_PARAMETER", LIMITS.max_steps, {"num_inference_steps": LIMITS.max_steps + 1}),
    ("E_LIMIT", LIMITS.frames, {"fps": 60, "scenes": [{"prompt": "x", "seconds": 51}]}),
]


@pytest.mark.parametrize(("code", "limit", "change"), TOO_MUCH)
async def test_a_recipe_beyond_a_limit_is_refused_with_the_limit(
    engine: Pairing, code: str, limit: int, change: dict[str, Any]
) -> None:
    recipe = {"scenes": [{"prompt": "a"}], **change}
    async with open_socket(engine, CONTROL_PATH) as socket:
        await socket.recv()
        answer = await ask(socket, {"type": "submit", "id": 1, "job": "job-0001", "recipe": recipe})
        assert answer["error"]["code"] == code
        assert str(limit) in answer["error"]["message"] + answer["error"]["remedy"]


async def test_no_more_names_than_stated_are_looked_up_at_once(engine: Pairing) -> None:
    async with open_socket(engine, CONTROL_PATH) as socket:
        await socket.recv()
        names = ["a" * 64] * (8192 + 1)
        answer = await ask(socket, {"type": "find_missing", "id": 1, "objects": names})
        assert (answer["error"]["code"], answer["error"]["field"]) == (
            "E_INVALID_PARAMETER",
            "objects",
        )
        assert "8192" in answer["error"]["message"]
        answer = await ask(socket, {"type": "find_missing", "id": 2, "objects": names[1:]})
        assert len(answer["objects"]) == 8192


# The queue


async def fill(client: Client, first: int, count: int) -> None:
    for number in range(first, first + count):
        await client.connection.submit(f"job-{number:04}", a_recipe(seed=number))


async def test_the_queue_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client leaves room for others; all together do not fill it beyond what is stated."""
    monkeypatch.setenv("STEP_SECONDS", "30")
    share, clients = LIMITS.client_jobs, LIMITS.queued_jobs // LIMITS.client_jobs
    async with an_engine(tmp_path) as engine, connected(engine) as first:
        await fill(first, 0, 1)
        await first.connection.watch("job-0000")
        await first.until(lambda: "Started" in first.types("job-0000"))
        await fill(first, 1, share)
        with pytest.raises(LimitError, match=f"{share} jobs of this connection"):
            await first.connection.submit("job-last", a_recipe())
        for number in range(1, clients):
            async with connected(engine) as other:
                await fill(other, 1 + number * share, share)
        async with connected(engine) as late:
            with pytest.raises(LimitError, match=f"{LIMITS.queued_jobs} jobs wait"):
                await late.connection.submit("job-last", a_recipe())
            await late.connection.cancel("job-0001")
            await late.connection.submit("job-last", a_recipe())


# Uploads


async def test_uploads_of_one_connection_are_limited(engine: Pairing) -> None:
    async with open_socket(engine, DATA_PATH) as socket:
        for number in range(LIMITS.uploads):
            part = a_part(a_png(), object=f"{number:064x}", size=10_000)
            assert (await ask(socket, codec.encode_part(part)))["type"] == "done"
        answer = await ask(socket, codec.encode_part(a_part(a_png(), size=10_000)))
        assert answer["error"]["code"] == "E_LIMIT"
        assert str(LIMITS.uploads) in answer["error"]["message"]


async def test_what_is_announced_must_have_room(tmp_path: Path) -> None:
    async with an_engine(tmp_path, room=15_000) as engine, open_socket(engine, DATA_PATH) as socket:
        first = a_part(a_png(), object="1" * 64, size=10_000)
        assert (await ask(socket, codec.encode_part(first)))["type"] == "done"
        second = a_part(a_png(), object="2" * 64, size=10_000)
        refused = await ask(socket, codec.encode_part(second))
        assert refused["error"]["code"] == "E_STORAGE"
        assert "1.5e-05 GB" in refused["error"]["message"]
    async with an_engine(tmp_path, room=15_000) as engine, open_socket(engine, DATA_PATH) as socket:
        assert (await ask(socket, codec.encode_part(second)))["type"] == "done"


async def test_uploaded_files_are_touched_only_in_threads(tmp_path: Path) -> None:
    """The server's loop never waits for the disk to take or to hash an upload."""
    opens: list[tuple[str, bool]] = []
    loop = threading.get_ident()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and str(tmp_path) in arguments[0]:
            opens.append((arguments[0], threading.get_ident() == loop))

    sys.addaudithook(hear)
    async with an_engine(tmp_path) as engine, open_socket(engine, DATA_PATH) as socket:
        opens.clear()
        assert (await ask(socket, codec.encode_part(a_part(a_png()))))["type"] == "done"
        assert opens
        assert [path for path, in_loop in opens if in_loop] == []


# Room


async def film(client: Client, job: str, prompt: str, *, fetch: Path | None) -> str:
    """Make a film, perhaps fetch it, and return its name."""
    assert (await made(client, job, prompt))[-1] == "Finished"
    name = str(client.events(job)[-1].event.object)  # type: ignore[union-attr]
    if fetch:
        await client.connection.fetch(name, fetch / job)
    return name


def pieces(client: Client, job: str) -> list[str]:
    """Return the names of a film's finished keyframes and segments."""
    told = [message.event for message in client.events(job)]
    return [event.object for event in finished(told, "keyframe", "segment")]


async def test_a_film_stays_until_it_was_fetched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with an_engine(data, room=60_000) as engine, connected(engine) as client:
        fetched = await film(client, "job-0001", "a", fetch=tmp_path)
        waiting = await film(client, "job-0002", "b", fetch=None)
    async with an_engine(data, room=60_000) as engine, connected(engine) as client:
        for number in range(3, 9):
            await film(client, f"job-000{number}", f"c{number}", fetch=tmp_path)
        assert await client.connection.find_missing([fetched, waiting]) == (fetched,)
        size = sum(
            file.stat().st_size for file in (data / "objects").glob("*/*") if file.suffix != ".json"
        )
        assert size <= 60_000
        await client.connection.fetch(waiting, tmp_path / "waiting")
        for number in range(10, 16):
            await film(client, f"job-00{number}", f"d{number}", fetch=tmp_path)
        assert await client.connection.find_missing([waiting]) == (waiting,)


async def test_what_a_waiting_film_needs_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was used longest ago, and would make way for the film before it in the queue."""
    monkeypatch.setenv("STEP_SECONDS", "0.005")
    async with an_engine(tmp_path / "data", room=65_000) as engine, connected(engine) as client:
        await film(client, "job-0001", "a", fetch=tmp_path)
        await film(client, "job-0002", "b", fetch=tmp_path)
        await client.connection.submit("job-0003", a_recipe("c", interpolation_factor=2))
        await client.connection.submit("job-0004", a_recipe("a", format="gif"))
        await client.connection.watch("job-0004")
        assert await client.ended("job-0004") == "Finished"
        assert "keyframe started" not in client.types("job-0004")
        assert await client.connection.find_missing(pieces(client, "job-0002"))


async def test_a_film_that_needs_more_than_the_room_fails_with_numbers(tmp_path: Path) -> None:
    async with an_engine(tmp_path, room=30_000) as engine, connected(engine) as client:
        types = await made(client, "job-0001", "a", interpolation_factor=1)
        failed = client.events("job-0001")[-1].event
        assert types[-1] == "Failed"
        assert failed.error.code == "E_STORAGE"  # type: ignore[union-attr]
        assert "3e-05 GB" in failed.error.message  # type: ignore[union-attr]
        done = pieces(client, "job-0001")
        assert len(done) >= 5
        assert await client.connection.find_missing(done) == ()
        assert (await made(client, "job-0002", "b"))[-1] == "Finished"


# A step that hangs


@pytest.mark.slow
async def test_a_worker_that_stops_is_replaced_and_the_film_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped for real (SIGSTOP), in the middle of a keyframe."""
    monkeypatch.setattr(process, "SILENCE_TIMEOUT", 5.0)
    monkeypatch.setenv("STEP_SECONDS", "0.02")
    settings = {"interpolation_factor": 2, "num_inference_steps": 20}
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.submit("job-0001", a_recipe("a", **settings))
        await client.connection.watch("job-0001")
        await client.reached("job-0001", "keyframe finished", 2)
        stopped = psutil.Process().children()[-1]
        os.kill(stopped.pid, signal.SIGSTOP)
        assert await client.ended("job-0001") == "Finished"
        assert not stopped.is_running()
        assert client.types("job-0001").count("Interrupted") == 1
        painted = client.finished("job-0001")
        assert len(painted) == len(set(painted))


@pytest.mark.slow
async def test_cancelling_a_job_whose_worker_hangs_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENCE_TIMEOUT", 5.0)
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.submit("job-0001", a_recipe("hang"))
        await client.connection.watch("job-0001")
        await client.until(lambda: "keyframe started" in client.types("job-0001"))
        await client.connection.cancel("job-0001")
        assert await client.ended("job-0001") == "Cancelled"
        assert "Interrupted" not in client.types("job-0001")
        assert client.types("job-0001").count("Started") == 1
