"""Data of older versions goes on working: stores with their logs, and Libraries."""

import asyncio
import tarfile
from pathlib import Path

import pytest

from engine.wire.pairing import Pairing
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
        assert snapshot.progress.painting.count == len(snapshot.progress.keyframes)
        painted = (await connection.watch(PAUSED)).progress
        assert painted.status == "paused"
        made = sum(map(bool, painted.keyframes))
        assert 0 < made < len(painted.keyframes)
        await connection.resume(PAUSED)
        assert await client.ended(PAUSED) == "Finished"
        after = (await connection.watch(PAUSED, after=None)).progress
        assert after.painting.count == len(after.keyframes)  # each one once, in both versions
        await client.begin("the-same-again", snapshot.recipe)
        assert await client.ended("the-same-again") == "Finished"
        again = (await connection.watch("the-same-again", after=None)).progress
        assert again.keyframes == snapshot.progress.keyframes
        assert (again.painting.count, again.drawing.count) == (0, 0)


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
        assert view.progress.painting.count == len(view.progress.keyframes)
        until(lambda: hub.chosen().connected)
        until(lambda: (view := hub.find(PAUSED)) and view.progress.status == "paused")
        hub.rest(PAUSED, False)
        until(lambda: (view := hub.find(PAUSED)) and view.settled)
        found = library.get(PAUSED)
        assert found
        assert found.status == "finished"
    finally:
        hub.close()
