"""Where figures count more in the loss: on the pixels that they change, and on few others."""

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from training.positions import weights_of  # noqa: E402
from training.scene import Figure, Scene  # noqa: E402
from training.world import draw  # noqa: E402

WHERE = [("fox", "meadow", "ground"), ("sailboat", "sea", "water"), ("owl", "hills", "air")]


@pytest.mark.parametrize(("subject", "place", "habitat"), WHERE)
@pytest.mark.parametrize("size", [(448, 256), (256, 448), (256, 256)])
@pytest.mark.parametrize("near", [True, False])
def test_what_a_figure_changes_counts_more(subject, place, habitat, size, near):
    inside, whole = [], []
    for seed, side in enumerate(("left", "centre", "right")):
        figure = Figure(subject, habitat, side, near)
        scenes = [Scene("noon", place, "left", "clear", figures=(figure,))]
        scenes.append(Scene("noon", place, "left", "clear"))
        pair = [draw(one, np.random.default_rng(seed), *size).astype(float) for one in scenes]
        changed = np.abs(pair[0] - pair[1]).max(axis=2) > 60
        weights = weights_of(scenes[0], size[1] // 8, size[0] // 8, 4.0)
        assert {*np.unique(weights)} == {1.0, 4.0}
        counted = np.kron(weights, np.ones((8, 8))) > 1
        inside.append(changed[counted].sum() / changed.sum())
        whole.append(counted.mean())
    assert min(inside) > 0.85
    assert max(whole) < 0.45


def test_a_place_without_figures_counts_evenly():
    assert (weights_of(Scene("noon", "sea", "left", "clear"), 32, 56, 4.0) == 1).all()
