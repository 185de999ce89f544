"""The same frames as ``IFNet.forward`` gives, for a fraction of the work.

What makes it fast, all of it exact up to float32 rounding:

1. Reducing a map bilinearly by an even factor s reads only the middle 2 x 2 of each s x s cell.
   A coarse block therefore needs the warped pictures, and the flow that warps them, at those
   pixels only: 1/16 of all at s = 8, 1/4 at s = 4.
2. Enlarging a block's small output by r and reducing it by s equals enlarging it by r / s, so
   the mask and features for the next block never exist at full resolution.
3. The flow at any set of rows and columns is a sum of enlarged small flows, and enlarging is
   two small matrix products.
4. All positions lie one below the other in one tall grid, so keyframes are never repeated.
5. Weights are folded and laid out once (``layers.py``); outputs that nobody reads are cut off.

Knows nothing about files, 8-bit frames or when to interpolate.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render.rife.ifnet import FAR, Activated, IFBlock, IFNet
from engine.render.rife.layers import Entrance, prepare_activated, prepare_middle
from engine.render.rife.versions import Architecture

FLOWS = 4


class Block:
    """One IFBlock with its weights prepared."""

    def __init__(
        self, block: IFBlock, dtype: torch.dtype, order: list[int], direct: int, outputs: int
    ) -> None:
        first, second = block.conv0[0], block.conv0[1]
        assert isinstance(first, Activated)
        assert isinstance(second, Activated)
        conv = first.convolution
        self.enter = Entrance(conv.weight[:, order], conv.bias, first.slope, dtype, direct)
        self.reduce = prepare_activated(second, dtype)
        self.middle = prepare_middle(block.convblock, dtype)
        self.adds, self.shuffles = block.adds, block.shuffles
        last = block.lastconv[0] if isinstance(block.lastconv, nn.Sequential) else block.lastconv
        assert isinstance(last, nn.ConvTranspose2d)
        assert last.bias is not None
        kept = outputs * 4 if block.shuffles else outputs
        self.weight = last.weight[:, :kept].contiguous().to(dtype)
        self.bias = last.bias[:kept].to(dtype)

    def __call__(self, x: Tensor, small: Tensor | None = None) -> Tensor:
        """(N, inputs, h, w) → float32 (N, outputs, h, w), or half of that size unshuffled."""
        x = before = self.reduce(self.enter(x, small))
        for step in self.middle:
            x = step(x)
        if self.adds:
            x = x + before
        x = F.conv_transpose2d(x, self.weight, self.bias, 2, 1)
        return (F.pixel_shuffle(x, 2) if self.shuffles else x).float()


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
        part[:FLOWS] *= ratio
        self.parts.append((part, ratio))

    def only(self, index: int) -> "Motion":
        """The motion at one of the N positions."""
        alone = Motion(self.size)
        alone.parts = [(part[:, index : index + 1], ratio) for part, ratio in self.parts]
        return alone

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
                self.full += _enlarge(part, ratio)
        return self.full


def _middles(side: int, scale: int) -> tuple[int, ...]:
    """The two middle pixels of each cell of ``scale`` pixels."""
    half = scale // 2
    return tuple(start + half - 1 + i for start in range(0, side, scale) for i in (0, 1))


def _enlarge(x: Tensor, ratio: int) -> Tensor:
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


@lru_cache(maxsize=64)
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


@lru_cache(maxsize=32)
def _places(side: int, scale: int, count: int, device: torch.device) -> Tensor:
    """Normalised coordinates in [-1, 1] of the first ``count`` places a block looks at."""
    wanted = range(side) if scale <= 2 else _middles(side, scale)
    places = torch.tensor(wanted, dtype=torch.float32)[:count] * (2 / (side - 1)) - 1
    return places.to(device)


def sample(picture: Tensor, flow: Tensor, scale: int) -> Tensor:
    """Warp (1, C, H, W) by flow (2, N, h, w), where a block at this scale looks.

    Returns (C, N, h, w).
    """
    height, width = picture.shape[-2:]
    _, count, rows, columns = flow.shape
    x = _places(width, scale, columns, flow.device)
    y = _places(height, scale, rows, flow.device)[:, None]
    grid = flow.new_empty((2, count, rows, columns))
    torch.add(x, flow[0], alpha=2 / (width - 1), out=grid[0])
    torch.add(y, flow[1], alpha=2 / (height - 1), out=grid[1])
    grid = grid.view(1, 2, count * rows, columns).permute(0, 2, 3, 1)
    found = F.grid_sample(picture, grid, padding_mode="border", align_corners=True)
    return found.view(-1, count, rows, columns)


class FastIFNet:
    """Evaluates an IFNet's weights; built once for each network, device and precision.

    Args:
        net: the network, whose weights are copied.
        dtype: of the convolutions; flows and warps are float32 always.
    """

    def __init__(self, net: IFNet, dtype: torch.dtype = torch.float32) -> None:
        self.architecture, self.dtype = net.architecture, dtype
        last = len(net.architecture.channels) - 1
        self.blocks = []
        for index in range(last + 1):
            kept = FLOWS + 1 + (self.architecture.carried if index < last else 0)
            order = _input_order(self.architecture, index)
            direct = 6 + 2 * self.architecture.encoded + FLOWS
            self.blocks.append(Block(net.block(index), dtype, order, direct, kept))

    def can(self, scale: float) -> bool:
        """Whether this flow scale is covered: blocks may reduce, but not enlarge."""
        return self.architecture.scales[-1] >= scale

    def coarse(self, stacked: Tensor, scale: float) -> Tensor:
        """What the first block sees of a padded keyframe and its encoding (1, C, H, W)."""
        factor = self.architecture.scales[0] / scale
        return F.interpolate(stacked, scale_factor=1 / factor, mode="bilinear")

    def draw(
        self,
        stacked: tuple[Tensor, Tensor],
        coarse: tuple[Tensor, Tensor],
        positions: Sequence[float],
        scale: float,
        size: tuple[int, int],
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[int]]:
        """Draw frames at some positions.

        The coarse blocks run for all positions at once, since their maps are too small to
        keep a processor busy; the fine ones for each position by itself, since theirs fill
        its cache, and so memory does not grow with the number of positions.

        Args:
            stacked: both padded pictures with their encodings, (1, C, H, W) each.
            coarse: what ``coarse`` made of them.
            positions: N of them.
            scale: of the flow estimate.
            size: rows and columns of the result; what lies beyond is not computed.

        Returns:
            The frames (N, 3, *size); the two warped pictures of the last one; and which
            positions moved so far that this version begins again with doubled scales.
        """
        scales = [int(factor / scale) for factor in self.architecture.scales]
        first_fine = next(
            i for i, factor in enumerate(scales) if factor <= 2 or i == len(scales) - 1
        )
        moments = stacked[0].new_tensor(positions).view(-1, 1, 1, 1)
        motion = Motion((stacked[0].shape[-2], stacked[0].shape[-1]))
        out, far = self.blocks[0](self._still(coarse, moments)), []
        self._add(motion, 0, out, scales)
        for index in range(1, first_fine):
            out = self._advance(stacked, motion, index, out, moments, scales)
            if index == 1 and self.architecture.doubles:
                far = _far(out, motion.parts[1][1])
        frames = stacked[0].new_empty((len(positions), 3, *size))
        for index, moment in enumerate(moments):
            alone, last = motion.only(index), out[index : index + 1]
            for fine in range(first_fine, len(scales)):
                last = self._advance(stacked, alone, fine, last, moment[None], scales)
            sides = self._blend(stacked, alone, last, frames[index : index + 1])
        return frames, sides, far

    def _advance(
        self,
        stacked: tuple[Tensor, Tensor],
        motion: Motion,
        index: int,
        out: Tensor,
        moments: Tensor,
        scales: list[int],
    ) -> Tensor:
        """Run one more block and add its motion."""
        ratio = motion.parts[-1][1]
        seen = self._seen(stacked, motion, out, moments, scales[index], ratio)
        out = self.blocks[index](*seen)
        self._add(motion, index, out, scales)
        return out

    def _add(self, motion: Motion, index: int, out: Tensor, scales: list[int]) -> None:
        ratio = scales[index] * (1 if self.blocks[index].shuffles else 2)
        motion.add(out[:, : FLOWS + self.architecture.mask_adds], ratio)

    def _still(self, coarse: tuple[Tensor, Tensor], moments: Tensor) -> Tensor:
        """Input of the first block: both pictures, both encodings, the position."""
        count, (height, width) = len(moments), coarse[0].shape[-2:]
        x = self._buffer(count, self.architecture.inputs(0), height, width, coarse[0].device)
        seen = coarse[0].shape[1]
        for side, maps in enumerate(coarse):
            x[:, seen * side : seen * (side + 1)] = maps
        x[:, -1:] = moments
        return x

    def _buffer(
        self, count: int, channels: int, height: int, width: int, device: torch.device
    ) -> Tensor:
        return torch.empty(
            (count, channels, height, width),
            dtype=self.dtype,
            device=device,
            memory_format=torch.channels_last,
        )

    def _seen(
        self,
        stacked: tuple[Tensor, Tensor],
        motion: Motion,
        out: Tensor,
        moments: Tensor,
        scale: int,
        ratio: int,
    ) -> tuple[Tensor, Tensor | None]:
        """Input of a later block, at its own resolution, in the order of ``_input_order``.

        Where what the last block hands on is half as large, it is returned apart.
        """
        flow = motion.at(scale)
        height, width = (side // scale for side in motion.size)
        count, channels = len(moments), self.architecture.inputs(1)
        apart = ratio == 2 * scale and not self.architecture.mask_adds
        seen = stacked[0].shape[1]
        if apart:
            channels = 2 * seen + FLOWS
        x = self._buffer(count, channels, height, width, flow.device)
        for side, picture in enumerate(stacked):
            warped = _halve(sample(picture, flow[2 * side : 2 * side + 2], scale), scale)
            x[:, seen * side : seen * (side + 1)] = warped.transpose(0, 1)
        small = _halve(flow, scale)
        after = 2 * seen
        x[:, after : after + FLOWS] = (small[:FLOWS] / scale).transpose(0, 1)
        if apart:
            return x, self._handed_on(out, moments)
        x[:, after + FLOWS : after + FLOWS + 1] = moments
        if self.architecture.mask_adds:
            x[:, -1:] = small[FLOWS:].transpose(0, 1)
        else:
            x[:, after + FLOWS + 1 :] = _enlarge(out[:, FLOWS:], ratio // scale)
        return x, None

    def _handed_on(self, out: Tensor, moments: Tensor) -> Tensor:
        """Position, mask and features at the resolution of the block before."""
        count, channels, height, width = out.shape
        x = self._buffer(count, 1 + channels - FLOWS, height, width, out.device)
        x[:, :1] = moments
        x[:, 1:] = out[:, FLOWS:]
        return x

    def _blend(
        self, stacked: tuple[Tensor, Tensor], motion: Motion, out: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Warp and blend into one frame (1, 3, h, w), computing no pixel beyond it."""
        height, width = frame.shape[-2:]
        whole = motion.at(1)[..., :height, :width]
        if self.architecture.mask_adds:
            mask = whole[FLOWS:]
        else:
            mask = _enlarge(out[:, FLOWS:], motion.parts[-1][1])[..., :height, :width]
        first, second = (
            sample(picture[:, :3], whole[2 * side : 2 * side + 2], 1).transpose(0, 1)
            for side, picture in enumerate(stacked)
        )
        torch.lerp(second, first, torch.sigmoid(mask), out=frame)
        return first, second


def _input_order(architecture: Architecture, index: int) -> list[int]:
    """Where the channels of our inputs stand in the official ones.

    Officially: both pictures, both encodings, position, mask, features, flow. Here: first
    picture and its encoding, then the second's, flow, position, mask, features, so that what
    is warped together is written together.
    """
    encoded = architecture.encoded
    sides = [
        [*range(3 * side, 3 * side + 3), *range(6 + encoded * side, 6 + encoded * (side + 1))]
        for side in (0, 1)
    ]
    position, total = 6 + 2 * encoded, architecture.inputs(index)
    if index == 0:
        return [*sides[0], *sides[1], position]
    flow = range(total - FLOWS, total)
    return [*sides[0], *sides[1], *flow, position, *range(position + 1, total - FLOWS)]


def _halve(x: Tensor, scale: int) -> Tensor:
    """Mean of each 2 x 2; nothing to do for a block that sees every pixel."""
    if scale == 1:
        return x
    whole = x.flatten(0, 1)[None]  # one batch: its memory layout is then never in doubt
    halved = F.interpolate(whole, scale_factor=0.5, mode="bilinear", align_corners=False)
    return halved.view(*x.shape[:2], *halved.shape[2:])


def _far(change: Tensor, ratio: int) -> list[int]:
    """Positions at which the motion to both pictures changes by more than FAR pixels."""
    halves = change[:, :FLOWS].reshape(len(change), 2, -1).abs().amax(2) * ratio  # (N, 2)
    return [index for index, far in enumerate((halves > FAR).all(1).tolist()) if far]
