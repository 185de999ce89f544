"""Too little memory, for real: the address space of a process that paints is limited."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.film.events import Economized
from engine.film.progress import fold
from tests.conftest import Client, a_recipe, connected
from tests.faults.processes import REAL, an_engine_process
from tests.pieces import finished

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")]
ROOT = Path(__file__).parents[2]

PAINT = """
import json, resource, sys
import numpy as np, psutil
from engine.errors import DeviceMemoryError
from engine.models import catalogue
from engine.render.device import choose_device
from engine.render.painting.painter import Painter
from tests.engine.render.painting.test_painter import node, paint

ways = []
painter = Painter.load(
    catalogue()["landscapes"],
    choose_device("cpu"),
    lambda *_: None,
    lambda way: ways.append(way.name),
)

def limit(spare):
    space = psutil.Process().memory_info().vms + spare if spare else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))

def picture(side):
    small = node(width=side, height=side, num_inference_steps=1, guidance_scale=1.0)
    return paint(painter, small).astype(int)

said = {}
picture(64)
limit(280_000_000)
tiled = picture(768)
said["ways"], said["words"] = list(ways), painter.memory.words(1)
picture(768)
said["again"] = list(ways)
limit(0)
painter.memory.relax()
plain = picture(768)
said["relaxed"] = not painter.memory.words(1)
said["difference"] = float(abs(tiled - plain).mean())
limit(60_000_000)
try:
    picture(1536)
except DeviceMemoryError as error:
    said["problem"], said["remedy"] = error.problem, error.remedy
print(json.dumps(said))
"""


def test_a_picture_that_does_not_fit_is_painted_more_thriftily() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAINT], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ways"][0] == "tiles"
    assert said["words"] == ["tiled"]
    assert said["again"][0] == "tiles"
    assert said["again"].count("tiles") == 1  # what was learnt is not learnt anew
    assert said["relaxed"]
    assert 0 < said["difference"] < 1  # of 255
    assert "GB are free" in said["problem"]
    assert said["remedy"].startswith("choose")


@pytest.mark.anyio
async def test_a_film_reports_how_memory_was_saved_and_fails_with_numbers(tmp_path: Path) -> None:
    """The engine's processes are limited from outside; a worker that it starts anew is, too.

    With one arena for all threads, what a fresh process takes is what the one before it took.
    """
    small = {"num_inference_steps": 1, "guidance_scale": 1.0, "width": 64, "height": 64}
    large = {**small, "width": 768, "height": 768}
    running = an_engine_process(tmp_path / "data", command=REAL, MALLOC_ARENA_MAX="1")
    async with running as (engine, process), connected(engine) as client:
        assert await made(client, "job-0001", **small) == "Finished"
        server = psutil.Process(process.popen.pid)
        space = server.children()[0].memory_info().vms
        limit(server, space + 30_000_000)
        assert await made(client, "job-0002", **large) == "Failed"
        error = fold(client.events("job-0002")).error
        assert error
        assert (error.code, "GB are free" in error.message) == ("E_DEVICE_MEMORY", True)
        assert error.remedy.startswith("choose")
        assert client.types("job-0002").count("Interrupted") == 1  # a fresh worker tried, too
        assert await made(client, "job-0003", **{**small, "seed": 2}) == "Finished"
        limit(server, space + 280_000_000)
        assert await made(client, "job-0004", **large) == "Finished", process.log[-3000:]
        assert fold(client.events("job-0004")).thrifty
        told = [message.event for message in client.events("job-0004")]
        assert next(event.way for event in told if isinstance(event, Economized)) == "tiles"
        details = [event.detail for event in finished(told, "keyframe")]
        assert details == ["tiled"] * 2
        assert await made(client, "job-0005", **{**small, "seed": 3}) == "Finished"
        assert "Economized" not in client.types("job-0005")


def limit(server: psutil.Process, space: int) -> None:
    """Let an engine's processes, and those that it will start, have that many bytes each."""
    for process in (server, *server.children()):
        process.rlimit(psutil.RLIMIT_AS, (space, psutil.RLIM_INFINITY))


async def made(client: Client, job: str, **settings: object) -> str:
    """Make a film of two frames and return how it ended."""
    recipe = a_recipe("dawn", fps=4, **settings)
    await client.connection.submit(job, recipe)
    await client.connection.watch(job, previews=False)
    last = {"Finished", "Failed"}
    await client.until(lambda: bool(last & set(client.types(job))), patience=400)
    return client.types(job)[-1]
