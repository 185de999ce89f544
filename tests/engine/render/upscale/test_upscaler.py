"""engine.render.upscale.upscaler: sizes, tiles, reductions, and what it refuses."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from engine.errors import DeviceMemoryError, InvalidParameterError
from engine.render.device import bfloat16_is_faster
from engine.render.image import Picture
from engine.render.upscale import Upscaler, open_upscaler
from engine.render.upscale.network import Network, load_network
from engine.render.upscale.upscaler import (
    area_weights,
    precision_for,
    tiles,
)
from tests.engine.render.upscale.networks import compact_file

CPU = torch.device("cpu")


def ignore(done: int, total: int) -> None:
    pass


def picture(height: int = 50, width: int = 70) -> Picture:
    """Return a picture with edges and noise."""
    draw = np.random.default_rng(7)
    found = draw.integers(0, 256, (height, width, 3), np.uint8)
    found[height // 3 :, : width // 2] = (200, 40, 90)
    return found


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return load_network(compact_file(tmp_path))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_picture_is_enlarged_by_each_factor(tmp_path: Path, factor: int) -> None:
    upscaler = open_upscaler(str(compact_file(tmp_path)), factor, "cpu", ignore)
    source = picture()
    enlarged = upscaler.enlarge(source)
    assert enlarged.shape == (50 * factor, 70 * factor, 3)
    assert enlarged.dtype == np.uint8
    whole = open_upscaler(str(compact_file(tmp_path)), 4, "cpu", ignore).enlarge(source)
    size = (70 * factor, 50 * factor)
    reduced = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    assert np.abs(enlarged.astype(int) - reduced.astype(int)).max() <= 1


def test_the_same_network_and_factor_have_the_same_identity(
    tmp_path: Path, network: Network
) -> None:
    path = compact_file(tmp_path)
    identity = open_upscaler(str(path), 4, "cpu", ignore).identity
    assert re.fullmatch(r"tiny4@[0-9a-f]{16}x4\+\d+", identity)
    assert Upscaler(network, "tiny4", 4, CPU).identity == identity
    assert open_upscaler(str(path), 2, "cpu", ignore).identity != identity
    other = open_upscaler(str(compact_file(tmp_path, convolutions=4)), 4, "cpu", ignore)
    assert other.identity != identity


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("factor", [3, 4])
def test_half_precision_differs_invisibly(
    network: Network, dtype: torch.dtype, factor: int
) -> None:
    exact = Upscaler(network, "tiny", factor, CPU).enlarge(picture())
    rounded = Upscaler(network, "tiny", factor, CPU, dtype).enlarge(picture())
    assert 0 < np.abs(exact.astype(int) - rounded.astype(int)).mean() < 1


def test_bfloat16_is_chosen_where_it_is_faster_and_the_network_allows_it(network: Network) -> None:
    expected = torch.bfloat16 if bfloat16_is_faster() else torch.float32
    assert precision_for(network, CPU) == expected
    only_float = dataclasses.replace(network, bfloat16=False)
    assert precision_for(only_float, CPU) == torch.float32


def test_tiles_give_the_whole_picture(network: Network) -> None:
    source = picture()
    whole = Upscaler(network, "tiny", 4, CPU).enlarge(source)
    tiled = Upscaler(dataclasses.replace(network, side=16), "tiny", 4, CPU).enlarge(source)
    apart = np.abs(whole.astype(int) - tiled.astype(int))
    assert apart.max() <= 1  # float32 may round the other way
    assert (apart > 0).mean() < 1e-3
    blind = dataclasses.replace(network, side=16, margin=0)
    seams = Upscaler(blind, "tiny", 4, CPU).enlarge(source)
    assert np.abs(whole.astype(int) - seams.astype(int)).max() > 1


def test_tiles_cover_a_side_once_and_see_their_margins() -> None:
    found = tiles(100, 40, 8)
    assert [(tile.start, tile.end) for tile in found] == [(0, 33), (33, 66), (66, 100)]
    assert [(tile.first, tile.last) for tile in found] == [(0, 41), (25, 74), (58, 100)]
    assert tiles(100, 0, 8) == [(0, 100, 0, 100)]


def test_reduction_keeps_the_mean() -> None:
    torch.testing.assert_close(
        area_weights(4, 3),
        torch.tensor([[0.75, 0.25, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.25, 0.75]]),
    )
    torch.testing.assert_close(area_weights(4, 2).sum(1), torch.ones(2))


class Narrow:
    """A network on a device that holds few pixels only."""

    def __init__(self, network: Network, pixels: int) -> None:
        self.model, self.to = network.model.model, network.model.to
        self.pixels = pixels
        self.seen: list[int] = []

    def __call__(self, image: torch.Tensor) -> Any:
        self.seen.append(image.shape[2] * image.shape[3])
        if self.seen[-1] > self.pixels:
            raise RuntimeError("CUDA out of memory")
        return self.model(image)


def test_tiles_become_smaller_where_memory_is_short(network: Network) -> None:
    source = picture(100, 140)
    whole = Upscaler(network, "tiny", 4, CPU).enlarge(source)
    narrow: Any = Narrow(network, 45 * 45)
    upscaler = Upscaler(dataclasses.replace(network, model=narrow), "tiny", 4, CPU)
    assert np.abs(whole.astype(int) - upscaler.enlarge(source).astype(int)).max() <= 1
    tried = len(narrow.seen)
    upscaler.enlarge(source)
    assert max(narrow.seen[tried:]) <= narrow.pixels, "the next picture begins with small tiles"
    narrow.pixels = 10
    with pytest.raises(DeviceMemoryError, match="does not fit"):
        upscaler.enlarge(source)


def test_a_check_before_each_tile_may_stop_it(network: Network) -> None:
    seen: list[int] = []

    def check() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    upscaler = Upscaler(dataclasses.replace(network, side=16), "tiny", 4, CPU)
    with pytest.raises(KeyboardInterrupt):
        upscaler.enlarge(picture(), check)
    assert len(seen) == 3


def test_a_factor_that_the_network_lacks_is_refused(tmp_path: Path) -> None:
    path = str(compact_file(tmp_path, factor=2))
    open_upscaler(path, 2, "cpu", ignore)
    with pytest.raises(InvalidParameterError, match="enlarges 2 times, not 4 times") as caught:
        open_upscaler(path, 4, "cpu", ignore)
    assert caught.value.remedy == "use 2, or another network"
    with pytest.raises(InvalidParameterError, match="5 is not offered"):
        open_upscaler(path, 5, "cpu", ignore)


def test_what_is_no_picture_or_becomes_too_large_is_refused(network: Network) -> None:
    upscaler = Upscaler(network, "tiny", 4, CPU)
    with pytest.raises(InvalidParameterError, match="3844x2160; a side of at most 3840"):
        upscaler.enlarge(np.zeros((540, 961, 3), np.uint8))
    with pytest.raises(InvalidParameterError, match="not uint8"):
        upscaler.enlarge(np.zeros((8, 8, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="not uint8"):
        upscaler.enlarge(np.zeros((8, 0, 3), np.uint8))
