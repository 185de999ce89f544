"""Finished objects that rot on the disk: noticed, named in the log, never served, made again."""

import asyncio
import contextlib
import json
import logging
from pathlib import Path

import pytest

from engine.errors import UnknownObjectError
from engine.jobs import node_builder
from engine.storage.journal import Journal
from engine.storage.object_store import ObjectStore
from engine.wire.handshake import open_socket
from engine.wire.messages.limits import DATA_PATH
from tests.conftest import Client, a_recipe, an_engine, connected
from tests.engine.server.test_data import a_png
from tests.engine.storage.test_object_store import ROW, put
from tests.faults.processes import failure_of, film_of, flip, painted
from tests.pieces import finished

pytestmark = pytest.mark.anyio
JOB, NEXT = "job-0001", "job-0002"
RECIPE = a_recipe("dawn", "noon")


def named(client: Client, stage: str) -> list[str]:
    """Return the names of a job's finished pieces of a stage."""
    return [e.object for e in finished([m.event for m in client.events(JOB)], stage)]


def file_of(data: Path, name: str) -> Path:
    return next(path for path in (data / "objects").rglob(f"{name}.*") if path.suffix != ".json")


async def test_rotten_objects_are_made_again_before_they_are_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        film = await film_of(client, JOB, RECIPE)
        keyframes, segments = named(client, "keyframe"), named(client, "segment")
        rotten = [keyframes[0], segments[1], film.object]
        for name in rotten:
            flip(file_of(tmp_path, name))
        assert await film_of(client, NEXT, RECIPE) == film
        assert painted(client, NEXT) == 1
        assert client.types(NEXT).count("segment started") == 1
        assert client.types(NEXT).count("film started") == 1
        for name in rotten:
            assert f"E_STORAGE: the object {name} is damaged" in caplog.text
            await client.connection.fetch(name, tmp_path / name)  # compares the hash


@pytest.mark.parametrize("stage", ["keyframe", "segment", "film"])
@pytest.mark.parametrize("type", ["open", "read"])
async def test_a_rotten_object_is_not_served(tmp_path: Path, stage: str, type: str) -> None:
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await film_of(client, JOB, RECIPE)
        name = named(client, stage)[0]
        flip(file_of(tmp_path, name))
        request = {"type": type, "id": 1, "object": name}
        request |= {"offset": 0, "length": 9} if type == "read" else {}
        async with open_socket(engine, DATA_PATH) as socket:
            await socket.send(json.dumps(request))
            answer = json.loads(await socket.recv())
        assert answer["error"]["code"] == "E_UNKNOWN_OBJECT"
        assert "render the film again" in answer["error"]["remedy"]
        with pytest.raises(UnknownObjectError):
            await client.connection.fetch(name, tmp_path / "fetched")
        assert await client.connection.find_missing([name]) == (name,)


async def test_a_damaged_object_is_missing_and_can_be_uploaded_again(tmp_path: Path) -> None:
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        content = a_png()
        (tmp_path / "whole").write_bytes(content)
        await client.connection.upload("a" * 64, tmp_path / "whole", "image/png")
        flip(file_of(tmp_path, "a" * 64))
        await client.connection.upload("a" * 64, tmp_path / "whole", "image/png")
        assert file_of(tmp_path, "a" * 64).read_bytes() == content
        flip(file_of(tmp_path, "a" * 64))
        assert await client.connection.find_missing(["a" * 64]) == ("a" * 64,)


async def test_a_keyframe_that_rots_before_it_is_used_is_painted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.1")  # the second keyframe leaves time to spoil the first
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.submit(JOB, RECIPE)
        await client.connection.watch(JOB)
        await client.reached(JOB, "keyframe finished", 1)
        flip(file_of(tmp_path, named(client, "keyframe")[0]))
        assert await client.ended(JOB) == "Finished"
        assert painted(client, JOB) == len(set(named(client, "keyframe"))) + 1


async def test_a_disk_that_spoils_everything_ends_in_a_coded_error(tmp_path: Path) -> None:
    async def spoil() -> None:
        while True:
            for file in (tmp_path / "objects").rglob("*.png"):
                with contextlib.suppress(OSError):
                    file.write_bytes(b"x" * file.stat().st_size)
            await asyncio.sleep(0)

    async with an_engine(tmp_path) as engine, connected(engine) as client:
        spoiling = asyncio.create_task(spoil())
        await client.connection.submit(JOB, RECIPE)
        await client.connection.watch(JOB)
        error = (await failure_of(client, JOB)).error
        spoiling.cancel()
    assert error.code == "E_STORAGE"
    assert "check the disk" in error.remedy
    assert client.types(JOB).count("Started") == node_builder.MAX_LOSSES


def test_a_lost_index_is_made_again_from_the_records(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "one.db")
    put(ObjectStore(tmp_path, journal))
    journal.close()
    record = next((tmp_path / "objects").rglob("*.json"))
    for place, broken in (("x" * 64, record.read_bytes()), ("y" * 64, b"{"), (".." * 32, b"")):
        record.with_name(f"{place}.json").write_bytes(broken)
    again = Journal(tmp_path / "other.db")
    caplog.set_level(logging.WARNING)
    store = ObjectStore(tmp_path, again)
    assert store.find(ROW.name) == ROW
    assert [row.name for row in again.objects_by_use()] == [ROW.name]
    assert "1 finished objects were found again" in caplog.text
    again.close()
