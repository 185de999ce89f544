"""Every score of a film's smoothness, on films whose truth is known."""

import gc
import weakref
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from engine.render.video import encode, smoothness
from engine.render.video.smoothness import score

RATE = 24


def pan(*, speeds: list[float]) -> list[np.ndarray]:
    """Return 128x128 frames of a camera that moves by so many pixels from frame to frame."""
    coarse = np.random.default_rng(5).uniform(40, 215, (16, 64, 3)).astype(np.float32)
    wide = cv2.resize(coarse, (512, 128), interpolation=cv2.INTER_CUBIC)
    moves = (np.float32([[1, 0, -left], [0, 1, 0]]) for left in np.cumsum([0.0, *speeds]))
    return [as_frame(cv2.warpAffine(wide, move, (128, 128))) for move in moves]


def as_frame(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


STEADY = pan(speeds=[2.0] * 47)


def test_a_steady_pan_is_smooth():
    scores = score(STEADY, RATE)
    assert scores.jumps == 0
    assert scores.duplicates == 0
    assert scores.unevenness < 0.1
    assert scores.flicker < 0.01


def test_a_still_film_repeats_its_frames_and_nothing_else():
    scores = score([STEADY[0]] * 24, RATE)
    assert scores.duplicates == pytest.approx(23 / 24, abs=1e-4)
    assert (scores.flicker, scores.jumps, scores.unevenness) == (0, 0, 0)
    assert (scores.brightness, scores.colour) == (0, 0)


@pytest.mark.parametrize("cuts", [1, 2, 3])
def test_every_cut_is_one_jump(cuts):
    parts = [STEADY[part * 12 : part * 12 + 12] for part in range(cuts + 1)]
    film = [frame if part % 2 else 255 - frame for part, some in enumerate(parts) for frame in some]
    scores = score(film, RATE)
    assert scores.jumps == cuts
    assert scores.unevenness < 0.1  # a cut is no motion
    assert scores.flicker < 0.01


def test_a_cut_between_still_pictures_is_a_jump():
    assert score([STEADY[0]] * 24 + [255 - STEADY[0]] * 24, RATE).jumps == 1


def test_a_rush_is_one_jump_and_uneven():
    scores = score(pan(speeds=[0.4] * 24 + [6.0] * 5 + [0.4] * 24), RATE)
    assert scores.jumps == 1
    assert scores.unevenness > 1


def test_unevenness_is_the_coefficient_of_variation_of_the_speed():
    speeds = [1.0, 2.0] * 24
    truth = np.std(speeds) / np.mean(speeds)
    assert score(pan(speeds=speeds), RATE).unevenness == pytest.approx(truth, rel=0.2)


@pytest.mark.parametrize("amount", [4.0, 8.0])
def test_flicker_is_what_motion_does_not_explain(amount):
    film = [as_frame(frame + amount * (-1) ** at) for at, frame in enumerate(STEADY)]
    scores = score(film, RATE)
    assert scores.flicker == pytest.approx(2 * amount / 255, rel=0.15)
    assert scores.jumps == 0


def test_noise_flickers():
    rng = np.random.default_rng(0)
    film = [as_frame(frame + rng.normal(0, 6, frame.shape)) for frame in STEADY]
    assert 0.02 < score(film, RATE).flicker < 0.05


def test_a_ramp_of_brightness_drifts():
    film = [np.full((96, 128, 3), 100 + at, np.uint8) for at in range(48)]
    scores = score(film, RATE)
    assert scores.brightness == pytest.approx(lightness(141.5) - lightness(105.5), abs=0.005)
    assert scores.colour < 0.005
    assert score(film[::-1], RATE).brightness == pytest.approx(-scores.brightness, abs=0.001)


def lightness(grey: float) -> float:
    """Return CIE L* in 0..1 of a grey in 0..255, by the formula."""
    linear = ((grey / 255 + 0.055) / 1.055) ** 2.4
    return float(1.16 * linear ** (1 / 3) - 0.16)


def test_a_change_of_tint_drifts_in_colour():
    tints = np.uint8([(128 + at, 128, 128 - at) for at in range(40)])
    film = [np.broadcast_to(tint, (64, 64, 3)).copy() for tint in tints]
    assert score(film, RATE).colour > 0.15


@pytest.mark.parametrize("every", [2, 3])
def test_repeated_frames_are_counted(every):
    scores = score([STEADY[at - at % every] for at in range(48)], RATE)
    assert scores.duplicates == pytest.approx(1 - 1 / every, abs=1e-4)
    assert scores.jumps == 0
    assert scores.unevenness > 0.9


def test_one_frame_is_a_film():
    scores = score(STEADY[:1], RATE)
    assert (scores.flicker, scores.jumps, scores.unevenness, scores.duplicates) == (0, 0, 0, 0)


class Handed(np.ndarray):
    """An array that can be watched."""


def test_memory_does_not_grow_with_the_film():
    """Of all the frames that were handed over, the last two at most are still held."""
    alive = weakref.WeakValueDictionary()
    held = []

    def frames() -> Iterator[np.ndarray]:
        for at in range(40):
            frame = STEADY[at].copy().view(Handed)
            alive[at] = frame
            yield frame
            del frame
            gc.collect()
            held.append(len(alive))

    gc.freeze()  # what torch holds need not be searched for every frame
    try:
        score(frames(), RATE)
    finally:
        gc.unfreeze()
    assert max(held) <= 2


@pytest.mark.parametrize("size", [(256, 256), (1024, 64), (64, 1024), (64, 64)])
def test_films_of_any_shape_are_measured_small(size, tmp_path):
    width, height = smoothness.small(*size)
    assert (width, height) == size or (min(width, height) >= 48 and width * height <= 128 * 1024)
    film = tmp_path / "film.mp4"
    frames = [cv2.resize(frame, size) for frame in STEADY[:6]]
    encode.encode_segment(film, frames, fps=RATE, width=size[0], height=size[1])
    scores = smoothness.measure(film)
    assert scores.duplicates == 0
    assert scores.jumps == 0


def test_measuring_can_be_given_up(tmp_path):
    def stop() -> None:
        raise InterruptedError

    film = tmp_path / "film.mp4"
    encode.encode_segment(film, STEADY[:3], fps=RATE, width=128, height=128)
    with pytest.raises(InterruptedError):
        smoothness.measure(film, check=stop)
