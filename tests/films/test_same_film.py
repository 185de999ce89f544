"""What was interrupted, or painted anew in part, is what an engine without a past makes.

Every frame of it, with the offline model; its pictures decide how the plan grows.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from engine import daemon
from engine.film.progress import fold
from engine.film.recipe import Recipe, Retake
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from tests.conftest import Client, connected

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PATIENCE = 240.0
SCENES = [
    {"prompt": "dawn over the sea", "seconds": 0.8},
    {"prompt": "snowy mountains at noon", "seconds": 0.5, "camera": {"zoom": 1.3, "roll": 5}},
    {"prompt": "a city at night", "seconds": 0.8},
]
RECIPE = parse_recipe(
    {
        **{"scenes": SCENES, "width": 96, "height": 64, "fps": 10, "drift": 0.1},
        **{"num_inference_steps": 3, "interpolation_factor": 2},
    }
)
Hashes = dict[str, str]  # of everything that was made, by name


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads changes a picture's last bits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@asynccontextmanager
async def an_engine(data: Path, batch: int) -> AsyncIterator[Client]:
    """Run an engine that paints so many keyframes at once; yield who is connected with it."""
    options = daemon.Options(data=data, models=catalogue(), device="cpu", batch=batch)
    async with daemon.running(options) as engine, connected(engine) as client:
        yield client


async def finished(client: Client, job: str, recipe: Recipe | None = None) -> Hashes:
    """Wait for a film, which is asked for if its recipe is given; return what it consists of."""
    if recipe:
        await client.connection.submit(job, recipe)
    await client.connection.watch(job, previews=False)
    await client.until(lambda: "Finished" in client.types(job), PATIENCE)
    events = [message.event for message in client.events(job)]
    return {event.object: event.sha256 for event in events if hasattr(event, "sha256")}


async def reached(client: Client, job: str, kind: str, number: int) -> None:
    await client.until(lambda: client.types(job).count(kind) >= number, PATIENCE)


async def interrupted(data: Path, batch: int) -> None:
    """Begin a film; have its worker killed while it grows, and the engine stopped later on."""
    async with an_engine(data, batch) as client:
        await client.connection.submit("job-film", RECIPE)
        await client.connection.watch("job-film", previews=False)
        await reached(client, "job-film", "Grown", 1)
        psutil.Process().children()[-1].kill()
        await reached(client, "job-film", "segment finished", 2)


def forget(data: Path) -> None:
    """Delete every object that an engine has stored, so that it makes all of them again."""
    for file in (data / "engine" / "objects").rglob("*.*"):
        file.unlink()


def rerolled(client: Client) -> Recipe:
    """Return the recipe with another take of the keyframe in the middle of the film's growth."""
    plan = fold(client.events("job-film")).plan
    assert plan
    again = Retake(seconds=plan.times[len(plan.times) // 2], seed=99)
    return msgspec.structs.replace(RECIPE, retakes=(again,), keyframes=tuple(sorted(plan.times)))


@pytest.mark.parametrize("batch", [1, 4])
async def test_a_film_with_a_past_is_the_film_without_one(tmp_path: Path, batch: int) -> None:
    async with an_engine(tmp_path / "one", batch) as client:
        fresh = await finished(client, "job-film", RECIPE)
        assert client.types("job-film").count("Grown") > 1
        again = rerolled(client)
        forget(tmp_path / "one")
        anew = await finished(client, "job-anew", again)
    await interrupted(tmp_path / "two", batch)
    async with an_engine(tmp_path / "two", batch) as client:
        assert await finished(client, "job-film") == fresh
        assert client.types("job-film").count("Interrupted") > 1
        assert rerolled(client) == again
        assert await finished(client, "job-anew", again) == anew
        painted = client.types("job-anew").count("keyframe started")
    assert 1 <= painted < len(again.keyframes or ())
    assert anew != fresh
