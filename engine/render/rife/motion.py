"""Flows between two pictures, summed over blocks, and sampling by them where a block looks.

Maps of motion are (channels, N, h, w), N positions beside each other. Knows neither layers nor
weights.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

FLOW_CHANNELS = 4


class Motion:
    """The sum of all blocks' flows (and of their masks, where masks add up), kept small.

    Maps are (channels, N, h, w): flows to the first and to the second picture, x and y in
    pixels, then maybe the mask logits.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.parts: list[tuple[Tensor, int]] = []  # small maps in full-size pixels, their ratio
        self.full: Tensor | None = None
        self.summed = 0  # how many parts ``full`` holds

    def add(self, change: Tensor, ratio: int) -> None:
        """Add a block's output (N, channels, h, w), flows in its own small pixels."""
        part = change.transpose(0, 1).contiguous()
        part[:FLOW_CHANNELS] *= ratio
        self.parts.append((part, ratio))

    def only(self, chosen: slice) -> "Motion":
        """The motion at some of the N positions."""
        some = Motion(self.size)
        some.parts = [(part[:, chosen], ratio) for part, ratio in self.parts]
        return some

    def at(self, scale: int) -> Tensor:
        """The sum where a block at this scale looks: the middle 2 x 2 of each cell.

        Returns (channels, N, 2H / scale, 2W / scale); at scales 1 and 2 that is everything.
        """
        if scale > 2:
            return _enlarge_at(self.parts, *(_middles(side, scale) for side in self.size))
        fresh = self.parts[self.summed :]
        self.summed = len(self.parts)
        if self.full is None:
            self.full = _enlarge_at(fresh, *(tuple(range(side)) for side in self.size))
        else:
            for part, ratio in fresh:
                self.full += enlarge(part, ratio)
        return self.full


def _middles(side: int, scale: int) -> tuple[int, ...]:
    """The two middle pixels of each cell of ``scale`` pixels."""
    half = scale // 2
    return tuple(start + half - 1 + i for start in range(0, side, scale) for i in (0, 1))


def enlarge(x: Tensor, ratio: int) -> Tensor:
    """Enlarge (N, C, h, w) bilinearly by a whole factor."""
    if ratio == 1:
        return x
    return F.interpolate(x, scale_factor=ratio, mode="bilinear", align_corners=False)


def _enlarge_at(
    parts: list[tuple[Tensor, int]], rows: tuple[int, ...], columns: tuple[int, ...]
) -> Tensor:
    """Sum of the parts, each enlarged by its ratio, at some rows and columns."""
    device = parts[0][0].device
    tall, wide = [], []
    for part, ratio in parts:
        tall.append(_enlarging(part.shape[-2], ratio, rows, device) @ part)
        wide.append(_enlarging(part.shape[-1], ratio, columns, device))
    # The sum over parts happens inside one product over all their columns together.
    return torch.cat(tall, -1) @ torch.cat(wide, 1).T


# Kept for ever, as is ``places``: a recorded graph on a GPU reads them where they lie.
@cache
def _enlarging(size: int, ratio: int, wanted: tuple[int, ...], device: torch.device) -> Tensor:
    """The matrix (len(wanted), size) that enlarges by ``ratio`` bilinearly, edges repeated."""
    place = ((torch.tensor(wanted) + 0.5) / ratio - 0.5).clamp(min=0)
    low = place.floor().long()
    high = (low + 1).clamp(max=size - 1)
    share = place - low
    matrix = torch.zeros(len(wanted), size)
    index = torch.arange(len(wanted))
    matrix[index, low] += 1 - share
    matrix[index, high] += share
    return matrix.to(device)


@cache
def places(side: int, scale: int, device: torch.device) -> Tensor:
    """Normalised coordinates in [-1, 1] of the pixels that a block at this scale looks at."""
    wanted = range(side) if scale <= 2 else _middles(side, scale)
    return (torch.tensor(wanted, dtype=torch.float32) * (2 / (side - 1)) - 1).to(device)


def sample(picture: Tensor, flow: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Fetch from a picture at some places plus a flow, repeating the border.

    Args:
        picture: (1, C, H, W).
        flow: (2, N, h, w), x and y in pixels.
        columns: normalised x of the places, (w).
        rows: normalised y of the places, (h, 1) or (N, h, 1).

    Returns:
        (N, C, h, w). The N are what torch's CPU kernel spreads over its threads.
    """
    height, width = picture.shape[-2:]
    grid = flow.new_empty(flow.shape)
    torch.add(columns, flow[0], alpha=2 / (width - 1), out=grid[0])
    torch.add(rows, flow[1], alpha=2 / (height - 1), out=grid[1])
    pictures = picture.expand(flow.shape[1], -1, -1, -1)
    grid = grid.permute(1, 2, 3, 0)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=True)


def halve(x: Tensor, scale: int) -> Tensor:
    """Mean of each 2 x 2 of (N, C, h, w); nothing to do for a block that sees every pixel."""
    if scale == 1:
        return x
    whole = x.flatten(0, 1)[None]  # one batch: its memory layout is then never in doubt
    halved = F.interpolate(whole, scale_factor=0.5, mode="bilinear", align_corners=False)
    return halved.view(*x.shape[:2], *halved.shape[2:])


def pieces(maps: Tensor) -> int:
    """Into how many parts of an even number of rows to cut (C, N, h, w) for torch's threads.

    Torch's CPU kernel spreads ``grid_sample`` over a batch only; one picture is a batch of one.
    """
    if maps.shape[1] > 1 or maps.device.type != "cpu":
        return 1
    threads, height = torch.get_num_threads(), maps.shape[2]
    return next((count for count in range(threads, 1, -1) if height % (2 * count) == 0), 1)


def fold(maps: Tensor, count: int) -> Tensor:
    """A view of (C, 1, h, w) as (C, count, h / count, w); for a count of 1 the maps themselves."""
    return maps if count == 1 else maps.view(len(maps), count, -1, maps.shape[-1])
