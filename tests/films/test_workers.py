"""Several real workers, here and on a Ray cluster: the same frames as one, whoever is lost."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine import daemon
from engine.film.graph import SegmentNode
from engine.film.progress import fold
from engine.models import catalogue
from engine.wire.messages.responses import DeviceInfo
from engine.workers import messages
from engine.workers.pool import WorkerPool
from engine.workers.process import WorkerProcess
from tests.conftest import Client, a_recipe, connected
from tests.engine.workers.test_pool import a_painting
from tests.pieces import finished
from tests.processes import Process, short_folder
from tests.stand_ins.ray_cluster import LOOPBACK

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
JOB = "job-0001"
PATIENCE = 240.0
PROMPTS = ("dawn over the sea, sun on the left", "a city at night")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads changes a picture's last bits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


async def filmed(
    meanwhile: Callable[[Client], Awaitable[None]] | None = None, **options: str
) -> Client:
    """Have a film made by an engine of its own; return who watched."""
    small = {"width": 128, "height": 128, "num_inference_steps": 5, "interpolation_factor": 2}
    recipe = a_recipe(*PROMPTS, **small)
    with tempfile.TemporaryDirectory() as data:
        settings = daemon.Options(data=Path(data), models=catalogue(), **options)
        async with daemon.running(settings) as engine, connected(engine) as client:
            await client.connection.submit(JOB, recipe)
            await client.connection.watch(JOB)
            if meanwhile:
                await meanwhile(client)
            await client.until(lambda: "Finished" in client.types(JOB), PATIENCE)
    return client


def frames(client: Client) -> dict[str, str]:
    """Return the hash of everything that was finished, by name; nothing is made twice."""
    events = [message.event for message in client.events(JOB)]
    made = finished(events)
    assert len(made) == len({event.object for event in made})
    return {event.object: event.sha256 for event in made}


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    """What one worker makes, which is started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return frames(asyncio.run(filmed(device="cpu")))


async def painted(client: Client, count: int) -> None:
    """Wait until so many keyframes are finished, and two pieces were made at once."""
    await client.until(lambda: client.types(JOB).count("keyframe finished") >= count, PATIENCE)
    await client.until(lambda: fold(client.events(JOB)).at_once > 1, PATIENCE)


@pytest.mark.usefixtures("forked_workers")
async def test_two_workers_make_the_same_frames_though_one_is_killed(
    alone: dict[str, str],
) -> None:
    async def kill_one(client: Client) -> None:
        await painted(client, 3)
        psutil.Process().children()[-1].kill()

    assert frames(await filmed(kill_one, device="cpu,cpu")) == alone


@pytest.mark.usefixtures("forked_workers")
async def test_a_mate_draws_the_same_frames_while_a_keyframe_is_painted(tmp_path: Path) -> None:
    worker = (sys.executable, "-m", "engine.render.worker", "--rife", "dis")

    def second(device: DeviceInfo) -> WorkerProcess:
        return WorkerProcess(worker, device.kind, lambda _: None)

    def a_segment(name: str) -> messages.Make:
        node = SegmentNode(first="0", second="1", frames=4, closing=False, fps=12, interpolator="")
        inputs = {name: str(tmp_path / f"{name}.png") for name in node.inputs}
        piece = messages.Piece(index=0, node=node, target=str(tmp_path / name))
        return messages.Make(job=JOB, stage="segment", pieces=(piece,), inputs=inputs)

    pool = WorkerPool([WorkerProcess(worker, "cpu", lambda _: None)], second)
    try:
        load = messages.Load(job=JOB, model=catalogue()["landscapes"])
        await pool.load(load, lambda _: None)
        async with pool.borrowed(paints=True) as painter:
            for number in range(2):
                await painter.run(a_painting(tmp_path / f"{number}.png", PROMPTS[0], 6 + number))
            drawn = await painter.run(a_segment("alone.mp4"))
            async with asyncio.timeout(PATIENCE):
                while not pool.helpers:
                    await asyncio.sleep(0.1)
            painting = painter.run(a_painting(tmp_path / "2.png", PROMPTS[1], 20))
            async with pool.borrowed() as mate, asyncio.TaskGroup() as group:
                assert mate is not painter
                group.create_task(painting)
                meanwhile = await mate.run(a_segment("beside.mp4"))
    finally:
        await pool.close()
    assert isinstance(drawn, messages.Made)
    assert isinstance(meanwhile, messages.Made)
    assert meanwhile.files == drawn.files
    assert drawn.files[0].detail == "interpolate"


async def test_a_cluster_that_loses_a_machine_makes_the_same_frames(
    alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    with a_cluster(nodes=2) as (address, remove_one):

        async def lose_one(client: Client) -> None:
            await painted(client, 3)
            await asyncio.to_thread(remove_one)

        client = await filmed(lose_one, ray=address)
    assert frames(client) == alone
    types = client.types(JOB)
    assert types.count("PieceLost") + types.count("Interrupted") == 1


@contextmanager
def a_cluster(nodes: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Run a Ray cluster; nothing of it is left afterwards."""
    folder = short_folder()
    command = (sys.executable, "-m", "tests.stand_ins.ray_cluster", str(folder), str(nodes))
    try:
        with Process(command, folder / "log", graceful=True) as cluster:
            address = cluster.line()
            started = cluster.popen.children(recursive=True)

            def remove_one() -> None:
                cluster.send("remove")
                assert cluster.line() == "removed"

            yield address, remove_one
        _, left = psutil.wait_procs(started, timeout=5)
        for process in left:  # agents whose node was killed
            process.kill()
        _, left = psutil.wait_procs(left, timeout=10)
        assert left == []
    finally:
        shutil.rmtree(folder)
