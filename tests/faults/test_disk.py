"""Disks that fill up or refuse to be written: real ones, under a real engine."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.film.events import Finished
from tests.conftest import PATIENCE, Client, a_recipe, connected
from tests.engine.server.test_data import a_png
from tests.faults.processes import (
    a_disk,
    an_engine_process,
    failure_of,
    film_of,
    made,
    painted,
    refused_to_start,
    undisturbed,
)

pytestmark = pytest.mark.anyio
JOB, NEXT = "job-0001", "job-0002"
RECIPE = a_recipe("dawn", "noon", num_inference_steps=8)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The film that an engine makes to which nothing happens."""
    return asyncio.run(undisturbed(tmp_path_factory.mktemp("undisturbed") / "data", RECIPE))


def numbered(client: Client, job: str) -> bool:
    numbers = [event.seq for event in client.events(job)]
    return numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("moment", ["keyframe advanced", "keyframe finished", "segment advanced"])
async def test_a_disk_that_fills_up_costs_nothing_that_was_finished(
    tmp_path: Path, expected: Finished, moment: str
) -> None:
    with a_disk(tmp_path / "disk", 2**21) as disk:
        running = an_engine_process(disk.path, inside=disk.inside, STEP_SECONDS="0.01")
        async with running as (engine, process), connected(engine) as client:
            await client.connection.submit(JOB, RECIPE)
            await client.connection.watch(JOB)
            await client.reached(JOB, moment, 2)
            disk.fill()
            error = (await failure_of(client, JOB)).error
            assert error.code == "E_STORAGE"
            assert "is full" in error.message or "No space left" in error.message
            assert "free disk space" in error.remedy
            assert "tried again" not in process.log  # the reserve was enough
            with pytest.raises(StorageError, match="is full"):
                await client.connection.submit(NEXT, RECIPE)
            disk.free()
            assert await film_of(client, NEXT, RECIPE) == expected
            kept = client.types(JOB).count("keyframe finished")
            assert painted(client, NEXT) == client.types(NEXT).count("keyframe finished") - kept
            assert numbered(client, JOB)
            assert numbered(client, NEXT)


async def test_an_upload_that_fills_the_disk_is_refused_and_can_be_tried_again(
    tmp_path: Path,
) -> None:
    content = a_png() + bytes(2**20)
    name, file = hashlib.sha256(content).hexdigest(), tmp_path / "keyframe.png"
    file.write_bytes(content)
    with a_disk(tmp_path / "disk", 2**21) as disk:
        running = an_engine_process(disk.path, inside=disk.inside)
        async with running as (engine, _), connected(engine) as client:
            disk.fill(leave=2**19)
            with pytest.raises(StorageError, match="No space left") as caught:
                await client.connection.upload(name, file, "image/png")
            assert "free disk space" in caught.value.remedy
            assert await client.connection.find_missing([name]) == (name,)
            disk.free()
            await client.connection.upload(name, file, "image/png")
            await client.connection.fetch(name, tmp_path / "fetched")
            assert (tmp_path / "fetched").read_bytes() == content


async def test_a_folder_that_cannot_be_written_is_reported_at_the_start(tmp_path: Path) -> None:
    with a_disk(tmp_path / "disk", 2**21) as disk:
        disk.remount("ro")
        said = await asyncio.to_thread(refused_to_start, disk.path, disk.inside)
        assert said.startswith("E_STORAGE: ")
        assert "Read-only file system" in said
        assert "choose another folder" in said


async def test_an_engine_started_on_a_full_disk_reports_it_and_loses_nothing(
    tmp_path: Path, expected: Finished
) -> None:
    with a_disk(tmp_path / "disk", 2**21) as disk:
        running = an_engine_process(disk.path, inside=disk.inside)
        async with running as (engine, _), connected(engine) as client:
            await film_of(client, JOB, RECIPE)
        disk.fill()
        said = await asyncio.to_thread(refused_to_start, disk.path, disk.inside)
        assert said.startswith("E_STORAGE: ")
        assert "free disk space" in said
        disk.free()
        running = an_engine_process(disk.path, inside=disk.inside)
        async with running as (engine, _), connected(engine) as client:
            assert await film_of(client, NEXT, RECIPE) == expected
            assert painted(client, NEXT) == 0


async def test_a_job_whose_end_cannot_be_recorded_continues_once_it_can(
    tmp_path: Path, expected: Finished
) -> None:
    with a_disk(tmp_path / "disk", 2**21) as disk:
        running = an_engine_process(disk.path, inside=disk.inside, STEP_SECONDS="0.01")
        async with running as (engine, process), connected(engine) as client:
            await client.connection.submit(JOB, RECIPE)
            await client.connection.watch(JOB)
            await client.reached(JOB, "keyframe advanced", 2)
            (disk.outside / "engine.reserve").unlink()
            disk.fill()
            async with asyncio.timeout(PATIENCE):
                while "cannot be recorded; the job is tried again" not in process.log:
                    await asyncio.sleep(0.05)
            with pytest.raises(StorageError, match="is full"):
                await client.connection.submit(NEXT, RECIPE)
            disk.free()
            assert await client.ended(JOB) == "Finished"
            assert made(client.events(JOB)[-1].event) == expected
            assert numbered(client, JOB)
