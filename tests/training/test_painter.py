"""The next model's painter, from pictures to a folder that any pipeline loads, in miniature."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from engine.models import catalogue  # noqa: E402
from training import (  # noqa: E402
    components,
    decoder,
    evaluate,
    latents,
    tokens,
    train,
    vocabulary,
    words,
)
from training.pictures import RICH_SIZES, fill, folder_of  # noqa: E402
from training.scene import Figure, Scene  # noqa: E402


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A runs folder with 12 small pictures of each shape, an autoencoder and their latents."""
    folder = tmp_path_factory.mktemp("runs")
    for shape, (width, height) in RICH_SIZES.items():
        fill(folder_of(folder, shape), (width // 4 // 16 * 16, height // 4 // 16 * 16), 12, 1, 1)
        folder_of(folder, shape).rename(folder_of(folder, shape, rich=True))
    vae = decoder.start(folder, components.CHANNELS)
    for shape in RICH_SIZES:
        for mirrored in (False, True):
            latents.fill(folder, shape, vae, mirrored, rich=True)
    return folder


def test_mirrored_scenes_swap_all_sides():
    fox, owl = (Figure(name, "ground", side, near=True) for name, side in
                (("fox", "left"), ("owl", "centre")))  # fmt: skip
    scene = Scene("noon", "hills", "right", "clear", "noir", (fox, owl))
    swapped = latents.mirror(scene)
    assert swapped.side == "left"
    assert [figure.side for figure in swapped.figures] == ["right", "centre"]
    assert latents.mirror(swapped) == scene


def test_mirrored_latents_are_those_of_mirrored_pictures(runs):
    stored, scenes = latents.load_latents(runs, "wide", rich=True)
    assert len(stored) == len(scenes) == 24
    assert stored.shape[1] == components.CHANNELS
    assert scenes[12] == latents.mirror(scenes[0])
    plain, mirrored = stored[0].astype(float), stored[12].astype(float)
    assert np.abs(plain[0].mean() - mirrored[0].mean()) < 0.02


@pytest.mark.parametrize(("height", "width", "side"), [(8, 14, 8), (32, 56, 20)])
def test_close_ups_show_figures_and_cost_what_whole_pictures_do(height, width, side):
    figure = Figure("fox", "ground", "left", near=True)
    scenes = [Scene("noon", "hills", "right", "clear"), Scene("noon", "sea", "left", "clear")]
    scenes.append(Scene("noon", "hills", "right", "clear", figures=(figure,)))
    stored = np.arange(3, dtype=np.float16)[:, None, None, None] * np.ones((3, 12, height, width))
    some, said, counts = train.close_ups(stored, scenes, 4, np.random.default_rng(0))
    assert some.shape[1:] == (12, side, side)
    assert 4 * height * width <= len(some) * side**2 < 4 * height * width + side**2
    assert (some == 2).all()  # the only one with a figure
    assert len(said) == len(counts) == len(some)
    assert counts.max(axis=(1, 2)).min() == train.FIGURE_WEIGHT


def test_a_trained_painter_ships_and_paints(runs, tmp_path):
    train.train(runs, 0.1, 1, rich=True)
    first = train.Training(runs, rich=True)
    first.resume()
    assert first.step > 0
    target = tmp_path / "model"
    first.ship(target)
    assert catalogue([str(target)])["model"].card.vocabulary == vocabulary.vocabulary()
    pipeline = evaluate.load_pipeline(target)
    options = {"num_inference_steps": 2, "width": 128, "height": 64}
    (picture,) = evaluate.render(pipeline, ["a fox in the hills at noon"], 1, **options)
    assert picture.shape == (64, 128, 3)
    assert len(first.tokenizer) <= 3000


def test_the_tokenizer_has_a_piece_for_nearly_every_word(runs):
    tokenizer = tokens.load(runs / "rich-tokenizer", rich=True)
    spoken = {word for phrase in words.spoken() for word in phrase.split()}
    whole = [word for word in spoken if len(tokenizer.tokenize(word)) == 1]
    assert len(whole) > 0.9 * len(spoken)
