"""engine.render.rife.offline: the shipped weights on motion that is known exactly."""

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.interpolation_cases import Case, cases
from benchmarks.interpolation_quality import crossfade, dis, evaluate, psnr
from engine.render.rife.flow import pair_motion, project
from engine.render.rife.interpolator import load_offline
from engine.render.rife.offline import OfflineNet


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
