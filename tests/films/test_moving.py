"""A film begun on one engine is finished on another, and nothing is painted twice."""

from pathlib import Path

import pytest

from engine import daemon
from engine.film.recipe import Recipe
from engine.models import catalogue
from tests.conftest import Client, a_recipe, connected
from tests.pieces import finished

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("forked_workers")]
JOB = "job-0001"
MADE = ("keyframe", "segment")


async def begin(data: Path, recipe: Recipe, keep: Path) -> set[str]:
    """Make the first half of a film, fetch what is finished, and leave the engine for good."""
    names = set()
    options = daemon.Options(data=data, models=catalogue())
    async with daemon.running(options) as engine, connected(engine) as client:
        await client.connection.submit(JOB, recipe)
        await client.connection.watch(JOB, previews=False)
        await client.until(lambda: "segment finished" in client.types(JOB), patience=200)
        await client.connection.cancel(JOB)
        for event in finished([message.event for message in client.events(JOB)], *MADE):
            names.add(event.object)
            await client.connection.fetch(event.object, keep / event.object)
    return names


async def bring(client: Client, kept: dict[str, str], keep: Path) -> None:
    """Upload what the other engine lacks."""
    for name in await client.connection.find_missing(list(kept)):
        await client.connection.upload(name, keep / name, kept[name], origin="the first engine")


async def test_a_film_outlives_its_engine(tmp_path: Path) -> None:
    recipe = a_recipe(
        *("dawn over the sea", "noon", "night"), num_inference_steps=2, interpolation_factor=3
    )
    names = await begin(tmp_path / "one", recipe, tmp_path)
    options = daemon.Options(data=tmp_path / "two", models=catalogue())
    async with daemon.running(options) as engine, connected(engine) as client:
        kinds = {name: _kind(tmp_path / name) for name in names}
        await bring(client, kinds, tmp_path)
        await client.connection.submit(JOB, recipe)
        await client.connection.watch(JOB, previews=False)
        await client.until(lambda: client.types(JOB)[-1:] == ["Finished"], patience=200)
        events = [message.event for message in client.events(JOB)]
    made = finished(events, *MADE)
    assert {event.object for event in made if event.reused} == names
    assert {event.origin for event in made if event.reused} == {"the first engine"}
    painted = client.types(JOB).count("keyframe started")
    assert painted == sum(not e.reused for e in finished(made, "keyframe")) > 0


def _kind(file: Path) -> str:
    return "image/png" if file.read_bytes().startswith(b"\x89PNG") else "video/mp4"
