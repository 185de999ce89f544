"""Figures count more in the loss where they change pixels; close-ups show them."""

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from training.positions import close_up_of, weights_of
from training.scene import Figure, Scene
from training.world import draw

WHERE = [("fox", "meadow", "ground"), ("sailboat", "sea", "water"), ("owl", "hills", "air")]


@pytest.mark.parametrize(("subject", "place", "habitat"), WHERE)
@pytest.mark.parametrize("size", [(448, 256), (256, 448), (256, 256)])
@pytest.mark.parametrize("near", [True, False])
def test_what_a_figure_changes_counts_more(subject, place, habitat, size, near):
    inside, whole, seen, rng = [], [], [], np.random.default_rng(0)
    for seed, side in enumerate(("left", "centre", "right")):
        figure = Figure(subject, habitat, side, near)
        scenes = [Scene("noon", place, "left", "clear", figures=(figure,))]
        scenes.append(Scene("noon", place, "left", "clear"))
        pair = [draw(one, np.random.default_rng(seed), *size).astype(float) for one in scenes]
        changed = np.abs(pair[0] - pair[1]).max(axis=2) > 60
        rows, columns = close_up_of(scenes[0], figure, size[1] // 8, size[0] // 8, 20, rng)
        seen.append(changed[_pixels(rows), _pixels(columns)].sum() / changed.sum())
        weights = weights_of(scenes[0], size[1] // 8, size[0] // 8, 4.0)
        assert {*np.unique(weights)} == {1.0, 4.0}
        counted = np.kron(weights, np.ones((8, 8))) > 1
        inside.append(changed[counted].sum() / changed.sum())
        whole.append(counted.mean())
    assert min(inside) > 0.85
    assert max(whole) < 0.45
    assert min(seen) > 0.6  # the rest is its reflection


def _pixels(latents):
    return slice(8 * latents.start, 8 * latents.stop)


def test_a_place_without_figures_counts_evenly():
    assert (weights_of(Scene("noon", "sea", "left", "clear"), 32, 56, 4.0) == 1).all()
