"""engine.render.upscale.moving: detail moves with the matter, and cuts are kept."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from engine.render.image import Picture
from engine.render.upscale import moving
from engine.render.upscale.moving import MAX_GAP, enlarge_frames, find_flow

FACTOR = 4
SIZE = 48


def texture(seed: int, side: int = 640) -> Picture:
    """Return a large picture with detail at several scales."""
    draw = np.random.default_rng(seed)
    layers = [
        cv2.resize(draw.random((side // cell, side // cell, 3)), (side, side)) * share
        for cell, share in ((64, 120.0), (16, 70.0), (4, 40.0))
    ]
    return np.clip(sum(layers), 0, 255).astype(np.uint8)


class Oracle:
    """Enlarges perfectly, for it holds the large pictures: whatever is lost, moving has lost."""

    factor, quick = FACTOR, False

    def __init__(self, large: list[Picture]) -> None:
        self.asked: list[int] = []
        self.small = [reduced(picture) for picture in large]
        self._large = large

    def enlarge(self, picture: Picture, check: Callable[[], object] | None = None) -> Picture:
        index = next(i for i, small in enumerate(self.small) if np.array_equal(small, picture))
        self.asked.append(index)
        return self._large[index]


def reduced(picture: Picture) -> Picture:
    size = (picture.shape[1] // FACTOR, picture.shape[0] // FACTOR)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def pan(seed: int, count: int, step: int = 3) -> list[Picture]:
    """Return large frames of a camera that moves ``step`` large pixels a frame to the right."""
    scene, side = texture(seed), SIZE * FACTOR
    return [scene[20 : 20 + side, 20 + step * i : 20 + step * i + side] for i in range(count)]


def enlarged(large: list[Picture]) -> tuple[list[Picture], Oracle]:
    oracle: Any = Oracle(large)
    return list(enlarge_frames(oracle.small, oracle)), oracle


def psnr(first: Picture, second: Picture) -> float:
    error = np.square(first.astype(np.float64) - second).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_detail_moves_with_the_matter() -> None:
    large = pan(1, 17)
    found, oracle = enlarged(large)
    assert oracle.asked == [0, 8, 16]
    assert len(found) == 17
    inner = slice(16, -16)  # beyond it the camera shows what no keyframe has
    for index, (frame, true) in enumerate(zip(found, large, strict=True)):
        plain = cv2.resize(oracle.small[index], true.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        better = psnr(frame[:, inner], true[:, inner]) - psnr(plain[:, inner], true[:, inner])
        assert better > 3, (index, better)


def test_a_cut_makes_a_keyframe_and_nothing_crosses_it() -> None:
    large = pan(2, 5) + pan(3, 5)
    found, oracle = enlarged(large)
    assert 5 in oracle.asked
    assert np.array_equal(found[5], large[5])
    assert psnr(found[4], large[4]) > psnr(found[4], large[5]) + 10
    assert all(psnr(*pair) > 20 for pair in zip(found, large, strict=True))


def test_what_no_keyframe_explains_is_kept() -> None:
    """A light goes on for one frame between two keyframes."""
    large = pan(4, 9)
    lit = large[4].copy()
    lit[60:110, 60:110] = (250, 240, 30)
    large[4] = lit
    found, oracle = enlarged(large)
    assert oracle.asked == [0, 8]
    inside = (slice(70, 100), slice(70, 100))
    assert np.abs(found[4][inside].astype(int) - lit[inside].astype(int)).mean() < 12
    assert np.abs(found[3][inside].astype(int) - large[3][inside].astype(int)).mean() < 12


def test_still_frames_are_the_keyframe_itself() -> None:
    large = [pan(5, 1)[0]] * 20
    found, oracle = enlarged(large)
    assert oracle.asked == [0]
    assert all(np.array_equal(frame, large[0]) for frame in found)


def test_no_more_than_a_gap_of_frames_is_held() -> None:
    read: list[int] = []

    def frames() -> Any:
        for index, small in enumerate(oracle.small):
            read.append(index)
            yield small

    oracle: Any = Oracle(pan(6, 30, step=1))
    for written, _ in enumerate(enlarge_frames(frames(), oracle)):
        assert read[-1] - written <= MAX_GAP
    assert all(0 < b - a <= MAX_GAP for a, b in pairwise(oracle.asked))
    assert list(enlarge_frames([], oracle)) == []


def test_a_network_that_is_quicker_than_moving_enlarges_every_frame() -> None:
    oracle: Any = Oracle(pan(9, 5))
    oracle.quick = True
    assert len(list(enlarge_frames(oracle.small, oracle))) == 5
    assert oracle.asked == [0, 1, 2, 3, 4]


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    large = pan(7, 6)
    whole, _ = enlarged(large)
    monkeypatch.setattr(moving, "STRIP_ROWS", 7)
    strips, _ = enlarged(large)
    assert all(np.array_equal(*pair) for pair in zip(whole, strips, strict=True))


def test_flow_points_to_where_a_pixel_lies_in_the_second_picture() -> None:
    first, second = (reduced(picture) for picture in pan(8, 2, step=8))
    flow = find_flow(first, second)[8:-8, 8:-8]
    assert np.abs(np.median(flow, axis=(0, 1)) - (-2, 0)).max() < 0.2
