"""The identity lock with the model that is shipped: what is where stays from scene to scene."""

from statistics import mean

import pytest

from engine import models
from engine.film import graph
from engine.film.recipe_json import parse_recipe
from engine.render.device import choose_device
from engine.render.painting.painter import Painter
from engine.render.rife.similarity import distance

pytestmark = pytest.mark.slow
STORIES = (
    ("a lake at night, full moon in the centre", "a city at night, full moon in the centre"),
    ("dawn over a forest, birds", "dusk in the desert, birds"),
    ("noon over the mountains, white clouds", "night over the mountains, stars"),
)


def test_scenes_that_share_noise_look_more_alike_and_are_still_themselves() -> None:
    painter = Painter.load(models.catalogue()["landscapes"], choose_device("cpu"), lambda *_: None)

    def apart(seed: int, prompts: tuple[str, str], **lock: bool) -> float:
        """Return how much two scenes' first keyframes differ, with a cut between them."""
        scenes = [{"prompt": prompt, "seconds": graph.NOISE_SECONDS} for prompt in prompts]
        facts = {"scenes": scenes, "motion": "cut", "num_inference_steps": 8, "seed": seed}
        recipe = parse_recipe({**facts, **lock})
        pictures = [
            painter.paint(
                graph.keyframe(recipe, seconds, painter.identity),
                on_step=lambda *_: None,
                cancelled=lambda: False,
            )
            for seconds in (0.0, graph.NOISE_SECONDS)
        ]
        return distance(*pictures)

    free = [apart(seed, prompts) for seed, prompts in enumerate(STORIES, 100)]
    locked = [apart(seed, prompts, shared_noise=True) for seed, prompts in enumerate(STORIES, 100)]
    assert mean(locked) < 0.97 * mean(free)
    assert min(locked) > 0.1
