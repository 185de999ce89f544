"""engine.render.rife.offline_net: the shipped weights on motion that is known exactly."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.interpolation.cases import Case, cases
from benchmarks.interpolation.quality import crossfade, dis, evaluate, psnr
from engine.render.rife.interpolator import load_offline
from engine.render.rife.offline_net import OfflineNet
from engine.render.rife.optical_flow import dis_flow, find_pan, pair_motion, project
from training.rife.banks import make_bank


@pytest.fixture(scope="module")
def net() -> OfflineNet:
    torch.set_num_threads(2)
    return load_offline()


@pytest.fixture(scope="module")
def case() -> Case:
    return next(iter(cases(16.0, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("speed", [4.0, 16.0, 48.0])
def test_beats_dis_by_half_a_decibel_and_a_fade_by_far(net: OfflineNet, speed: float) -> None:
    scores = {name: np.mean(s.psnr) for name, s in evaluate(net, cases(speed, 3)).items()}
    assert scores["offline net"] > scores["DIS"] + 0.5
    assert scores["offline net"] > scores["cross-fade"] + 3


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 16), (50, 33)])
def test_any_size_gives_frames_of_that_size(
    net: OfflineNet, size: tuple[int, int], scale: float
) -> None:
    image = torch.rand(1, 3, *size)
    frames = net.interpolate(image, image.flip(-1), [0.25, 0.5], scale)
    assert frames.shape == (2, 3, *size)
    assert frames.dtype == torch.float32
    assert frames.isfinite().all()


def test_batching_positions_does_not_change_them(net: OfflineNet, case: Case) -> None:
    together = net.interpolate(case.first, case.second, [0.2, 0.7])
    alone = [net.interpolate(case.first, case.second, [p]) for p in (0.2, 0.7)]
    assert (together - torch.cat(alone)).abs().max() < 1e-4


def test_untrained_it_is_splatted_dis(case: Case) -> None:
    untrained = psnr(OfflineNet().interpolate(case.first, case.second, [0.5])[0], case.truth[2])
    assert untrained > psnr(crossfade(case)[0][2], case.truth[2]) + 3
    assert untrained > psnr(dis(case, "bilinear")[0][2], case.truth[2]) - 0.5


def _square(left: int) -> Tensor:
    image = torch.full((1, 3, 64, 64), 0.2)
    rows, columns = np.mgrid[:16, :16]
    texture = torch.from_numpy(0.6 + 0.4 * np.sin(rows * 0.9) * np.cos(columns * 0.7)).float()
    image[..., 24:40, left : left + 16] = texture
    return image


def test_projection_carries_motion_to_where_things_are() -> None:
    motion = pair_motion(_square(16), _square(24))
    for position, left in ((0.25, 18), (0.5, 20), (0.75, 22)):
        velocity, arrivals = project(motion, position)
        inside = velocity[0, 28:36, left + 4 : left + 12]
        assert inside.mean() == pytest.approx(8, abs=1)
        assert arrivals.min() >= 0
    assert velocity.shape == arrivals.shape == (2, 64, 64)


def test_equal_pictures_stay_still() -> None:
    motion = pair_motion(_square(16), _square(16))
    assert motion.forward.abs().max() == 0
    assert (project(motion, 0.3)[0] == 0).all()


def test_a_camera_that_dis_loses_is_found_by_its_pan() -> None:
    texture = cv2.cvtColor(make_bank(11, 1, 1, held_out=False).textures[0], cv2.COLOR_RGB2GRAY)
    first, second = texture[100:356, 100:356].copy(), texture[60:316, 148:404].copy()
    pan = find_pan(first, second)
    assert pan == pytest.approx([-48, 40], abs=4)
    found, lost = (
        np.abs(dis_flow(first, second, start) - [-48, 40]).max(-1)[64:192, 64:192]
        for start in (pan, None)
    )
    assert found.mean() < 0.1
    assert lost.mean() > 1


def test_no_pan_is_found_where_nothing_pans() -> None:
    first = cv2.cvtColor(make_bank(11, 1, 1, held_out=False).textures[0], cv2.COLOR_RGB2GRAY)
    flat = np.full_like(first, 90)
    assert find_pan(first, first) is None
    assert find_pan(flat, flat + 20) is None
    assert find_pan(first[:40, :40], first[10:50, :40]) is None  # too small to reduce
