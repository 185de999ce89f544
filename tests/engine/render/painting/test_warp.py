"""Pictures moved by a camera, their colours held, and fitted to a film's size."""

import numpy as np
import pytest

from engine.film.camera import REST, Move, Pose
from engine.render.image import Picture
from engine.render.painting.warp import between, fitted, in_view, moved, with_colours_of

HEIGHT, WIDTH = 96, 128


def a_picture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Picture:
    """Return smooth colours of which no two places are alike."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [
        np.sin(x * random.uniform(2, 9) + y * random.uniform(2, 9) + random.uniform(0, 6))
        for _ in range(3)
    ]
    return (np.stack(waves, -1) * 90 + 128).astype(np.uint8)


def to(**pose: float) -> Move:
    return Move(before=REST, after=Pose(**pose))


def error(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def test_without_a_move_nothing_changes() -> None:
    assert np.array_equal(moved(a_picture(), to()), a_picture())
    assert in_view(to(), HEIGHT, WIDTH).all()


def test_a_pan_of_whole_pixels_moves_whole_pixels() -> None:
    picture = a_picture()
    panned = moved(picture, to(pan_x=16 / WIDTH, pan_y=8 / HEIGHT))
    assert np.array_equal(panned[8:, :-16], picture[:-8, 16:])
    seen = in_view(to(pan_x=16 / WIDTH, pan_y=8 / HEIGHT), HEIGHT, WIDTH)
    assert seen[8:, :-16].all()
    assert seen.sum() == (HEIGHT - 8) * (WIDTH - 16)


@pytest.mark.parametrize(
    "pose",
    [{"zoom": 1.3}, {"roll": 20.0}, {"orbit": 0.2}, {"zoom": 1.5, "roll": -9.0, "pan_x": 0.1}],
)
def test_there_and_back_is_the_picture_again(pose: dict[str, float]) -> None:
    there = to(**pose)
    back = Move(before=there.after, after=there.before)
    again = moved(moved(a_picture(), there), back)
    shared = in_view(back, HEIGHT, WIDTH) & in_view(there, HEIGHT, WIDTH)
    inner = np.zeros_like(shared)
    inner[8:-8, 8:-8] = True
    assert error(again[shared & inner], a_picture()[shared & inner]) < 1.5


@pytest.mark.parametrize("pose", [{"pan_x": 0.3}, {"zoom": 0.5}, {"roll": 45.0}, {"pan_x": 3.0}])
def test_nothing_black_comes_in(pose: dict[str, float]) -> None:
    bright = np.maximum(a_picture(), 60)
    assert moved(bright, to(**pose)).min() > 40  # Lanczos may undershoot a little


@pytest.mark.parametrize("pose", [{}, {"pan_x": 0.3}, {"zoom": 1.4}])
def test_colours_that_drifted_come_back(pose: dict[str, float]) -> None:
    picture = a_picture() // 3 + 80  # muted, so that nothing leaves RGB on the way
    here = moved(picture, to(**pose))
    drifted = np.clip(here * np.array([0.9, 1.0, 0.8]) + 12, 0, 255).astype(np.uint8)
    held = with_colours_of(drifted, picture, to(**pose))
    assert error(drifted, here) > 8
    assert error(held, here) < 2.5


def test_colours_are_held_of_what_both_show_and_not_of_what_is_new() -> None:
    """A camera that leaves a bright ground for a dark sky does not brighten the sky."""
    picture = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    picture[:, WIDTH // 2 :] = 180
    here = picture.copy()
    here[:, WIDTH // 2 :] = 20  # what came into view on the right
    held = with_colours_of(here, picture, to(pan_x=0.5))
    assert error(held[:, WIDTH // 2 :], here[:, WIDTH // 2 :]) < 40


def test_a_picture_of_one_colour_is_only_shifted() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    held = with_colours_of(flat, flat + 10, to())
    assert np.abs(held.astype(int) - 110).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (192, 64), (256, 512)])
def test_fitting_squeezes_nothing(height: int, width: int) -> None:
    """A circle in the middle stays one."""
    y, x = np.mgrid[:300, :400]
    inside = (x - 199.5) ** 2 + (y - 149.5) ** 2 < 60**2
    picture = np.repeat(inside[..., None], 3, 2).astype(np.uint8) * 255
    found = fitted(picture, height, width)
    assert found.shape == (height, width, 3)
    rows, columns = np.nonzero(found[..., 0] > 127)
    spans = np.ptp(rows) + 1, np.ptp(columns) + 1
    if spans[1] < width and spans[0] < height:
        assert abs(spans[0] - spans[1]) <= 2
    assert abs(rows.mean() - (height - 1) / 2) < 1
    assert abs(columns.mean() - (width - 1) / 2) < 1


@pytest.mark.parametrize("pose", [{"pan_x": 0.2}, {"zoom": 1.3}, {"roll": 10.0, "orbit": 0.1}])
def test_between_two_views_of_one_world_is_that_world(pose: dict[str, float]) -> None:
    """Where blending two pictures that do not lie on each other would show everything twice."""
    first, move = a_picture(), to(**pose)
    second = moved(first, move)
    half = Move(before=REST, after=move.at(0.5))
    expected, shown = moved(first, half), in_view(half, HEIGHT, WIDTH)
    found = between(first, second, move, 0.5)
    assert error(found[shown], expected[shown]) < 2
    doubled = (first.astype(float) + second) / 2
    assert error(doubled[shown], expected[shown]) > 3 * error(found[shown], expected[shown])


def test_what_only_one_of_two_shows_is_taken_from_it() -> None:
    """The camera pans right: at the right rim only the second picture can tell what is there."""
    first = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    second = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    found = between(first, second, to(pan_x=0.5), 0.5)[HEIGHT // 2, :, 0].astype(int)
    assert found[-8:].min() >= 199
    assert found[:8].max() <= 41
    assert np.abs(np.diff(found)).max() <= 30  # no seam


def test_close_to_a_keyframe_it_is_that_keyframe() -> None:
    first, second = a_picture(), a_picture(seed=3)
    for position, keyframe in ((0.001, first), (0.999, second)):
        assert error(between(first, second, to(zoom=1.1), position), keyframe) < 2
