"""Enlarged keyframes, moved by what is found between small ones."""

import cv2
import numpy as np
import pytest
import torch

from benchmarks.rife import moved_pictures, random_ifnet
from engine.errors import InvalidParameterError
from engine.render.image import Picture
from engine.render.rife import Interpolator, load_interpolator, moving
from engine.render.rife.ifnet import warp
from engine.render.rife.interpolator import weights_digest
from engine.render.rife.moving import MovingPair

CPU = torch.device("cpu")
HEIGHT, WIDTH, FACTOR = 96, 128, 4
POSITIONS = [0.25, 0.5, 0.75]


def views(step: int) -> list[Picture]:
    """Return five views of a detailed picture, each ``step`` pixels further to the right."""
    draw = np.random.default_rng(3)
    size = HEIGHT * FACTOR, WIDTH * FACTOR + 4 * step, 3
    layers = [
        cv2.GaussianBlur(draw.normal(size=size), (0, 0), sigma) * sigma * weight
        for sigma, weight in ((1.5, 60), (6, 120), (24, 160))
    ]
    whole = np.clip(sum(layers) + 128, 0, 255).astype(np.uint8)
    return [
        np.ascontiguousarray(whole[:, index * step : index * step + WIDTH * FACTOR])
        for index in range(5)
    ]


def small(picture: Picture) -> Picture:
    size = picture.shape[1] // FACTOR, picture.shape[0] // FACTOR
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def psnr(frame: Picture, truth: Picture) -> float:
    rim = 16 * FACTOR  # what comes into view there is in one keyframe only
    inner = frame[:, rim:-rim].astype(float) - truth[:, rim:-rim]
    return float(10 * np.log10(255**2 / (inner**2).mean()))


def random_rife() -> Interpolator:
    net = random_ifnet("4.25")
    return Interpolator(net, weights_digest(net)[:16], CPU)


@pytest.mark.parametrize("version", ["4.25", "4.6", "4.17.lite"])
def test_a_track_is_what_is_drawn_by(version: str) -> None:
    net, pictures = random_ifnet(version), moved_pictures(128, 192)
    pair = net.relate(*(net.prepare(picture) for picture in pictures))
    with torch.inference_mode():
        frames, tracks = net.draw(pair, POSITIONS).frames, net.track(pair, POSITIONS)
        plainly = net.track_plainly(pair, POSITIONS)
        many = (3, -1, -1, -1)
        first, second = (
            warp(picture.expand(many), flow)
            for picture, flow in zip(pictures, tracks[:, :4].chunk(2, 1), strict=True)
        )
    assert (torch.lerp(second, first, tracks[:, 4:]) - frames).abs().max() < 1e-4
    assert (tracks - plainly).abs().max() < 2e-3  # pixels


@pytest.fixture(scope="module")
def pair() -> tuple[Picture, Picture, torch.Tensor]:
    """Return two pictures, and a track of motions of up to eight small pixels."""
    first, *_, second = views(9)
    draw = torch.Generator().manual_seed(5)
    flow = torch.rand((1, 4, 6, 8), generator=draw) * 16 - 8
    flow = torch.nn.functional.interpolate(flow, size=(HEIGHT, WIDTH), mode="bicubic")[0]
    return first, second, torch.cat((flow, torch.rand((1, HEIGHT, WIDTH), generator=draw)))


def test_bands_leave_no_trace(
    pair: tuple[Picture, Picture, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    *pictures, track = pair
    whole = MovingPair(*pictures, CPU).frame(track)
    monkeypatch.setattr(moving, "BAND_PIXELS", 5 * FACTOR * WIDTH * FACTOR)
    assert np.array_equal(MovingPair(*pictures, CPU).frame(track), whole)


def test_devices_draw_what_cpus_draw(
    pair: tuple[Picture, Picture, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's way, on the CPU: OpenCV's fractions of a pixel are 1/32."""
    *pictures, track = pair
    there = MovingPair(*pictures, CPU)
    expected = there.frame(track)
    there._tensors = tuple(there._planes(picture) for picture in pictures)
    monkeypatch.setattr(moving, "DEVICE_BAND_PIXELS", 5 * FACTOR * WIDTH * FACTOR)
    difference = np.abs(there.frame(track).astype(int) - expected)
    assert difference.max() <= 6
    assert difference.mean() < 0.5


@pytest.mark.parametrize("interpolator", [load_interpolator, random_rife], ids=["dis", "rife"])
def test_enlarged_frames_are_the_small_ones_with_more_pixels(interpolator) -> None:  # type: ignore[no-untyped-def]
    first, second = small(views(6)[0]), small(views(6)[1])
    blocks = tuple(each.repeat(FACTOR, 0).repeat(FACTOR, 1) for each in (first, second))
    draw = interpolator()
    expected = draw.between(first, second, POSITIONS)
    for frame, one in zip(draw.between(first, second, POSITIONS, blocks), expected, strict=True):
        assert frame.shape == blocks[0].shape
        assert np.abs(small(frame).astype(float) - one).mean() < 2


def test_details_move_with_what_they_belong_to() -> None:
    truth = views(6)
    draw = load_interpolator()
    smalls, ends = (small(truth[0]), small(truth[4])), (truth[0], truth[4])
    painted = draw.between(*smalls, POSITIONS)
    shown = draw.between(*smalls, POSITIONS, ends)
    for frame, one, real in zip(shown, painted, truth[1:4], strict=True):
        enlarged = cv2.resize(one, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        assert psnr(frame, real) > psnr(enlarged, real) + 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_batch_changes_no_frame(count: int) -> None:
    truth, draw = views(6), random_rife()
    frames = [*draw.between(small(truth[0]), small(truth[4]), POSITIONS, (truth[0], truth[4]))]
    draw._batch_pixels = count * 128 * 128
    again = draw.between(small(truth[0]), small(truth[4]), POSITIONS, (truth[0], truth[4]))
    for one, other in zip(frames, again, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_still_pair_is_copied() -> None:
    large = views(6)[0]
    frames = [*load_interpolator().between(small(large), small(large), POSITIONS, (large, large))]
    assert all(np.array_equal(frame, large) for frame in frames)


def test_pictures_that_are_not_enlarged_by_a_whole_factor_are_refused() -> None:
    large = views(6)[0]
    with pytest.raises(InvalidParameterError, match="enlarged"):
        load_interpolator().between(small(large), small(large), POSITIONS, (large[:-1], large[:-1]))
