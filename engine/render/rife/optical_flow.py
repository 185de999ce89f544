"""Motion between two pictures, and where it stands at a position in between.

Dense flow comes from OpenCV's DIS; a forward splat carries it to any position. Both run on
the CPU in float32 with a fixed number of threads, so the same pictures always give the same
motion. Knows nothing about the network that refines the result.

Sources: DIS, Kroeger et al. 2016, arXiv:1603.03590; splatting with an importance that falls
with the photometric error, Niklaus & Liu 2020, arXiv:2003.05534, equations 9 to 14.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_SIDE = 16  # pixels; below this DIS has no room for its 8 x 8 patches at two scales
PAN_REDUCTION = 4  # pictures are this much smaller while a pan is looked for
PAN_GAIN = 0.95  # share of the error at rest that a pan has to stay below
TRUST_DECAY = 40.0  # importance is exp(-40 * mean colour error); 10 and 0 were worse on scenes
FALLBACK_WEIGHT = 1e-3  # how much the unsplatted flow counts where something did arrive


@dataclass(frozen=True)
class PairMotion:
    """How two pictures move into each other.

    Attributes:
        forward, backward: float32 (2, H, W), (x, y) in pixels, from the first picture to
            the second and back.
        trust, trust_backward: float32 (H, W) in (0, 1]; near 0 where the colours that the
            flow connects differ, mostly because one of them is hidden in the other picture.
    """

    forward: Tensor
    backward: Tensor
    trust: Tensor
    trust_backward: Tensor


def warp(images: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Fetch from images (N, C, H, W) at each pixel plus flow (N, 2, H, W) in pixels.

    Outside the picture its border is repeated.
    """
    height, width = flow.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    x = (flow[:, 0] + columns) * (2 / max(width - 1, 1)) - 1
    y = (flow[:, 1] + rows[:, None]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack((x, y), -1)  # (N, H, W, 2)
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)


def pair_motion(first: Tensor, second: Tensor) -> PairMotion:
    """Estimate motion both ways between two pictures, float32 (1, 3, H, W) in [0, 1], CPU."""
    forward, backward = _both_ways(_grey(first), _grey(second))
    return PairMotion(
        forward,
        backward,
        _trust(first, second, forward),
        _trust(second, first, backward),
    )


def _grey(image: Tensor) -> np.ndarray:
    pixels = (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).contiguous()
    return cv2.cvtColor(pixels.numpy(), cv2.COLOR_RGB2GRAY)


def _both_ways(first: np.ndarray, second: np.ndarray) -> tuple[Tensor, ...]:
    """Run DIS once in each direction, side by side (OpenCV lets go of the interpreter)."""
    if min(first.shape) < SMALLEST_SIDE or np.array_equal(first, second):
        still = torch.zeros(2, *first.shape)
        return still, still
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # DIS divides its work by threads, and the result depends on it
    try:
        with ThreadPoolExecutor(2) as pool:
            pairs = (first, second), (second, first)
            flows = [task.result() for task in [pool.submit(_one_way, *pair) for pair in pairs]]
    finally:
        cv2.setNumThreads(threads)
    return tuple(torch.from_numpy(flow).permute(2, 0, 1).contiguous() for flow in flows)


def _one_way(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return dis_flow(first, second, find_pan(first, second))


def find_pan(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """A shift of the whole picture that DIS had better start from, (x, y) in pixels.

    DIS starts from rest and loses a camera that moves too far between two pictures. Phase
    correlation (Kuglin & Hines 1975) proposes a shift; it is taken if a coarse flow that
    starts from there connects the pictures better than one that starts from rest.
    """
    if min(first.shape) < SMALLEST_SIDE * PAN_REDUCTION:
        return None
    size = first.shape[1] // PAN_REDUCTION, first.shape[0] // PAN_REDUCTION
    first, second = (
        cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in (first, second)
    )
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(first.astype(np.float32), second.astype(np.float32), window)
    pan = np.array(shift, np.float32)
    if not 1 <= np.linalg.norm(pan) < min(size):  # too little to matter; NaN if without structure
        return None
    at_rest, moving = (_unmatched(first, second, start) for start in (None, pan))
    return pan * PAN_REDUCTION if moving < PAN_GAIN * at_rest else None


def _unmatched(first: np.ndarray, second: np.ndarray, start: np.ndarray | None) -> float:
    """The mean grey difference that flow from a start leaves; an outlier counts 60 at most."""
    found = fetch(second, dis_flow(first, second, start))
    return float(np.minimum(cv2.absdiff(first, found), 60).mean())


def fetch(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Take from a picture (H, W) or (H, W, C) at each pixel plus flow (H, W, 2) in pixels."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def dis_flow(first: np.ndarray, second: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Flow between grey uint8 (H, W) pictures: float32 (H, W, 2), (x, y) in pixels.

    Starts from rest, or everywhere from one shift (x, y). The medium preset, carried on to full
    resolution, which costs three times as much and finds 6 % more of the flow to within a pixel
    on our scenes.
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(0)
    initial = None if start is None else np.tile(start, (*first.shape, 1))
    flow: np.ndarray = estimator.calc(first, second, initial)  # type: ignore[arg-type]
    return flow


def _trust(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    error = (first - warp(second, flow[None])).abs().mean(1)[0]
    return torch.exp(-TRUST_DECAY * error)


def project(motion: PairMotion, position: float) -> tuple[Tensor, Tensor]:
    """Carry the motion to a position in (0, 1) by splatting both flows there.

    Returns:
        velocity: float32 (2, H, W), pixels per whole interval, of what is seen at each
            pixel at that position. The flow to the first picture is -position * velocity,
            to the second (1 - position) * velocity.
        arrivals: float32 (2, H, W): how much trusted mass arrived from the first and from
            the second picture; 0 where a picture does not show what is there.
    """
    early = _splat(motion.forward, motion.forward * position, motion.trust)
    late = _splat(-motion.backward, motion.backward * (1 - position), motion.trust_backward)
    arrivals = torch.stack((early[2], late[2]))
    resting = (1 - position) * motion.forward - position * motion.backward
    moved = early[:2] + late[:2] + FALLBACK_WEIGHT * resting
    return _without_specks(moved / (arrivals.sum(0) + FALLBACK_WEIGHT)), arrivals


def _without_specks(velocity: Tensor) -> Tensor:
    """The median of each 3 x 3: single pixels that flow of their own would tear out."""
    planes = [torch.from_numpy(cv2.medianBlur(plane.numpy(), 3)) for plane in velocity]
    return torch.stack(planes)


def _splat(values: Tensor, flow: Tensor, weight: Tensor) -> Tensor:
    """Add weighted values (2, H, W) where the flow takes them, bilinearly.

    Returns (3, H, W): the two sums, and the sum of the weights.
    """
    height, width = weight.shape
    x = flow[0] + torch.arange(width, dtype=torch.float32)
    y = flow[1] + torch.arange(height, dtype=torch.float32)[:, None]
    left, top = x.floor(), y.floor()
    right_share, low_share = x - left, y - top
    # A rim of one cell on every side takes what leaves the picture.
    stride = width + 2
    cell = (top.clamp(-1, height - 1) + 1) * stride + left.clamp(-1, width - 1) + 1
    start = cell.flatten().long()
    right = weight * right_share
    source = torch.stack((weight - right, right))  # (2, H, W): left and right column
    total = torch.zeros((height + 2) * stride, 3)
    carried = torch.stack((values[0], values[1], torch.ones_like(weight)), -1)  # (H, W, 3)
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    for row in (0, 1):
        share = (low_share if row else 1 - low_share) * inside
        for column in (0, 1):
            amount = (carried * (source[column] * share)[..., None]).view(-1, 3)
            total.index_add_(0, start + (row * stride + column), amount)
    return total.view(height + 2, stride, 3)[1:-1, 1:-1].permute(2, 0, 1)
