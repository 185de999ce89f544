"""DIS: optical flow both ways, moved to a position, warped and blended; it needs no weights.

It draws where the official RIFE cannot be had. Knows nothing about files, 8-bit frames or when to
interpolate.

Sources: DIS, Kroeger et al. 2016, arXiv:1603.03590, as OpenCV has it; flows at a position from the
flows between the keyframes, Super SloMo, Jiang et al. 2018, arXiv:1712.00080, equation 4.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.render.rife.network import Drawn, Network, Pair, Prepared
from engine.render.rife.optical_flow import SMALLEST_SIDE, dis_flow, warp


class DIS(Network):
    """Flows between two keyframes; each position takes its share of both."""

    name = "dis"

    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """Reduce a keyframe (1, 3, H, W) if asked; there is nothing to encode."""
        return Prepared(image, _reduce(image, min(scale, 1.0)), (), min(scale, 1.0))

    def relate(self, first: Prepared, second: Prepared) -> Pair:
        """Find the flow from each keyframe to the other, on the CPU."""
        flows = _both_ways(_grey(first.padded), _grey(second.padded))
        device = first.image.device
        return Pair(first, second, (flows[0].to(device), flows[1].to(device)))

    def track(self, pair: Pair, positions: Sequence[float]) -> Tensor:
        """Take a share of both flows at some positions."""
        assert pair.flows
        forward, backward = pair.flows
        at = forward.new_tensor(positions).view(-1, 1, 1, 1)
        to_first = at * (at * backward - (1 - at) * forward)
        to_second = (1 - at) * ((1 - at) * forward - at * backward)
        flows, size = torch.cat((to_first, to_second), 1), pair.first.image.shape[-2:]
        if flows.shape[-2:] != size:
            enlarged = F.interpolate(flows, size, mode="bilinear", align_corners=False)
            flows = enlarged / pair.first.scale
        return torch.cat((flows, (1 - at).expand(-1, 1, *size)), 1)

    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames at some positions in one batch."""
        tracks = self.track(pair, positions)
        flows, share = tracks[:, :4], tracks[:, 4:]
        sides = [
            warp(keyframe.image.expand(len(flows), -1, -1, -1), flow)
            for keyframe, flow in zip((pair.first, pair.second), flows.chunk(2, 1), strict=True)
        ]
        frames = torch.lerp(sides[1], sides[0], share)
        return Drawn(frames, (sides[0][-1:], sides[1][-1:]))


def _reduce(image: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    return F.interpolate(image, size, mode="area")


def _grey(image: Tensor) -> np.ndarray:
    pixels = (image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).contiguous()
    return cv2.cvtColor(pixels.cpu().numpy(), cv2.COLOR_RGB2GRAY)


def _both_ways(first: np.ndarray, second: np.ndarray) -> list[Tensor]:
    """Run DIS once in each direction, side by side; two flows (1, 2, h, w)."""
    if min(first.shape) < SMALLEST_SIDE or np.array_equal(first, second):
        return [torch.zeros(1, 2, *first.shape)] * 2
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # DIS divides its work by threads, and the result depends on it
    try:
        with ThreadPoolExecutor(2) as pool:
            pairs = (first, second), (second, first)
            tasks = [pool.submit(dis_flow, *pair, to_the_pixel=False) for pair in pairs]
            flows = [task.result() for task in tasks]
    finally:
        cv2.setNumThreads(threads)
    return [torch.from_numpy(flow).permute(2, 0, 1)[None] for flow in flows]
