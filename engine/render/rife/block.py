"""One block of an IFNet made ready to run fast, and the order in which it takes its inputs.

Its weights are folded, laid out and cut to what is read. Knows nothing about scales or warps, which
are ``fast.py``'s business.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render.rife.fused_layers import Entrance, prepare_activated, prepare_middle
from engine.render.rife.ifnet import Activated, IFBlock
from engine.render.rife.motion import FLOWS
from engine.render.rife.versions import Architecture


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
    flow = range(total - FLOWS, total)
    return [*sides[0], *sides[1], *flow, position, *range(position + 1, total - FLOWS)]
