"""Enlarged keyframes in the store: kept, found again, and moved; made by the stand-in."""

from pathlib import Path

import pytest

from engine.film.events import Planned
from engine.film.recipe import MAX_FILM_SIDE
from tests.conftest import Client, a_recipe, an_engine, connected
from tests.pieces import finished
from tests.stand_ins.connection import png

pytestmark = pytest.mark.anyio
RECIPE = a_recipe("a", "b", spacing="even", upscale=2)


def names(client: Client, job: str, *, reused: bool) -> set[str]:
    """Return the enlarged keyframes that were made or found."""
    pieces = finished([message.event for message in client.events(job)], "enlarged")
    return {piece.object for piece in pieces if piece.reused == reused}


async def made(client: Client, job: str) -> None:
    await client.begin(job, RECIPE)
    assert await client.ended(job) == "Finished"


async def test_a_film_that_is_continued_or_moved_keeps_its_enlarged_keyframes(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path / "one") as engine, connected(engine) as client:
        await client.begin("job-first", RECIPE)
        await client.until(lambda: "enlarged finished" in client.types("job-first"))
        await client.connection.cancel("job-first")
        await client.ended("job-first")
    kept = names(client, "job-first", reused=False)
    async with an_engine(tmp_path / "one") as engine, connected(engine) as client:
        await made(client, "job-again")
        planned = next(e.event for e in client.events("job-again") if isinstance(e.event, Planned))
        assert planned.upscaler == "none@0x2"
        assert "enlarged" in planned.stages
    assert kept <= names(client, "job-again", reused=True)
    every = names(client, "job-again", reused=True) | names(client, "job-again", reused=False)
    assert len(every) == len(planned.keyframes)
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(MAX_FILM_SIDE // 2))
    async with an_engine(tmp_path / "two") as engine, connected(engine) as client:
        for name in await client.connection.find_missing(list(kept)):
            await client.connection.upload(name, picture, "image/png", origin="one")
        await made(client, "job-there")
    assert names(client, "job-there", reused=True) == kept
    assert names(client, "job-there", reused=False) == every - kept
