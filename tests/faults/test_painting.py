"""Faults under an engine that really paints: full disks, too little memory, spoilt weights."""

import resource
import shutil
from pathlib import Path

import psutil
import pytest

from engine.errors import ErrorReport
from engine.film.events import Finished
from engine.film.recipe import Recipe
from engine.models import FOLDER, OFFLINE
from tests.conftest import Client, a_recipe, connected
from tests.faults.processes import (
    REAL,
    a_disk,
    an_engine_process,
    failure_of,
    film_of,
    flip,
    painted,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SETTINGS = {"width": 512, "height": 512, "fps": 8, "interpolation_factor": 4, "guidance_scale": 1.0}
BIG = a_recipe("dawn over the sea", **SETTINGS)
AS_GIF = a_recipe("dawn over the sea", **SETTINGS, format="gif")
ROOM = 100_000  # bytes: enough for the journal, too few for a keyframe or a film of 512x512
PATIENCE = 240.0  # seconds that a film may take here


async def film(client: Client, job: str, recipe: Recipe) -> Finished:
    return await film_of(client, job, recipe, PATIENCE)


async def error(client: Client, job: str, recipe: Recipe | None = None) -> ErrorReport:
    return (await failure_of(client, job, recipe, PATIENCE)).error


async def test_a_disk_that_fills_up_while_keyframes_are_painted_and_films_joined(
    tmp_path: Path,
) -> None:
    with a_disk(tmp_path / "disk", 2**23) as disk:
        running = an_engine_process(disk.path, command=REAL, inside=disk.inside)
        async with running as (engine, _), connected(engine) as client:
            await client.connection.submit("job-paint", BIG)
            await client.connection.watch("job-paint")
            await client.until(lambda: painted(client, "job-paint") == 2, PATIENCE)
            disk.fill(leave=ROOM)
            found = await error(client, "job-paint")
            assert found.code == "E_STORAGE"
            assert "a keyframe cannot be written" in found.message
            disk.free()
            await film(client, "job-mp4-", BIG)
            assert painted(client, "job-mp4-") == 1
            disk.fill(leave=140_000)  # the journal takes some 60,000, the GIF 100,000
            found = await error(client, "job-join", AS_GIF)
            assert found.code == "E_STORAGE"
            assert "the disk filled up while a film was written" in found.message
            assert "free disk space" in found.remedy
            disk.free()
            joined = await film(client, "job-again", AS_GIF)
            assert client.types("job-again").count("segment started") == 0
            shutil.rmtree(disk.outside / "engine" / "objects")
            (disk.outside / "engine" / "objects").mkdir()
            assert await film(client, "job-anew", AS_GIF) == joined
            assert painted(client, "job-anew") == 2


async def test_too_little_memory_and_spoilt_weights_fail_one_job_each(tmp_path: Path) -> None:
    small, spoilt = a_recipe(width=64, height=64, fps=4), tmp_path / "spoilt"
    shutil.copytree(FOLDER / OFFLINE, spoilt)
    flip(spoilt / "unet" / "diffusion_pytorch_model.safetensors")
    command = (*REAL[:-1], "--model", str(spoilt), REAL[-1])
    running = an_engine_process(tmp_path / "data", command=command)
    async with running as (engine, process), connected(engine) as client:
        found = await error(client, "job-spoilt", a_recipe(model="spoilt"))
        assert found.code == "E_MODEL_LOAD"
        assert "unet has changed" in found.message
        assert "download the model again" in found.remedy
        await film(client, "job-small", small)
        server = psutil.Process(process.popen.pid)
        worker = server.children()[0]
        limit(server, worker.memory_info().vms + 2**24)  # 16 MiB more than now
        found = await error(client, "job-large", a_recipe(width=1024, height=1024, fps=4))
        assert found.code in ("E_DEVICE_MEMORY", "E_WORKER_LOST")
        assert "choose" in found.remedy
        limit(server, resource.RLIM_INFINITY)
        await film(client, "job-after", a_recipe("noon", width=64, height=64, fps=4))
        assert "Traceback" in process.log  # what happened is in the log for whoever looks


def limit(server: psutil.Process, space: int) -> None:
    """Let an engine's processes have that many bytes of address space; a fresh worker, too."""
    for process in (server, *server.children()):
        resource.prlimit(process.pid, resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))
