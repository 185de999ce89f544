"""The layers that IFNet is made of, with the parameter names of the official files.

Knows each version's shapes; not how its blocks follow each other, nor how they are made fast.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render.rife.versions import Architecture, Encoder, Layers

MIDDLE_LAYERS = 8


class ResConv(nn.Module):
    """A convolution scaled per channel, with its input added."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        return F.leaky_relu(self.conv(x) * self.beta + x, 0.2)


class Activated(nn.Sequential):
    """A convolution and its activation, named 0 and 1 as in the official files."""

    def __init__(self, inputs: int, outputs: int, stride: int, layers: Layers) -> None:
        slope = nn.PReLU(outputs) if layers is Layers.PRELU else nn.LeakyReLU(0.2)
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1), slope)

    @property
    def convolution(self) -> nn.Conv2d:
        """The convolution."""
        found = self[0]
        assert isinstance(found, nn.Conv2d)
        return found

    @property
    def slope(self) -> Tensor | float:
        """The activation's slope below zero: one number, or one for each channel."""
        return self[1].weight if isinstance(self[1], nn.PReLU) else 0.2


class IFBlock(nn.Module):
    """One step from coarse to fine: better flows, a mask, features for the next block."""

    def __init__(self, architecture: Architecture, index: int) -> None:
        super().__init__()
        layers, width = architecture.layers, architecture.channels[index]
        self.conv0 = nn.Sequential(
            Activated(architecture.inputs(index), width // 2, 2, layers),
            Activated(width // 2, width, 2, layers),
        )
        self.residual = layers is Layers.RESIDUAL
        if self.residual:
            middle = [ResConv(width, architecture.groups) for _ in range(MIDDLE_LAYERS)]
            self.convblock = nn.Sequential(*middle)
        else:
            plain = [Activated(width, width, 1, layers) for _ in range(MIDDLE_LAYERS)]
            self.convblock = nn.Sequential(*plain)
        last = nn.ConvTranspose2d(width, architecture.last, 4, 2, 1)
        self.shuffles = architecture.last > 5
        self.lastconv: nn.Module = last
        if self.shuffles:
            self.lastconv = nn.Sequential(last, nn.PixelShuffle(2))
        self.adds = layers is Layers.PRELU

    def forward(
        self, x: Tensor, flow: Tensor | None, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, ., H, W) → flow change (N, 4, H, W) in pixels, mask (N, 1, H, W), features."""
        size = x.shape[-2:]
        x = _resize(x, 1 / scale)
        if flow is not None:
            x = torch.cat((x, _resize(flow, 1 / scale) / scale), 1)
        x = self.conv0(x)
        x = self.convblock(x) + x if self.adds else self.convblock(x)
        factor = scale if self.shuffles else scale * 2
        out = _resize(self.lastconv(x), factor)[..., : size[0], : size[1]]
        return out[:, :4] * factor, out[:, 4:5], out[:, 5:]


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class Head(nn.Module):
    """The picture encoder of 4.13 and later: (N, 3, H, W) → (N, encoded, H, W)."""

    def __init__(self, width: int, encoded: int) -> None:
        super().__init__()
        self.cnn0 = nn.Conv2d(3, width, 3, 2, 1)
        self.cnn1 = nn.Conv2d(width, width, 3, 1, 1)
        self.cnn2 = nn.Conv2d(width, width, 3, 1, 1)
        self.cnn3 = nn.ConvTranspose2d(width, encoded, 4, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → (N, encoded, H, W)."""
        x = F.leaky_relu(self.cnn0(image), 0.2)
        x = F.leaky_relu(self.cnn1(x), 0.2)
        x = F.leaky_relu(self.cnn2(x), 0.2)
        encoded: Tensor = self.cnn3(x)
        return encoded


def build_encoder(architecture: Architecture) -> nn.Module | None:
    """Build the picture encoder of a version; None for those that have none."""
    width, encoded = architecture.encoder_width, architecture.encoded
    if architecture.encoder is Encoder.NONE:
        return None
    if architecture.encoder is Encoder.NAMED:
        return Head(width, encoded)
    first, last = nn.Conv2d(3, width, 3, 2, 1), nn.ConvTranspose2d(width, encoded, 4, 2, 1)
    if architecture.encoder is Encoder.PAIR:
        return nn.Sequential(first, last)
    layers: list[nn.Module] = [first, nn.LeakyReLU(0.2)]
    for _ in range(2):
        layers += [nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, last)
