"""IFNet, the network of RIFE 4.x, in any of its official versions.

Built from an ``Architecture`` with the official parameter names, so that official state dicts
load strictly. Knows nothing about files, 8-bit frames or when to interpolate.

Source: RIFE, Huang et al. 2022, arXiv:2011.06294; the graph of each version as the author
published it (Practical-RIFE, MIT). "Position" is what RIFE calls timestep.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.render.rife.fast_ifnet import FAR_MOTION, FastIFNet
from engine.render.rife.ifnet_layers import IFBlock, build_encoder
from engine.render.rife.network import Drawn, Network, Pair, Prepared
from engine.render.rife.versions import Architecture


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
        self.encode = build_encoder(architecture)
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

    def track(self, pair: Pair, positions: Sequence[float]) -> Tensor:
        """Find what moves two pictures to some positions, the fast way where it exists."""
        fast, scale = self.fast(), pair.first.scale
        if not fast.can(scale):
            return self.track_plainly(pair, positions)
        stacked = pair.first.encoded[0], pair.second.encoded[0]
        coarse = pair.first.encoded[1], pair.second.encoded[1]
        size = (pair.first.image.shape[-2], pair.first.image.shape[-1])
        tracks, far = fast.track(stacked, coarse, positions, scale, size)
        for index in far:
            tracks[index] = self.track_plainly(pair, [positions[index]])[0]
        return tracks

    def draw_plainly(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames by ``forward``, one position at a time."""
        warped, _, mask = self._plainly(pair, positions)
        share = torch.sigmoid(mask)
        first, second = warped.chunk(2, 1)
        return Drawn(first * share + second * (1 - share), (first[-1:], second[-1:]))

    def track_plainly(self, pair: Pair, positions: Sequence[float]) -> Tensor:
        """Find tracks by ``forward``, one position at a time."""
        _, flow, mask = self._plainly(pair, positions)
        return torch.cat((flow, torch.sigmoid(mask)), 1)

    def _plainly(self, pair: Pair, positions: Sequence[float]) -> tuple[Tensor, ...]:
        """Warped pictures, flows and mask logits, as ``forward`` returns them, without padding."""
        height, width = pair.first.image.shape[-2:]
        pictures = (pair.first.padded, pair.second.padded)
        stacked = (pair.first.encoded[0], pair.second.encoded[0])
        encoded = [maps[:, 3:] for maps in stacked] if self.encode else []
        scale = pair.first.scale
        found = [self(pictures, encoded, position, scale) for position in positions]
        return tuple(torch.cat(maps)[..., :height, :width] for maps in zip(*found, strict=True))

    def fast(self) -> FastIFNet:
        """The prepared evaluator of these weights, made when first asked for."""
        if self._fast is None:
            self._fast = FastIFNet(self.architecture, self.encode, self.blocks, self.precision)
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
        plane, blocks = torch.full_like(pictures[0][:, :1], position), self.blocks
        scales = [factor / scale for factor in self.architecture.scales]
        still = torch.cat((*pictures, *encoded, plane), 1)
        flow, mask, features = blocks[0](still, None, scales[0])
        for index in range(1, len(scales)):
            inputs = self._seen(pictures, encoded, plane, flow, mask, features)
            change, new_mask, new_features = blocks[index](inputs, flow, scales[index])
            if index == 1 and self.architecture.doubles and _both_far(change):
                scales = [factor * 2 for factor in scales]
                flow, mask, features = blocks[0](still, None, scales[0])
                inputs = self._seen(pictures, encoded, plane, flow, mask, features)
                change, new_mask, new_features = blocks[1](inputs, flow, scales[1])
            flow = flow + change
            mask = mask + new_mask if self.architecture.mask_adds else new_mask
            features = new_features
        warped = [warp(p, f) for p, f in zip(pictures, flow.chunk(2, 1), strict=True)]
        return torch.cat(warped, 1), flow, mask

    @property
    def blocks(self) -> list[IFBlock]:
        """The blocks, the coarsest first."""
        count = len(self.architecture.channels)
        found = [self.get_submodule(f"block{index}") for index in range(count)]
        return [block for block in found if isinstance(block, IFBlock)]

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
    """Whether the motion to either picture changes by more than FAR_MOTION pixels somewhere."""
    return all(float(half.abs().max()) > FAR_MOTION for half in change.chunk(2, 1))
