"""Convolutions prepared for inference: folded, laid out for the device, activation fused.

On CPUs oneDNN's fused convolution is used where this torch build offers it; where it is missing or
refuses something, ``conv2d`` does the work. Knows the kinds of layers that IFNet has, but not its
graph.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render import _compat
from engine.render.rife.ifnet_layers import Activated, ResConv

LEAKY_SLOPE = 0.2
CACHED_SHAPES = 4  # input sizes whose packed weights are kept
Step = Callable[[Tensor], Tensor]


def fold_residual(weight: Tensor, bias: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Weights whose plain convolution equals ``conv(x) * beta + x``.

    Exact up to rounding in float32. Not for half precision: the 1 in the middle would push the
    small weights beside it out of the mantissa.
    """
    folded = weight * beta.view(-1, 1, 1, 1)
    outputs, inputs = weight.shape[:2]
    channels = torch.arange(outputs)
    folded[channels, channels % inputs, 1, 1] += 1
    return folded, bias * beta.flatten()


class Convolution:
    """A 3 x 3 convolution, maybe with something added, then leaky ReLU, PReLU or nothing.

    Takes and gives channels-last maps in ``dtype``.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        dtype: torch.dtype,
        *,
        stride: int = 1,
        padding: int = 1,
        groups: int = 1,
        slope: Tensor | float | None = LEAKY_SLOPE,
    ) -> None:
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.to(dtype)
        self.geometry = _compat.Geometry([padding] * 2, [stride] * 2, [1, 1], groups)
        self.slope = slope.to(dtype) if isinstance(slope, Tensor) else slope
        self.fuses = weight.device.type == "cpu" and not isinstance(slope, Tensor)
        self.packed: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(N, inputs, h, w) → (N, outputs, h / stride, w / stride)."""
        if self.fuses:
            try:
                return self._fused(x, added)
            except (AttributeError, RuntimeError, NotImplementedError):
                self.fuses = False
        padding, stride, dilation, groups = self.geometry
        y = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        if added is not None:
            y += added
        if isinstance(self.slope, Tensor):
            return F.prelu(y, self.slope)
        return y if self.slope is None else F.leaky_relu_(y, self.slope)

    def _fused(self, x: Tensor, added: Tensor | None) -> Tensor:
        """Convolve with oneDNN's operator: with the activation in it, or with the sum in it."""
        weight = self._pack(x.shape)
        slope = self.slope if isinstance(self.slope, float) else None
        if added is None:
            return _compat.convolve_leaky(x, weight, self.bias, self.geometry, slope)
        summed = _compat.convolve_and_add(x, added, weight, self.bias, self.geometry)
        return summed if slope is None else F.leaky_relu_(summed, slope)

    def _pack(self, shape: torch.Size) -> Tensor:
        """Weights in oneDNN's layout; without the size, 8 x 8 maps take 60 times as long."""
        packed = self.packed.get(shape)
        if packed is None:
            packed = _compat.pack_weight(self.weight, self.geometry, shape)
            if len(self.packed) >= CACHED_SHAPES:
                self.packed.clear()
            self.packed[shape] = packed
        return packed


class ScaledResidual:
    """``leaky_relu(conv(x) * beta + x)`` in half precision: beta folded, the sum kept apart."""

    def __init__(
        self, weight: Tensor, bias: Tensor, beta: Tensor, dtype: torch.dtype, groups: int
    ) -> None:
        scale = beta.flatten()
        self.convolution = Convolution(
            weight * scale.view(-1, 1, 1, 1), bias * scale, dtype, groups=groups
        )

    def __call__(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        return self.convolution(x, x)


class Entrance:
    """The first convolution of a block, stride 2, some of whose inputs are enlarged by 2.

    Enlarging bilinearly and then convolving with stride 2 is one convolution on the small map:
    its weights are ``M^T W M`` for each pair of channels, ``M`` (3, 3) holding what the three
    enlarged rows under the kernel read of three small rows. Only the zero row and column that
    padding puts before the enlarged map differ, and are taken off again.
    """

    ENLARGING = ((0.75, 0.25, 0.0), (0.25, 0.75, 0.0), (0.0, 0.75, 0.25))

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        slope: Tensor | float,
        dtype: torch.dtype,
        direct: int,
    ) -> None:
        self.direct = direct  # leading input channels that come at full resolution
        self.whole = Convolution(weight, bias, dtype, stride=2, slope=slope)
        self.front = Convolution(weight[:, :direct], bias, dtype, stride=2, slope=slope)
        rows = weight.new_tensor(self.ENLARGING)
        late = weight[:, direct:]
        across = late @ rows  # (outputs, inputs, 3 enlarged rows, 3 small columns)
        down = rows.T @ late
        self.small = Convolution(rows.T @ across, None, dtype, padding=0, slope=None)
        self.top = across[:, :, 0].to(dtype)  # (outputs, inputs, 3)
        self.left = down[:, :, :, 0].to(dtype)
        self.corner = late[:, :, 0, 0].to(dtype)

    def __call__(self, x: Tensor, small: Tensor | None = None) -> Tensor:
        """All inputs (N, ., h, w), or the direct ones and the rest as (N, ., h / 2, w / 2)."""
        if small is None:
            return self.whole(x)
        padded = F.pad(small, (1, 1, 1, 1), mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        y = self.small(padded)
        y[:, :, 0] -= F.conv1d(padded[:, :, 0], self.top)
        y[:, :, :, 0] -= F.conv1d(padded[:, :, :, 0], self.left)
        y[:, :, 0, 0] += small[:, :, 0, 0] @ self.corner.T
        return self.front(x, y)


def prepare_middle(block: nn.Sequential, dtype: torch.dtype) -> list[Step]:
    """The eight middle layers of a block, whatever kind they are."""
    steps: list[Step] = []
    for layer in block:
        if isinstance(layer, ResConv):
            steps.append(_prepare_residual(layer, dtype))
        elif isinstance(layer, Activated):
            steps.append(prepare_activated(layer, dtype))
    return steps


def _prepare_residual(layer: ResConv, dtype: torch.dtype) -> Step:
    conv, groups = layer.conv, layer.conv.groups
    assert conv.bias is not None
    if dtype is not torch.float32:
        return ScaledResidual(conv.weight, conv.bias, layer.beta, dtype, groups)
    weight, bias = fold_residual(conv.weight, conv.bias, layer.beta)
    return Convolution(weight, bias, dtype, groups=groups)


def prepare_activated(layer: Activated, dtype: torch.dtype) -> Convolution:
    """A convolution followed by its activation."""
    conv = layer.convolution
    return Convolution(conv.weight, conv.bias, dtype, stride=conv.stride[0], slope=layer.slope)
