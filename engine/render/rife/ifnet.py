"""IFNet, the network of RIFE 4.x, in any of its official versions.

Built from an ``Architecture`` with the official parameter names, so that official state dicts
load strictly. Knows nothing about files, 8-bit frames or when to interpolate.

Source: RIFE, Huang et al. 2022, arXiv:2011.06294; the graph of each version as the author
published it (Practical-RIFE, MIT). "Position" is what RIFE calls timestep.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render.rife.network import Drawn, Network, Pair, Prepared
from engine.render.rife.versions import Architecture, Encoder, Layers

if TYPE_CHECKING:
    from engine.render.rife.fast_ifnet import FastIFNet

MIDDLE_LAYERS = 8
FAR = 32.0  # pixels; beyond this the versions that can double their scales do so


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


def _encoder(architecture: Architecture) -> nn.Module | None:
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


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Fetch from (N, C, H, W) at each pixel plus flow (N, 2, H, W), repeating the border."""
    height, width = flow.shape[-2:]
    x = torch.linspace(-1, 1, width, device=flow.device).expand(height, width)
    y = torch.linspace(-1, 1, height, device=flow.device)[:, None].expand(height, width)
    columns = x + flow[:, 0] / ((width - 1) / 2)
    rows = y + flow[:, 1] / ((height - 1) / 2)
    grid = torch.stack((columns, rows), -1)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=True)


class IFNet(Network):
    """Intermediate flows and a blending mask, refined over four or five blocks."""

    def __init__(self, architecture: Architecture, version: str = "") -> None:
        super().__init__()
        self.architecture = architecture
        self.version = version
        self.name = f"rife-{version}"
        self.precision = torch.float32  # of the convolutions
        self._fast: FastIFNet | None = None
        self.encode = _encoder(architecture)
        for index in range(len(architecture.channels)):
            self.add_module(f"block{index}", IFBlock(architecture, index))

    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """Pad a keyframe (1, 3, H, W), encode it, and reduce both for the first block."""
        padded = self.pad(image, scale)
        stacked = self.fast().stack(padded)
        return Prepared(image, padded, (stacked, self.fast().coarse(stacked, scale)), scale)

    def relate(self, first: Prepared, second: Prepared) -> Pair:
        """IFNet finds motion anew for each position; nothing more is shared."""
        return Pair(first, second)

    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames at some positions in one batch, the fast way where it exists."""
        fast, scale = self.fast(), pair.first.scale
        if not fast.can(scale):
            return self.draw_plainly(pair, positions)
        stacked = pair.first.encoded[0], pair.second.encoded[0]
        coarse = pair.first.encoded[1], pair.second.encoded[1]
        size = (pair.first.image.shape[-2], pair.first.image.shape[-1])
        frames, sides, far = fast.draw(stacked, coarse, positions, scale, size)
        for index in far:
            again = self.draw_plainly(pair, [positions[index]])
            frames[index] = again.frames[0]
            sides = again.sides if index == len(positions) - 1 else sides
        return Drawn(frames, sides)

    def draw_plainly(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames by ``forward``, one position at a time."""
        height, width = pair.first.image.shape[-2:]
        pictures = (pair.first.padded, pair.second.padded)
        stacked = (pair.first.encoded[0], pair.second.encoded[0])
        encoded = [maps[:, 3:] for maps in stacked] if self.encode else []
        scale = pair.first.scale
        drawn = [self(pictures, encoded, position, scale) for position in positions]
        warped = torch.cat([warped for warped, _, _ in drawn])[..., :height, :width]
        share = torch.sigmoid(torch.cat([mask for _, _, mask in drawn]))[..., :height, :width]
        first, second = warped.chunk(2, 1)
        return Drawn(first * share + second * (1 - share), (first[-1:], second[-1:]))

    def fast(self) -> "FastIFNet":
        """The prepared evaluator of these weights, made when first asked for."""
        if self._fast is None:
            from engine.render.rife.fast_ifnet import FastIFNet

            self._fast = FastIFNet(self, self.precision)
        return self._fast

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._fast = None  # the weights move or change type
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Load weights as torch does, and forget what was prepared from the old ones."""
        self._fast = None
        return super().load_state_dict(*arguments, **options)

    def pad(self, image: Tensor, scale: float) -> Tensor:
        """Add zeros right and below, to this version's multiple divided by the scale."""
        multiple = max(self.architecture.multiple, int(self.architecture.multiple / scale))
        height, width = image.shape[-2:]
        return F.pad(image, (0, -width % multiple, 0, -height % multiple))

    def forward(
        self,
        pictures: tuple[Tensor, Tensor],
        encoded: list[Tensor],
        position: float,
        scale: float = 1.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Warped pictures, flows and mask logits at one position.

        Written the straightforward way, one position at a time and everything at full
        resolution, as a reference.

        Args:
            pictures: two padded pictures (1, 3, H, W).
            encoded: what ``encode`` made of both, (1, C, H, W) each; empty before 4.7.
            position: in [0, 1].
            scale: of the flow estimate.

        Returns:
            (1, 6, H, W), (1, 4, H, W) in pixels, and (1, 1, H, W).
        """
        plane = torch.full_like(pictures[0][:, :1], position)
        scales = [factor / scale for factor in self.architecture.scales]
        still = torch.cat((*pictures, *encoded, plane), 1)
        flow, mask, features = self.block(0)(still, None, scales[0])
        for index in range(1, len(scales)):
            inputs = self._seen(pictures, encoded, plane, flow, mask, features)
            change, new_mask, new_features = self.block(index)(inputs, flow, scales[index])
            if index == 1 and self.architecture.doubles and _both_far(change):
                scales = [factor * 2 for factor in scales]
                flow, mask, features = self.block(0)(still, None, scales[0])
                inputs = self._seen(pictures, encoded, plane, flow, mask, features)
                change, new_mask, new_features = self.block(1)(inputs, flow, scales[1])
            flow = flow + change
            mask = mask + new_mask if self.architecture.mask_adds else new_mask
            features = new_features
        warped = [warp(p, f) for p, f in zip(pictures, flow.chunk(2, 1), strict=True)]
        return torch.cat(warped, 1), flow, mask

    def block(self, index: int) -> IFBlock:
        """The block at an index, 0 the coarsest."""
        found = self.get_submodule(f"block{index}")
        assert isinstance(found, IFBlock)
        return found

    def _seen(
        self,
        pictures: tuple[Tensor, Tensor],
        encoded: list[Tensor],
        plane: Tensor,
        flow: Tensor,
        mask: Tensor,
        features: Tensor,
    ) -> Tensor:
        """What a block after the first is shown, all at full resolution."""
        flows = flow.chunk(2, 1)
        warped = [warp(p, f) for p, f in zip(pictures, flows, strict=True)]
        codes = [warp(e, f) for e, f in zip(encoded, flows, strict=False)]
        carried = [features] if self.architecture.carried else []
        return torch.cat((*warped, *codes, plane, mask, *carried), 1)


def _both_far(change: Tensor) -> bool:
    """Whether the motion to either picture changes by more than FAR pixels somewhere."""
    return all(float(half.abs().max()) > FAR for half in change.chunk(2, 1))
