"""Enlarges uint8 pictures in tiles, so that memory stays flat whatever their size.

Knows nothing about files of pictures, films or jobs.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceMemoryError, InvalidParameterError
from engine.models import upscalers
from engine.render.device import bfloat16_is_faster, room_errors
from engine.render.image import Picture
from engine.render.upscale.network import Network, load_network
from engine.render.upscale.sources import fetch_upscaler
from engine.render.weights.hub import OnBytes

ALGORITHM_VERSION = 1  # raise it when the same weights begin to give other pixels
SMALLEST_SIDE = 32  # pixels; a tile that is not divided further


def open_upscaler(choice: str, factor: int, device: str, on_bytes: OnBytes) -> "Upscaler":
    """Load a network; it is downloaded unless a cache has it.

    Args:
        choice: as ``engine.models.upscalers.check_choice`` returned it.
        factor: 2, 3 or 4.
        device: a torch device.
        on_bytes: called with bytes done and in total while weights are downloaded.

    Raises:
        InvalidParameterError: the network does not enlarge by this factor.
        ModelLoadError: the network cannot be had, or its file cannot be used.
        StorageError: the disk is full.
    """
    upscalers.check_factor(factor)
    known = choice in upscalers.KNOWN
    path = fetch_upscaler(choice, on_bytes) if known else Path(choice)
    network, name = load_network(path), choice if known else path.stem
    dtype = precision_for(network, torch.device(device))
    return Upscaler(network, name, factor, torch.device(device), dtype)


def precision_for(network: Network, device: torch.device) -> torch.dtype:
    """Return what a network computes in: what is fast and differs invisibly from float32.

    float16 on NVIDIA GPUs since Volta. bfloat16 on CPUs with instructions for it where it is
    measured faster: in a quarter of the time, 57 dB from float32 for Real-ESRGAN's networks.
    """
    if device.type == "cuda" and network.half:
        half = torch.cuda.get_device_capability(device) >= (7, 0)
        return torch.float16 if half else torch.float32
    if device.type == "cpu" and network.bfloat16 and bfloat16_is_faster():
        return torch.bfloat16
    return torch.float32


class Tile(NamedTuple):
    """A part of a picture along one side, in pixels: what is kept, and what the network sees."""

    start: int
    end: int
    first: int
    last: int


class Upscaler:
    """Enlarges pictures by a whole factor.

    Attributes:
        factor: 2, 3 or 4.
        identity: names the network, its weights, the factor and this algorithm; equal identities
            give pictures that look the same, and on one machine equal ones.
        quick: whether to enlarge every frame, rather than to move the detail of another one.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        factor: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not 2 <= factor <= network.factor:
            problem = f"{name} enlarges {network.factor} times, not {factor} times"
            offered = [str(value) for value in upscalers.FACTORS if value <= network.factor]
            remedy = f"use {' or '.join(offered)}, or another network" if offered else ""
            raise InvalidParameterError("factor", problem, remedy)
        self.factor, self.device, self.dtype = factor, device, dtype
        self.quick = network.compact and device.type == "cuda"
        self.identity = f"{name}@{network.digest[:16]}x{factor}+{ALGORITHM_VERSION}"
        self._network, self._side = network, network.side
        network.model.to(device=device, dtype=dtype)
        network.model.model.to(memory_format=torch.channels_last)
        self._area = area_weights(network.factor, factor).to(device)

    def enlarge(self, picture: Picture, check: Callable[[], object] | None = None) -> Picture:
        """Enlarge a picture.

        Args:
            picture: uint8 RGB (H, W, 3).
            check: called before each tile; may raise.

        Returns:
            uint8 RGB (factor * H, factor * W, 3).

        Raises:
            InvalidParameterError: it is no such picture, or would become too large.
            DeviceMemoryError: not even a small tile fits.
        """
        _check_picture(picture)
        height, width = picture.shape[:2]
        upscalers.enlarged_size(width, height, self.factor)
        while True:
            try:
                return self._enlarge(picture, check or int)
            except DeviceMemoryError:
                side = min(self._side, max(height, width)) // 2
                if side < SMALLEST_SIDE:
                    raise
                self._side = side

    def _enlarge(self, picture: Picture, check: Callable[[], object]) -> Picture:
        height, width = picture.shape[:2]
        enlarged = np.empty((height * self.factor, width * self.factor, 3), np.uint8)
        rows, columns = (
            tiles(length, self._side, self._network.margin) for length in (height, width)
        )
        for row in rows:
            for column in columns:
                check()
                part = picture[row.first : row.last, column.first : column.last]
                done = self._tile(part, row, column)
                enlarged[
                    row.start * self.factor : row.end * self.factor,
                    column.start * self.factor : column.end * self.factor,
                ] = done
        return enlarged

    @torch.inference_mode()
    def _tile(self, part: Picture, row: Tile, column: Tile) -> Picture:
        """Enlarge what a tile sees and return what is kept of it."""
        with self._memory_errors(f"a tile of {part.shape[1]}x{part.shape[0]}"):
            image = torch.from_numpy(part.copy()).to(self.device)
            image = image.permute(2, 0, 1)[None].to(self.dtype) / 255
            image = image.contiguous(memory_format=torch.channels_last)
            found: Tensor = self._network.model(image)[0].float()
            top, left = row.start - row.first, column.start - column.first
            scale = self._network.factor
            found = found[
                :,
                top * scale : (top + row.end - row.start) * scale,
                left * scale : (left + column.end - column.start) * scale,
            ]
            pixels = (self._reduce(found) * 255).round().clamp(0, 255).to(torch.uint8)
            return pixels.permute(1, 2, 0).cpu().numpy()

    def _reduce(self, image: Tensor) -> Tensor:
        """Reduce (3, H, W) from the network's factor to the one that was asked for, by area."""
        scale = self._network.factor
        if scale == self.factor:
            return image
        channels, height, width = image.shape
        cells = image.reshape(channels, height // scale, scale, width // scale, scale)
        reduced = torch.einsum("chiwj,fi,gj->chfwg", cells, self._area, self._area)
        return reduced.reshape(
            channels, height // scale * self.factor, width // scale * self.factor
        )

    def _memory_errors(self, what: str) -> AbstractContextManager[None]:
        return room_errors(self.device, f"{what}, enlarged, does not fit")


def tiles(length: int, side: int, margin: int) -> list[Tile]:
    """Divide a side of a picture into tiles of about the same length.

    Args:
        length: of the side, in pixels.
        side: the longest tile, in pixels; 0 takes the whole.
        margin: pixels that a tile sees of its neighbours.
    """
    count = math.ceil(length / side) if side else 1
    edges = [length * index // count for index in range(count + 1)]
    return [
        Tile(start, end, max(0, start - margin), min(length, end + margin))
        for start, end in pairwise(edges)
    ]


def area_weights(scale: int, factor: int) -> Tensor:
    """Return how much each of ``scale`` pixels adds to each of ``factor``: (factor, scale)."""
    edges = torch.arange(scale + 1, dtype=torch.float64) * factor / scale
    cells = torch.arange(factor, dtype=torch.float64)[:, None]
    overlap = edges[1:].clamp(max=cells + 1) - edges[:-1].clamp(min=cells)
    return overlap.clamp(min=0).float()


def _check_picture(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        problem = f"it is {picture.dtype} {picture.shape}, not uint8 (height, width, 3)"
        raise InvalidParameterError("picture", problem, "pass an RGB picture")
