"""A film whose keyframes look at its first one, painted by a real worker with a tiny network."""

from pathlib import Path

import psutil
import pytest

from engine import daemon
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.models import FINE_CELLS, catalogue
from tests.conftest import connected
from tests.films.test_same_film import finished, reached
from tests.stand_ins.pipelines import save_tiny_pipeline

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("forked_workers")]
JOB = "job-film"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads changes a picture's last bits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def film(**facts: object) -> Recipe:
    scenes = [{"prompt": "a sea", "seconds": 0.4}, {"prompt": "a city", "seconds": 0.4}]
    size = {"width": 64, "height": 64, "fps": 10, "num_inference_steps": 3, "model": "tiny"}
    about = {"scenes": scenes, "motion": "cut", "interpolation_factor": 2, "spacing": "even"}
    return parse_recipe({**about, **size, **facts})


async def test_a_film_that_was_interrupted_looks_at_the_same_subject(tmp_path: Path) -> None:
    models = catalogue([str(save_tiny_pipeline(tmp_path / "tiny", sample_size=FINE_CELLS))])

    def options(name: str) -> daemon.Options:
        return daemon.Options(data=tmp_path / name, models=models, device="cpu")

    looking = film(anchor_attention=True)
    async with daemon.running(options("one")) as engine, connected(engine) as client:
        fresh = await finished(client, JOB, looking)
        plain = await finished(client, "job-plain", film())
    async with daemon.running(options("two")) as engine, connected(engine) as client:
        await client.connection.submit(JOB, looking)
        await client.connection.watch(JOB, previews=False)
        await reached(client, JOB, "keyframe finished", 2)
        psutil.Process().children()[-1].kill()
        await reached(client, JOB, "Interrupted", 1)
        assert await finished(client, JOB) == fresh
    assert len({*fresh} & {*plain}) == 1  # the first keyframe
    assert len({*fresh.values()} & {*plain.values()}) == 1
