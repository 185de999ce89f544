"""A film is enlarged from the keyframes that it has: the real path, with tiny pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec import structs

from engine import daemon
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from engine.render.video.ffmpeg import probe
from tests.conftest import connected
from tests.engine.render.upscale.networks import compact_file
from tests.pieces import finished

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("forked_workers")]
SMALL = parse_recipe(
    {
        "scenes": [{"prompt": "dawn", "seconds": 0.5}, {"prompt": "dusk", "seconds": 0.5}],
        **{"width": 64, "height": 64, "num_inference_steps": 1},
        **{"fps": 8, "interpolation_factor": 7, "spacing": "even"},
    }
)


async def test_a_film_is_enlarged_without_painting(tmp_path: Path) -> None:
    options = daemon.Options(
        data=tmp_path / "engine",
        models=catalogue(),
        rife="dis",
        upscaler=str(compact_file(tmp_path)),
    )
    async with daemon.running(options) as engine, connected(engine) as client:
        pieces = {}
        for factor in (1, 4):
            job = f"job-000{factor}"
            await client.connection.submit(job, structs.replace(SMALL, upscale=factor))
            await client.connection.watch(job, previews=False)
            await client.until(lambda job=job: client.types(job)[-1:] == ["Finished"], 200)
            pieces[factor] = finished([message.event for message in client.events(job)])
        files = {}
        for piece in pieces[4]:
            files[piece.stage, piece.index] = tmp_path / f"{piece.stage}{piece.index}"
            await client.connection.fetch(piece.object, files[piece.stage, piece.index])
    keyframes, enlarged = (
        [piece for piece in pieces[4] if piece.stage == stage] for stage in ("keyframe", "enlarged")
    )
    assert {piece.reused for piece in keyframes} == {True}
    assert [(piece.index, piece.reused) for piece in enlarged] == [(0, False), (1, False)]
    film = probe(files["film", 0])
    assert (film.width, film.height, film.frames) == (256, 256, 8)
    shown, keyframe, poster = (
        cv2.VideoCapture(str(files[name])).read()[1]
        for name in (("segment", 0), ("enlarged", 0), ("poster", 0))
    )
    assert keyframe.shape == poster.shape == (256, 256, 3)
    assert np.abs(shown.astype(int) - keyframe).mean() < 6  # what the codec changes
