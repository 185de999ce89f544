"""A film of a moving camera, from the recipe to the MP4: it goes where it was told."""

from pathlib import Path

import pytest

from benchmarks.camera import a_recipe, frames_of, look
from engine import daemon
from engine.film.events import Finished
from engine.film.recipe import Camera
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from tests.conftest import connected
from tests.ui.storage.test_start_images import a_file, halves
from ui.storage.start_images import StartImages

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("forked_workers")]
MINUTES = 300.0  # seconds; the offline model paints, on a machine that may be busy
PATH = {"zoom": 1.3, "easing": "linear"}


async def made(folder: Path, name: str = "") -> Path:
    """Have a film of one scene made by an engine; a picture that it begins from is brought."""
    recipe = a_recipe("a still lake at sunset, the sun on the right", PATH, 1.5)
    if name:
        scene = {"prompt": "a lake", "seconds": 0.3, "start_image": name, "strength": 0.2}
        recipe = parse_recipe({"scenes": [scene], "num_inference_steps": 8})
    async with (
        daemon.running(daemon.Options(data=folder / "data", models=catalogue())) as engine,
        connected(engine) as client,
    ):
        await StartImages(folder / "stills").upload(client.connection, recipe)
        await client.connection.submit("job-12345", recipe)
        await client.connection.watch("job-12345", previews=False)
        await client.until(lambda: "Finished" in client.types("job-12345"), patience=MINUTES)
        finished = client.events("job-12345")[-1].event
        assert isinstance(finished, Finished)
        await client.connection.fetch(finished.object, folder / "film.mp4")
    return folder / "film.mp4"


async def test_the_finished_film_follows_the_path_and_keeps_its_colours(tmp_path: Path) -> None:
    frames = frames_of(await made(tmp_path))
    assert len(frames) == 36
    found = look(frames, Camera(**PATH))  # type: ignore[arg-type]
    assert found.off <= 0.1
    assert found.drift < 0.02


async def test_a_film_begins_with_the_user_s_picture(tmp_path: Path) -> None:
    """Red on the left and blue on the right: nothing that the model would paint by itself."""
    name = StartImages(tmp_path / "stills").keep(a_file(halves(300, 200)))
    first = frames_of(await made(tmp_path, name))[0].astype(int)
    left, right = first[:, :100].mean((0, 1)), first[:, -100:].mean((0, 1))
    assert left[0] > left[2] + 40
    assert right[2] > right[0] + 40
