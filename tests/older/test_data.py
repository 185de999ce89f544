"""What older versions wrote and say is read: stores with their logs, Libraries, and engines."""

import asyncio
import json
import tarfile
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine.film.progress import fold
from engine.film.stages import KEYFRAME
from engine.wire.messages.codec import decode_answer
from engine.wire.messages.limits import OLDER_SUBPROTOCOL
from engine.wire.messages.responses import JobEvent, Snapshot
from engine.wire.pairing import PROOF_HEADER, Pairing, proof
from tests.conftest import an_engine, connected
from tests.stand_ins.connection import until
from ui.engines.hub import Hub
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

pytestmark = pytest.mark.anyio
FINISHED, PAUSED = "cd40b1c546ea4d91a166608b47658a39", "a45168d59d254e979c42b20d401c5ded"


@pytest.fixture(params=["0.1.0"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    archive = Path(__file__).with_name(f"{request.param}.tar.xz")
    with tarfile.open(archive) as older:
        older.extractall(tmp_path, filter="data")
    return tmp_path


async def test_an_engine_resumes_what_was_paused_and_makes_nothing_twice(folder: Path) -> None:
    async with an_engine(folder / "engine") as engine, connected(engine) as client:
        connection = client.connection
        snapshot = await connection.watch(FINISHED)
        assert await client.ended(FINISHED) == "Finished"
        assert snapshot.progress.status == "finished"
        assert snapshot.progress.of(KEYFRAME).timing.count == len(snapshot.progress.keyframes)
        painted = (await connection.watch(PAUSED)).progress
        assert painted.status == "paused"
        made = sum(map(bool, painted.keyframes))
        assert 0 < made < len(painted.keyframes)
        await connection.resume(PAUSED)
        assert await client.ended(PAUSED) == "Finished"
        after = (await connection.watch(PAUSED, after=None)).progress
        # Each one once, in both versions.
        assert after.of(KEYFRAME).timing.count == len(after.keyframes)
        await client.begin("the-same-again", snapshot.recipe)
        assert await client.ended("the-same-again") == "Finished"
        again = (await connection.watch("the-same-again", after=None)).progress
        assert again.keyframes == snapshot.progress.keyframes
        made = {name for name, pieces in again.pieces.items() if pieces.timing.count}
        assert made == {"poster"}  # of which that version knew nothing


async def test_a_library_shows_its_films_and_follows_what_is_unfinished(folder: Path) -> None:
    async with an_engine(folder / "engine") as engine:
        await asyncio.to_thread(_use, folder / "app", engine)


def _use(folder: Path, engine: Pairing) -> None:
    library = Library(sqlite_engine(folder / "library.db"), folder / "films")
    hub = Hub(library, folder, start_local=lambda _: engine, end_local=lambda _: None)
    hub.start()
    try:
        film = library.get(FINISHED)
        assert film
        assert film.status == "finished"
        assert library.file(film).read_bytes()
        view = hub.find(FINISHED)
        assert view
        assert view.progress.of(KEYFRAME).timing.count == len(view.progress.keyframes)
        until(lambda: hub.chosen().connected)
        until(lambda: (view := hub.find(PAUSED)) and view.progress.status == "paused")
        hub.set_paused(PAUSED, False)
        until(lambda: (view := hub.find(PAUSED)) and view.settled)
        found = library.get(PAUSED)
        assert found
        assert found.status == "finished"
    finally:
        hub.close()


SESSION = Path(__file__).with_name("0.1.0-session.jsonl")  # what such an engine said of one film


def test_messages_of_an_older_engine_are_understood() -> None:
    said = [decode_answer(line, OLDER_SUBPROTOCOL) for line in SESSION.read_text().splitlines()]
    events = [answer for answer in said if isinstance(answer, JobEvent)]
    first, middle, last = (answer for answer in said if isinstance(answer, Snapshot))
    assert first.progress.pieces == {}
    assert fold(events[: middle.progress.seq]) == middle.progress
    whole = fold(events)
    assert {name: len(pieces.names) for name, pieces in whole.pieces.items()} == {
        **{"keyframe": 4, "segment": 3},
        "film": 1,
    }
    assert all(all(pieces.names) for pieces in whole.pieces.values())
    assert last.progress.pieces["keyframe"] == whole.pieces["keyframe"]
    assert (last.fraction, last.progress.film) == (1.0, whole.film)


async def test_a_client_of_today_follows_a_film_on_an_older_engine() -> None:
    """The engine's half is a recorded session, with some of what a newer one may say in between."""
    key = b"k" * 32
    lines = SESSION.read_text().splitlines()
    lines[20:20] = [
        '{"type": "of a later version", "job": "aaaaaaaa"}',
        '{"type": "event", "job": "aaaaaaaa", "seq": 9, "at": 1.0, "event": {"type": "later"}}',
    ]

    async def say(socket: ServerConnection) -> None:
        await socket.send(lines[0])
        async for data in socket:
            if json.loads(data)["type"] == "watch":
                for line in lines[2:]:
                    await socket.send(line.replace('"re":2', f'"re":{json.loads(data)["id"]}'))

    def prove(_socket: ServerConnection, request: Request, response: Response) -> Response:
        nonce = request.headers["Authorization"].split()[2]
        response.headers[PROOF_HEADER] = proof(key, nonce)
        return response

    offer = [Subprotocol(OLDER_SUBPROTOCOL)]
    async with serve(say, "127.0.0.1", 0, subprotocols=offer, process_response=prove) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connected(Pairing(f"http://127.0.0.1:{port}", key)) as client:
            await client.connection.watch("aaaaaaaa")
            assert await client.ended("aaaaaaaa") == "Finished"
            assert client.types("aaaaaaaa").count("keyframe finished") == 4
