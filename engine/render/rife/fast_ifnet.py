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
5. Weights are folded and laid out once (``fused_layers.py``); outputs that nobody reads are
   cut off (``Block``).

Knows nothing about files, 8-bit frames or when to interpolate.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render.rife.fused_layers import Entrance, prepare_activated, prepare_middle
from engine.render.rife.ifnet_layers import Activated, IFBlock
from engine.render.rife.motion import (
    FLOW_CHANNELS,
    Motion,
    enlarge,
    fold,
    halve,
    pieces,
    places,
    sample,
)
from engine.render.rife.versions import Architecture

log = logging.getLogger(__name__)


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


def input_order(architecture: Architecture, index: int) -> list[int]:
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
    flow = range(total - FLOW_CHANNELS, total)
    return [*sides[0], *sides[1], *flow, position, *range(position + 1, total - FLOW_CHANNELS)]


FAR_MOTION = 32.0  # pixels; beyond this the versions that can double their scales do so
RECORDED_SHAPES = 4  # shapes kept; each holds the memory of a whole evaluation
Result = Literal["draw", "track"]
Work = Callable[..., tuple[Tensor, ...]]
Recording = tuple[Any, list[Tensor], tuple[Tensor, ...]]  # a graph, its inputs and its results


class CudaGraph:
    """Calls a function of tensors on a GPU, by replaying it where these shapes were seen.

    Args:
        work: from tensors to tensors, on one device, without reading any value back.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self._recorded: dict[Any, Recording | None] = {}  # None: it could not be recorded

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Like calling the function; the results are the caller's own."""
        key = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        if key not in self._recorded:
            if len(self._recorded) >= RECORDED_SHAPES:
                self._recorded.clear()
            with torch.cuda.device(inputs[0].device):  # of several, whose streams these are
                self._recorded[key] = self._record(inputs)
        recording = self._recorded[key]
        if recording is None:
            return self.work(*inputs)
        graph, held, outputs = recording
        for mine, theirs in zip(held, inputs, strict=True):
            mine.copy_(theirs)
        graph.replay()
        return tuple(output.clone() for output in outputs)

    def _record(self, inputs: tuple[Tensor, ...]) -> "Recording | None":
        """Run the function on a stream of its own until all is set up, then record it.

        A recording needs memory of its own. What goes wrong there does not name its reason, so the
        function runs unrecorded then, and says by itself if memory is short.
        """
        held = [tensor.clone() for tensor in inputs]
        cuda: Any = torch.cuda
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            for _ in range(3):
                self.work(*held)
        cuda.current_stream().wait_stream(stream)
        graph = cuda.CUDAGraph()
        # The thread that makes previews may wait for its own stream meanwhile.
        try:
            with cuda.graph(graph, capture_error_mode="thread_local"):
                outputs = self.work(*held)
        except RuntimeError:
            log.warning("A CUDA graph could not be recorded; RIFE runs without it.", exc_info=True)
            return None
        return graph, held, outputs


class FastIFNet:
    """Evaluates an IFNet's weights; built once for each network, device and precision.

    Args:
        architecture: of the network.
        encoder: its picture encoder, if it has one; the weights are copied.
        blocks: its blocks, the coarsest first; likewise.
        dtype: of the convolutions; flows and warps are float32 always.
        together: whether all positions go through the fine blocks at once, as GPUs want it;
            None decides by the device.
    """

    def __init__(
        self,
        architecture: Architecture,
        encoder: nn.Module | None,
        blocks: Sequence[IFBlock],
        dtype: torch.dtype = torch.float32,
        together: bool | None = None,
    ) -> None:
        self.architecture, self.dtype = architecture, dtype
        on_gpu = next(blocks[0].parameters()).is_cuda
        self.together = on_gpu if together is None else together
        self.encoder: nn.Module | None = None
        if encoder is not None:
            copied = copy.deepcopy(encoder).to(dtype)
            self.encoder = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._replays: dict[tuple[float, tuple[int, int], Result], CudaGraph] = {}
        self.blocks = []
        for index, block in enumerate(blocks):
            last = index == len(blocks) - 1
            kept = FLOW_CHANNELS + 1 + (0 if last else self.architecture.carried)
            order = input_order(self.architecture, index)
            direct = 6 + 2 * self.architecture.encoded + FLOW_CHANNELS
            self.blocks.append(Block(block, dtype, order, direct, kept))

    def can(self, scale: float) -> bool:
        """Whether this flow scale is covered: blocks may reduce, but not enlarge."""
        return self.architecture.scales[-1] >= scale

    def stack(self, padded: Tensor) -> Tensor:
        """A padded keyframe (1, 3, H, W) with its encoding, float32 (1, C, H, W)."""
        padded = padded.contiguous(memory_format=torch.channels_last)
        if self.encoder is None:
            return padded
        return torch.cat((padded, self.encoder(padded.to(self.dtype)).float()), 1)

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
        frames, first, second, change = self._run(stacked, coarse, positions, scale, size, "draw")
        return frames, (first, second), self._again(change)

    def track(
        self,
        stacked: tuple[Tensor, Tensor],
        coarse: tuple[Tensor, Tensor],
        positions: Sequence[float],
        scale: float,
        size: tuple[int, int],
    ) -> tuple[Tensor, list[int]]:
        """Find what moves the pictures to some positions; the arguments are those of ``draw``.

        Returns:
            The tracks (N, 5, *size) of ``Network.track``, and which positions begin again.
        """
        tracks, change = self._run(stacked, coarse, positions, scale, size, "track")
        return tracks, self._again(change)

    def _run(
        self,
        stacked: tuple[Tensor, Tensor],
        coarse: tuple[Tensor, Tensor],
        positions: Sequence[float],
        scale: float,
        size: tuple[int, int],
        result: Result,
    ) -> tuple[Tensor, ...]:
        moments = stacked[0].new_tensor(positions).view(-1, 1, 1, 1)
        work: Work = partial(self._work, scale=scale, size=size, result=result)
        if moments.is_cuda and not self.architecture.doubles:
            work = self._replays.setdefault((scale, size, result), CudaGraph(work))
        return work(*stacked, *coarse, moments)

    def _again(self, change: Tensor) -> list[int]:
        return _far(change) if self.architecture.doubles else []

    def _work(
        self,
        first: Tensor,
        second: Tensor,
        coarse_first: Tensor,
        coarse_second: Tensor,
        moments: Tensor,
        *,
        scale: float,
        size: tuple[int, int],
        result: Result,
    ) -> tuple[Tensor, ...]:
        """Frames and the last one's two sides, or tracks; and the change that ``doubles`` asks for.

        The coarse blocks run for all positions at once, since their maps are too small to keep
        a processor busy. On a CPU the fine ones run for each position by itself: their maps
        fill its cache, and so memory does not grow with the number of positions.
        """
        stacked, count = (first, second), len(moments)
        scales = [int(factor / scale) for factor in self.architecture.scales]
        fine = next(i for i, factor in enumerate(scales) if factor <= 2 or i == len(scales) - 1)
        motion = Motion((first.shape[-2], first.shape[-1]))
        out = change = self.blocks[0](self._still((coarse_first, coarse_second), moments))
        self._add(motion, 0, out, scales)
        for index in range(1, fine):
            out = self._advance(stacked, motion, index, out, moments, scales)
            change = motion.parts[1][0]
        found = first.new_empty((count, 3 if result == "draw" else FLOW_CHANNELS + 1, *size))
        sides: tuple[Tensor, ...] = ()
        step = count if self.together else 1
        for start in range(0, count, step):
            chosen = slice(start, start + step)
            alone, last = motion.only(chosen), out[chosen]
            for index in range(fine, len(scales)):
                last = self._advance(stacked, alone, index, last, moments[chosen], scales)
            if result == "draw":
                sides = self._blend(stacked, alone, last, found[chosen])
            else:
                flow, mask = self._moves(alone, last, size)
                torch.cat((flow, torch.sigmoid(mask)), out=found[chosen].transpose(0, 1))
        return found, *sides, change

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
        motion.add(out[:, : FLOW_CHANNELS + self.architecture.mask_adds], ratio)

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
        """Input of a later block, at its own resolution, in the order of ``input_order``.

        Where what the last block hands on is half as large, it is returned apart.
        """
        height, width = (side // scale for side in motion.size)
        direct = 2 * stacked[0].shape[1] + FLOW_CHANNELS
        apart = ratio == 2 * scale and not self.architecture.mask_adds
        channels = direct if apart else self.architecture.inputs(1)
        x = self._buffer(len(moments), channels, height, width, out.device)
        flow = motion.at(scale)
        self._warp_into(x[:, :direct], stacked, flow[:FLOW_CHANNELS], scale)
        if apart:
            return x, self._handed_on(out, moments)
        x[:, direct : direct + 1] = moments
        if self.architecture.mask_adds:
            x[:, -1:] = halve(flow[FLOW_CHANNELS:], scale).transpose(0, 1)
        else:
            x[:, direct + 1 :] = enlarge(out[:, FLOW_CHANNELS:], ratio // scale)
        return x, None

    def _warp_into(
        self, x: Tensor, stacked: tuple[Tensor, Tensor], flow: Tensor, scale: int
    ) -> None:
        """Write both warped sides and the flow itself, at a block's resolution."""
        target, reduced = x.transpose(0, 1), flow.shape[-1] // x.shape[-1]
        height, width = stacked[0].shape[-2:]
        columns = places(width, scale, flow.device)
        rows = places(height, scale, flow.device)[:, None]
        count = pieces(flow)
        target, flow = fold(target, count), fold(flow, count)
        rows = rows.reshape(count, -1, 1)
        sides = [
            halve(sample(picture, half, columns, rows), reduced)
            for picture, half in zip(stacked, torch.split(flow, 2), strict=True)
        ]
        lay((*sides, halve(flow.transpose(0, 1), reduced) / scale), target)

    def _handed_on(self, out: Tensor, moments: Tensor) -> Tensor:
        """Position, mask and features at the resolution of the block before."""
        count, channels, height, width = out.shape
        x = self._buffer(count, 1 + channels - FLOW_CHANNELS, height, width, out.device)
        x[:, :1] = moments
        x[:, 1:] = out[:, FLOW_CHANNELS:]
        return x

    def _moves(self, motion: Motion, out: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The final flows (4, N, *size) in pixels, and mask logits (1, N, *size)."""
        height, width = size
        whole = motion.at(1)[..., :height, :width]
        if self.architecture.mask_adds:
            return whole[:FLOW_CHANNELS], whole[FLOW_CHANNELS:]
        mask = enlarge(out[:, FLOW_CHANNELS:], motion.parts[-1][1])[..., :height, :width]
        return whole, mask.transpose(0, 1)

    def _blend(
        self, stacked: tuple[Tensor, Tensor], motion: Motion, out: Tensor, frames: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Warp and blend into frames (N, 3, h, w), computing no pixel beyond them."""
        height, width = frames.shape[-2:]
        flow, mask = self._moves(motion, out, (height, width))
        columns = places(stacked[0].shape[-1], 1, frames.device)[:width]
        rows = places(stacked[0].shape[-2], 1, frames.device)[:height]
        count = pieces(flow)
        first, second = (
            sample(picture[:, :3], fold(half, count), columns, rows.reshape(count, -1, 1))
            for picture, half in zip(stacked, torch.split(flow, 2), strict=True)
        )
        share = fold(torch.sigmoid(mask), count).transpose(0, 1)
        target = fold(frames.transpose(0, 1), count).transpose(0, 1)
        torch.lerp(second, first, share, out=target)
        return _last(first, count), _last(second, count)


def _last(side: Tensor, count: int) -> Tensor:
    """The last picture (1, 3, h, w) of a batch, or the one that the batch is the pieces of."""
    return side[-1:] if count == 1 else side.transpose(0, 1).flatten(1, 2)[None]


def lay(maps: Sequence[Tensor], target: Tensor) -> None:
    """Write maps (N, ., h, w) beside each other into channels-last memory (C, N, h, w).

    In bfloat16 on a CPU the transposition is a product with the identity: exact, and faster
    than copying.
    """
    product = target.dtype is torch.bfloat16 and target.device.type == "cpu"
    planes = torch.empty(target.shape, dtype=target.dtype) if product else target
    first = 0
    for part in maps:
        planes[first : first + part.shape[1]] = part.transpose(0, 1)
        first += part.shape[1]
    if product:
        identity = torch.eye(len(target), dtype=target.dtype)
        torch.mm(planes.flatten(1).T, identity, out=target.flatten(1).T)


def _far(change: Tensor) -> list[int]:
    """Positions at which the motion to both pictures changes by more than FAR_MOTION pixels."""
    halves = change[:FLOW_CHANNELS].abs().amax((2, 3)).view(2, 2, -1).amax(1)  # (2, N)
    return [index for index, far in enumerate((halves > FAR_MOTION).all(0).tolist()) if far]
