"""The statistics that read attributes back, from the generator's pictures and from the model's."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from training import evaluate
from training.attributes import Recogniser, agreement, examples
from training.export import MODEL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recogniser():
    return Recogniser.fit(*examples(400, seed=1))


def test_the_generators_pictures_are_recognised(recogniser):
    shares = agreement(recogniser, *examples(120, seed=2))
    assert min(shares.values()) >= 0.95, shares


def test_the_model_obeys_unseen_prompts(recogniser):
    """Chance is 20 % for the time, 17 % for the place and 33 % for the side."""
    scenes, prompts = evaluate.unseen(12, seed=5)
    pictures = evaluate.render(evaluate.load_pipeline(MODEL), prompts, seed=5, batch=6)
    shares = agreement(recogniser, pictures, scenes)
    assert min(shares.values()) >= 0.75, shares
