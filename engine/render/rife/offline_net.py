"""The offline network: DIS motion, splatted to a position, refined and blended.

A member of the RIFE family (intermediate flows, a blending mask, refinement from coarse to
fine) that does not have to find motion from nothing: it starts from optical flow. Its weights
are ours, trained on exact synthetic motion by ``training/rife``. Knows nothing about files,
8-bit frames or when to interpolate.

Sources: intermediate flow and mask, RIFE, Huang et al. 2022, arXiv:2011.06294; the bilateral
cost volume, BMBC, Park et al. 2020, arXiv:2007.12622, section 3.1.
"""

import ctypes
import sys
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.render.rife.network import Drawn, Network, Pair, Prepared
from engine.render.rife.optical_flow import pair_motion, project, warp

ALIGNMENT = 16  # pixels; the deepest maps are 1/16 of the picture
MATCH_STRIDE = 8  # matching happens on maps of 1/8
MATCH_RADIUS = 3  # cells: candidates reach 24 pixels beyond the DIS estimate


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.2, inplace=True))


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """Two convolutions around which the input is added; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _zeroed(nn.Conv2d(channels, channels, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        return F.leaky_relu(x + self.second(self.first(x)), 0.2)


class Matcher(nn.Module):
    """Corrects the velocity at 1/8 resolution by comparing features of both pictures."""

    def __init__(self, features: int, hidden: int, handed_on: int) -> None:
        super().__init__()
        candidates = (2 * MATCH_RADIUS + 1) ** 2
        self.mix = nn.Sequential(
            _convolution(candidates + 2 * features + 5, hidden), Residual(hidden), Residual(hidden)
        )
        self.out = _zeroed(nn.Conv2d(hidden, 4 + handed_on, 3, 1, 1))

    def forward(
        self, first: Tensor, second: Tensor, velocity: Tensor, arrivals: Tensor, position: Tensor
    ) -> Tensor:
        """Maps (N, ., H/8, W/8) → (N, 4 + handed_on, H/8, W/8); flows in 1/8 pixels."""
        sampled, cost = _bilateral_cost(first, second, velocity, position)
        plane = position.expand(-1, 1, *velocity.shape[-2:])
        x = torch.cat((cost, sampled, velocity * 0.25, arrivals, plane), 1)
        result: Tensor = self.out(self.mix(x))
        return result


def _bilateral_cost(
    first: Tensor, second: Tensor, velocity: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """Agreement of both feature maps along straight paths through each pixel.

    Args:
        first: features of the first picture (N, C, h, w).
        second: of the second, likewise.
        velocity: (N, 2, h, w) in map pixels, the centre of the search.
        position: (N, 1, 1, 1).

    Returns:
        The features at the centre candidate (N, 2C, h, w), and the mean product for each
        of the (2 * MATCH_RADIUS + 1)^2 candidates (N, candidates, h, w).
    """
    steps = torch.arange(-MATCH_RADIUS, MATCH_RADIUS + 1, device=velocity.device)
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(-1, 1, 1, 2)
    tried = velocity.permute(0, 2, 3, 1)[:, None] + offsets  # (N, K, h, w, 2)
    weight = position[..., None]
    early = _gather(first, tried * -weight)  # (N, C, K, h, w)
    late = _gather(second, tried * (1 - weight))
    middle = offsets.shape[0] // 2
    return torch.cat((early[:, :, middle], late[:, :, middle]), 1), (early * late).mean(1)


def _gather(features: Tensor, path: Tensor) -> Tensor:
    """Sample (N, C, h, w) at each pixel plus path (N, K, h, w, 2) → (N, C, K, h, w)."""
    count, candidates, height, width, _ = path.shape
    columns = torch.arange(width, dtype=path.dtype, device=path.device)
    rows = torch.arange(height, dtype=path.dtype, device=path.device)
    here = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)  # (h, w, 2)
    extent = torch.tensor((max(width - 1, 1), max(height - 1, 1)), device=path.device)
    # The candidates lie one below the other in one tall grid.
    grid = ((path + here) * (2 / extent) - 1).reshape(count, -1, width, 2)
    found = F.grid_sample(features, grid, padding_mode="border", align_corners=True)
    return found.view(count, -1, candidates, height, width)


class Refiner(nn.Module):
    """A U-Net on 2 x 2 pixel blocks: flows and mask in detail, from warped pictures."""

    def __init__(self, inputs: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.enter = nn.Sequential(_convolution(inputs, fine), _convolution(fine, fine))
        self.down1 = nn.Sequential(_convolution(fine, middle, 2), Residual(middle))
        self.down2 = nn.Sequential(_convolution(middle, coarse, 2), Residual(coarse))
        self.up1 = nn.Sequential(_convolution(coarse + middle, middle))
        self.up2 = nn.Sequential(_convolution(middle + fine, fine))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, inputs, H/2, W/2) → features (N, fine, H/2, W/2)."""
        fine = self.enter(x)
        middle = self.down1(fine)
        coarse = self.down2(middle)
        middle = self.up1(torch.cat((_double(coarse), middle), 1))
        result: Tensor = self.up2(torch.cat((_double(middle), fine), 1))
        return result


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class OfflineNet(Network):
    """Velocity, flows, mask and a small colour correction between two pictures.

    With its last layers at zero (as initialised) it equals DIS with splatting and bicubic
    warps, so training can only add to that.
    """

    name = "rife-offline"
    batch_pixels = 1 << 17  # more falls out of a processor's cache and is slower

    def __init__(self) -> None:
        super().__init__()
        features, handed_on, fine = 24, 16, 24
        self.encode = nn.Sequential(
            _convolution(3, 16, 2),
            _convolution(16, 32, 2),
            _convolution(32, 32),
            _convolution(32, 48, 2),
            nn.Conv2d(48, features, 3, 1, 1),
        )
        self.match = Matcher(features, 80, handed_on)
        # 2 x 2 blocks of both warped pictures and the arrivals, then flows and the rest.
        self.refine = Refiner(4 * 8 + 4 + handed_on + 1, (fine, 48, 72))
        self.flows = _zeroed(nn.Conv2d(fine, 4 * 5, 3, 1, 1))
        self.blend = nn.Sequential(_convolution(4 * 6 + fine, fine), _convolution(fine, fine))
        self.finish = _zeroed(nn.Conv2d(fine, 4 * 4, 3, 1, 1))

    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """Reduce if asked, pad by repeating the border, and encode a keyframe (1, 3, H, W)."""
        small = _reduce(image, min(scale, 1.0))
        height, width = small.shape[-2:]
        beyond = (0, -width % ALIGNMENT, 0, -height % ALIGNMENT)
        padded = F.pad(small, beyond, mode="replicate")
        return Prepared(image, padded, (self.features(padded),), min(scale, 1.0))

    def relate(self, first: Prepared, second: Prepared) -> Pair:
        """Estimate the motion between two keyframes, on the CPU."""
        return Pair(first, second, pair_motion(first.padded.cpu(), second.padded.cpu()))

    def estimate(self, pair: Pair, positions: Sequence[float]) -> dict[str, Tensor]:
        """Run the network at some positions; see ``forward`` for what it returns."""
        first, second, motion = pair.first, pair.second, pair.motion
        assert motion is not None
        projected = [project(motion, position) for position in positions]
        device, shape = first.padded.device, (len(positions), -1, -1, -1)
        velocity = torch.stack([velocity for velocity, _ in projected]).to(device)
        arrivals = torch.stack([arrivals for _, arrivals in projected]).to(device)
        return self(  # type: ignore[no-any-return]
            (first.padded.expand(shape), second.padded.expand(shape)),
            (first.encoded[0].expand(shape), second.encoded[0].expand(shape)),
            velocity,
            arrivals,
            torch.tensor(positions, device=device).view(-1, 1, 1, 1),
        )

    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames at some positions in one batch."""
        found = self.estimate(pair, positions)
        if pair.first.scale != 1:
            return _enlarge(pair, found)
        height, width = pair.first.image.shape[-2:]
        first, second = found["warped"][-1:, :, :height, :width].chunk(2, 1)
        return Drawn(found["frames"][..., :height, :width], (first, second))

    def features(self, image: Tensor) -> Tensor:
        """Matching features (1, 24, H/8, W/8) of a picture (1, 3, H, W), aligned."""
        found: Tensor = self.encode(image - 0.5)
        return found

    def forward(
        self,
        pictures: tuple[Tensor, Tensor],
        features: tuple[Tensor, Tensor],
        velocity: Tensor,
        arrivals: Tensor,
        position: Tensor,
    ) -> dict[str, Tensor]:
        """Frames between two pictures whose sides are multiples of ALIGNMENT.

        Args:
            pictures: two (N, 3, H, W) in [0, 1].
            features: what ``features`` made of them, (N, 24, H/8, W/8).
            velocity: from ``project``, (N, 2, H, W).
            arrivals: from ``project``, (N, 2, H, W).
            position: (N, 1, 1, 1) in (0, 1).

        Returns:
            ``frames`` (N, 3, H, W), not clamped; ``flows`` (N, 4, H, W) to the first and to
            the second picture in pixels; ``coarse_flows`` likewise before the last step;
            ``mask`` (N, 1, H, W), the share of the first picture; ``warped`` (N, 6, H, W).
        """
        first, second = pictures
        found, hidden = self._match(features, velocity, arrivals, position)
        flows = torch.cat((-position * velocity, (1 - position) * velocity), 1) + found
        warped = torch.cat((warp(first, flows[:, :2]), warp(second, flows[:, 2:])), 1)
        half = F.avg_pool2d(flows, 2) * 0.1
        plane = position.expand(-1, 1, *half.shape[-2:])
        x = torch.cat((_fold(torch.cat((warped, arrivals), 1)), half, _double(hidden), plane), 1)
        detail = self.refine(x)
        change = F.pixel_shuffle(self.flows(detail), 2)  # (N, 5, H, W)
        fine_flows = flows + change[:, :4]
        return {"coarse_flows": flows} | self._blend(pictures, fine_flows, change, detail, position)

    def _match(
        self, features: tuple[Tensor, Tensor], velocity: Tensor, arrivals: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Corrections of both flows (N, 4, H, W), and hidden maps at 1/4."""
        small = F.avg_pool2d(velocity, MATCH_STRIDE) / MATCH_STRIDE
        seen = F.avg_pool2d(arrivals, MATCH_STRIDE)
        out = self.match(*features, small, seen, position)
        size = velocity.shape[-2:]
        found = F.interpolate(out[:, :4], size, mode="bilinear", align_corners=False)
        return found * MATCH_STRIDE, _double(out[:, 4:])

    def _blend(
        self,
        pictures: tuple[Tensor, Tensor],
        flows: Tensor,
        change: Tensor,
        detail: Tensor,
        position: Tensor,
    ) -> dict[str, Tensor]:
        """Warp sharply, then choose between the two sides and correct the colours."""
        warped = torch.cat(
            [warp(p, f, "bicubic") for p, f in zip(pictures, flows.chunk(2, 1), strict=True)], 1
        )
        last = self.finish(self.blend(torch.cat((_fold(warped), detail), 1)))
        last = F.pixel_shuffle(last, 2)  # (N, 4, H, W)
        mask = torch.sigmoid(torch.logit(1 - position) + change[:, 4:] + last[:, :1])
        first, second = warped.chunk(2, 1)
        frames = first * mask + second * (1 - mask) + last[:, 1:] * 0.1
        return {"frames": frames, "flows": flows, "mask": mask, "warped": warped}


def _fold(x: Tensor) -> Tensor:
    return F.pixel_unshuffle(x, 2)


def _reduce(image: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    return F.interpolate(image, size, mode="area")


def _enlarge(pair: Pair, found: dict[str, Tensor]) -> Drawn:
    """Apply flows and mask that were found on reduced pictures to the full ones."""
    first, second, scale = pair.first.image, pair.second.image, pair.first.scale
    size = first.shape[-2:]
    small = [max(1, round(side * scale)) for side in size]
    maps = torch.cat((found["flows"], found["mask"]), 1)[..., : small[0], : small[1]]
    maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    count = len(maps)
    sides = [
        warp(image.expand(count, -1, -1, -1), flow / scale, "bicubic")
        for image, flow in zip((first, second), maps[:, :4].chunk(2, 1), strict=True)
    ]
    share = maps[:, 4:]
    return Drawn(sides[0] * share + sides[1] * (1 - share), (sides[0][-1:], sides[1][-1:]))


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BLOCK_BYTES = 1 << 28  # bytes: 256 MB; larger blocks still go back to the system


def keep_large_blocks() -> bool:
    """Tune this process's allocator; returns whether it took the setting."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(
        mallopt(option, KEPT_BLOCK_BYTES) == 1 for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
    )
