"""Pictures that scenes begin from, from the laptop to an engine that lacks them."""

import os
import stat
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import EngineUnreachableError, InvalidParameterError, MissingPictureError
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe, an_engine, connected
from tests.stand_ins.connection import until
from tests.ui.storage.test_start_images import a_file, halves
from ui import app_state
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine
from ui.storage.saved_draft import SavedDraft
from ui.storage.start_images import StartImages


def beginning(name: str) -> Recipe:
    """Return a recipe whose second scene begins from a picture."""
    scenes = [{"prompt": "a", "seconds": 1}, {"prompt": "b", "seconds": 1, "start_image": name}]
    return parse_recipe({"scenes": scenes, "width": 64, "height": 64})


def test_a_picture_is_kept_once_and_for_its_owner_only(tmp_path: Path) -> None:
    start_images = StartImages(tmp_path / "stills")
    name = start_images.keep(a_file(halves()))
    assert start_images.keep(a_file(halves())) == name
    assert start_images.has(name)
    assert [file.name for file in (tmp_path / "stills").iterdir()] == [f"{name}.png"]
    assert stat.S_IMODE((tmp_path / "stills").stat().st_mode) == 0o700
    assert start_images.thumbnail(name).startswith(b"\xff\xd8")


def test_a_picture_stays_while_a_film_or_the_draft_begins_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens the app again finds what they may still need, and nothing else."""
    monkeypatch.setenv("VISIONFLUX_DATA", str(tmp_path))
    monkeypatch.setattr(app_state, "ensure_local_engine", _none)
    monkeypatch.setattr(app_state, "FIRST_PAGE_SECONDS", 0.0)
    hubs = app_state.Hubs()
    hub = hubs.of("")
    shades = ("red", "green", "blue")
    film, draft, dropped = (
        hub.start_images.keep(a_file(Image.new("RGB", (64, 64), s))) for s in shades
    )
    hub.library.add("job1", beginning(film), "engine")
    hub.library.end("job1", "cancelled")
    hub.library.discard("job1")  # which can be undone
    hub.draft_file.write(SavedDraft(beginning(draft)))
    hubs.close()
    hub = hubs.of("")
    assert [hub.start_images.has(name) for name in (film, draft, dropped)] == [True, True, False]
    hub.library.delete("job1")
    hubs.close()
    assert [hubs.of("").start_images.has(name) for name in (film, draft)] == [False, True]
    hubs.close()


def test_the_start_removes_interrupted_downloads_of_jobs_that_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLUX_DATA", str(tmp_path))
    monkeypatch.setattr(app_state, "ensure_local_engine", _none)
    part = tmp_path / "films" / "job1" / "film.mp4.part"
    library = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
    library.add("job1", beginning("a" * 64), "engine")
    library.end("job1", "failed")
    part.parent.mkdir()
    part.write_bytes(b"half of it")
    os.utime(part, (1.0, 1.0))
    hubs = app_state.Hubs()
    hubs.of("")
    until(lambda: not part.exists())
    hubs.close()


def _none(folder: Path) -> Pairing:
    raise EngineUnreachableError(str(folder), "there is none")


def test_what_is_not_here_has_no_thumbnail(tmp_path: Path) -> None:
    start_images = StartImages(tmp_path)
    assert not start_images.has("a" * 64)
    assert start_images.thumbnail("a" * 64) == b""
    with pytest.raises(InvalidParameterError):
        start_images.keep(b"no picture")
    assert not [*tmp_path.iterdir()]


@pytest.mark.anyio
async def test_an_engine_without_the_picture_names_the_scene(tmp_path: Path) -> None:
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        with pytest.raises(MissingPictureError) as caught:
            await client.connection.submit("job-12345", beginning("a" * 64))
        assert caught.value.field == "scenes[1].start_image"
        assert "add the picture again" in caught.value.remedy


@pytest.mark.anyio
async def test_a_picture_is_uploaded_before_its_recipe(tmp_path: Path) -> None:
    start_images = StartImages(tmp_path / "stills")
    recipe = beginning(start_images.keep(a_file(halves())))
    async with an_engine(tmp_path / "engine") as engine, connected(engine) as client:
        await start_images.upload(client.connection, recipe)
        assert await client.connection.find_missing(recipe.start_images) == ()
        await start_images.upload(client.connection, recipe)  # nothing twice
        assert not (await client.connection.submit("job-12345", recipe)).duplicate
        await client.connection.watch("job-12345", previews=False)
        assert await client.ended("job-12345") == "Finished"


@pytest.mark.anyio
async def test_what_is_here_no_more_is_the_engine_s_to_miss(tmp_path: Path) -> None:
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await StartImages(tmp_path / "none").upload(client.connection, beginning("b" * 64))
        await StartImages(tmp_path / "none").upload(client.connection, a_recipe("no picture"))
        with pytest.raises(MissingPictureError):
            await client.connection.submit("job-12345", beginning("b" * 64))


@pytest.mark.anyio
async def test_other_content_under_a_picture_s_name_does_not_count(tmp_path: Path) -> None:
    start_images = StartImages(tmp_path / "stills")
    name = start_images.keep(a_file(halves()))
    async with an_engine(tmp_path / "engine") as engine, connected(engine) as client:
        await client.connection.upload("c" * 64, start_images.path(name), "image/png")
        with pytest.raises(MissingPictureError):
            await client.connection.submit("job-12345", beginning("c" * 64))
