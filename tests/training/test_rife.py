"""training.rife: scenes whose in-between frames, motion and hidden parts are known."""

import cv2
import numpy as np
import pytest

from training.rife.banks import make_bank
from training.rife.films import KEYFRAME_GAP, draw_recipe
from training.rife.scenes import Scene, draw_scene, exact_flows, render, topmost, visible


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng, bank = np.random.default_rng(3), make_bank(5, 10, 8, held_out=False)
    drawn = [draw_scene(rng, bank, 128, 20.0) for _ in range(4)]
    return [Scene(scene.layers, scene.size) for scene in drawn]  # in steady light


def _followed(scene: Scene, moment: float, flow: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: scene.size, : scene.size].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return cv2.remap(render(scene, moment), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def test_visible_pixels_lead_to_their_own_colour_and_hidden_ones_do_not(
    scenes: list[Scene],
) -> None:
    for scene in scenes:
        here = render(scene, 0.5).astype(float)
        seen = visible(scene, 0.5)
        for flow, mask, moment in zip(exact_flows(scene, 0.5), seen, (0.0, 1.0), strict=True):
            error = np.abs(_followed(scene, moment, flow) - here).mean(-1)
            assert 0 < mask.mean() < 1
            assert np.median(error[mask]) < 3
            assert error[~mask].mean() > 3 * error[mask].mean()


def test_what_is_topmost_is_fully_visible_in_its_own_frame(scenes: list[Scene]) -> None:
    for scene in scenes:
        seen = visible(scene, 0.0)[0]
        assert seen.all()
        assert set(np.unique(topmost(scene, 0.0))) <= set(range(len(scene.layers)))


def test_film_pieces_have_a_keyframe_between_every_two_of_a_film() -> None:
    rng = np.random.default_rng(1)
    recipes = [draw_recipe(rng, held_out=True) for _ in range(30)]
    assert all(recipe.interpolation_factor * 2 == KEYFRAME_GAP for recipe in recipes)
    assert {len(recipe.scenes) for recipe in recipes} == {1, 2}
    assert len({recipe.drift for recipe in recipes}) == 3
