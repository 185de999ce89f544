"""The worker with the offline model: the real path from task to picture, watched."""

import asyncio
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from engine import daemon
from engine.models import catalogue
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe, connected
from tests.pieces import finished
from tests.processes import Process

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
JOB = "job-0001"


@pytest.mark.usefixtures("forked_workers")
async def test_a_film_is_painted_before_the_watchers_eyes(tmp_path: Path) -> None:
    recipe = a_recipe("dawn over the sea, sun on the left", num_inference_steps=10)
    options = daemon.Options(data=tmp_path, models=catalogue())
    async with daemon.running(options) as engine, connected(engine) as client:
        await client.connection.submit(JOB, recipe)
        await client.connection.watch(JOB)
        await client.until(lambda: client.types(JOB)[-1:] == ["Finished"], patience=240)
        keyframe = client.events(JOB)
        picture = tmp_path / "keyframe.png"
        name = finished((message.event for message in keyframe), "keyframe")[0].object
        await client.connection.fetch(name, picture)
    first = [p for p in client.previews if (p.kind, p.index) == ("step", 0)]
    assert len({p.jpeg for p in first}) >= 5
    assert {p.kind for p in client.previews} == {"step", "keyframe", "frame"}
    assert [p.step for p in first] == sorted(p.step for p in first)
    painted = cv2.imread(str(picture))
    assert painted.shape == (256, 256, 3)
    # The guess comes closer to the keyframe with the steps.
    distance = [_distance(p.jpeg, painted) for p in (first[0], first[-1])]
    assert distance[1] < distance[0]


@pytest.mark.usefixtures("forked_workers")
async def test_cancel_reaches_the_sampler(tmp_path: Path) -> None:
    recipe = a_recipe("night", num_inference_steps=150)
    options = daemon.Options(data=tmp_path, models=catalogue())
    async with daemon.running(options) as engine, connected(engine) as client:
        await client.connection.submit(JOB, recipe)
        await client.connection.watch(JOB, previews=False)
        await client.until(lambda: "keyframe advanced" in client.types(JOB), patience=120)
        await client.connection.cancel(JOB)
        before = client.types(JOB).count("keyframe advanced")
        await client.until(lambda: client.types(JOB)[-1] == "Cancelled")
        assert client.types(JOB).count("keyframe advanced") <= before + 2


async def test_a_worker_never_outlives_its_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--data", str(tmp_path)]
    with Process(command, tmp_path / "log") as server:
        engine = Pairing.parse((await asyncio.to_thread(server.line)).rpartition(" ")[2])
        async with connected(engine) as client:
            await client.connection.submit(JOB, a_recipe(num_inference_steps=150))
            await client.connection.watch(JOB)
            await client.until(lambda: "keyframe advanced" in client.types(JOB), patience=120)
            workers = server.popen.children()
            server.kill()  # in the middle of a keyframe, with a preview on its way
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    assert "Traceback" not in server.log


def _distance(jpeg: bytes, painted: np.ndarray) -> float:  # type: ignore[type-arg]
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    shown = cv2.resize(shown, painted.shape[1::-1])
    return float(np.abs(shown.astype(float) - painted).mean())
