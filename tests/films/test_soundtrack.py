"""A film gets its music without being painted again: the real path, with tiny pictures."""

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from engine import daemon
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from engine.music import loudness
from engine.render.video.ffmpeg import probe
from tests.conftest import connected
from tests.engine.render.video.test_sound import decoded, packets
from tests.pieces import finished

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
STILL = parse_recipe(
    {
        "scenes": [{"prompt": "dawn", "seconds": 1.5}, {"prompt": "storm", "seconds": 1.5}],
        **{"width": 64, "height": 64, "num_inference_steps": 1},
        **{"fps": 8, "interpolation_factor": 12, "spacing": "even"},
    }
)


async def test_a_film_gets_music_without_painting(tmp_path: Path) -> None:
    """Its pictures are the same packets; the music is as long, as loud and in time."""
    options = daemon.Options(data=tmp_path / "engine", models=catalogue(), rife="dis")
    async with daemon.running(options) as engine, connected(engine) as client:
        pieces = {}
        for music in ("none", "composed"):
            job = f"job-{music}"
            await client.connection.submit(job, structs.replace(STILL, music=music))
            await client.connection.watch(job, previews=False)
            await client.until(lambda job=job: client.types(job)[-1:] == ["Finished"], 200)
            pieces[music] = finished([message.event for message in client.events(job)])
            (film,) = (piece for piece in pieces[music] if piece.stage == "film")
            await client.connection.fetch(film.object, tmp_path / f"{music}.mp4")
    made = {piece.stage for piece in pieces["composed"] if not piece.reused}
    assert made == {"soundtrack", "film"}
    still, film = tmp_path / "none.mp4", tmp_path / "composed.mp4"
    assert packets(film) == packets(still)
    assert probe(film).frames == 24
    heard = np.array(decoded(film))
    assert abs(len(heard) - 3 * 48_000) < 48_000 / 8
    assert loudness.loudness(heard) == pytest.approx(-14, abs=0.3)
    assert loudness.true_peak(heard) <= -1
