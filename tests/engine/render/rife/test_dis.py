"""engine.render.rife.dis: motion that is known exactly, without any weights."""

import numpy as np
import pytest
import torch

from benchmarks.interpolation.moving import Scene
from benchmarks.interpolation.quality import crossfade, psnr, to_tensor
from engine.render.rife.dis import DIS


@pytest.fixture(scope="module")
def scene() -> Scene:
    torch.set_num_threads(1)
    return Scene(3, 160, 12.0)


def test_frames_beat_a_fade_by_far(scene: Scene) -> None:
    first, *truth, second = (to_tensor(scene.at(moment)) for moment in (0, 0.25, 0.5, 0.75, 1))
    drawn = DIS().interpolate(first, second, [0.25, 0.5, 0.75])
    ours, faded = (
        np.mean([psnr(*pair) for pair in zip(frames, torch.cat(truth), strict=True)])
        for frames in (drawn, crossfade(first, second))
    )
    assert ours > faded + 6


def test_flow_and_mask_are_those_of_the_position(scene: Scene) -> None:
    """The disc's middle moves by the scene's speed; each side takes its share of it."""
    net = DIS()
    pair = net.relate(*(net.prepare(to_tensor(scene.at(moment))) for moment in (0, 1)))
    tracks = net.track(pair, [0.25, 0.5])
    assert tracks.shape == (2, 5, 160, 160)
    flows, share = tracks[:, :4], tracks[:, 4]
    assert share.amin((1, 2)).tolist() == share.amax((1, 2)).tolist() == [0.75, 0.5]
    x, y = (scene.centre + scene.velocity / 2).round().astype(int)
    for flow, position in zip(flows, (0.25, 0.5), strict=True):
        to_first, to_second = flow[:, y - 5 : y + 6, x - 5 : x + 6].mean((1, 2)).chunk(2)
        assert to_first.numpy() == pytest.approx(-position * scene.velocity, abs=0.5)
        assert to_second.numpy() == pytest.approx((1 - position) * scene.velocity, abs=0.5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 16), (50, 33)])
def test_any_size_gives_frames_of_that_size(size: tuple[int, int], scale: float) -> None:
    image = torch.rand(1, 3, *size)
    frames = DIS().interpolate(image, image.flip(-1), [0.25, 0.5], scale)
    assert frames.shape == (2, 3, *size)
    assert frames.dtype == torch.float32
    assert frames.isfinite().all()


def test_batching_positions_does_not_change_them(scene: Scene) -> None:
    first, second = to_tensor(scene.at(0)), to_tensor(scene.at(1))
    together = DIS().interpolate(first, second, [0.2, 0.7])
    alone = [DIS().interpolate(first, second, [position]) for position in (0.2, 0.7)]
    assert (together - torch.cat(alone)).abs().max() < 1e-4


def test_equal_pictures_stay_still(scene: Scene) -> None:
    still = to_tensor(scene.at(0))
    assert torch.allclose(DIS().interpolate(still, still, [0.3]), still, atol=1e-5)
