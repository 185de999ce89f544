"""How good are the frames between two pictures?

``python -m benchmarks.interpolation.quality`` prints one table: cross-fade, OpenCV's DIS
optical flow (its medium preset with bilinear warping as usually done, and the same flow warped
bicubically), the offline network alone, and the network behind its judge as footage and films get
it; on synthetic scenes of three motion sizes, on animated landscapes of the offline diffusion
world, as drawn and as its autoencoder decodes them, on film pieces that the model itself painted,
and on pictures that share nothing.

PSNR (dB) and SSIM are means over pairs and positions, of frames rounded to 8 bits.

Flow: mean end-point error in pixels (Baker et al. 2011, "A database and evaluation methodology
for optical flow"), at the middle, over the pixels whose true flow leads to something that is
visible there; the mean over both directions.

Evenness: the smallest over the largest sharpness along a gap, both keyframes included, each
relative to the truth's: 1 is a film that does not pulse between sharp keyframes and soft frames
in between. Sharpness is the mean absolute gradient, a focus measure (surveyed by Pertuz et al.
2013, "Analysis of focus measure operators for shape-from-focus"); the ratio is ours.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.interpolation.cases import (
    SPEEDS,
    Case,
    cases,
    films,
    landscapes,
    unrelated,
)
from engine.film.graph import SegmentNode
from engine.render import bridge
from engine.render.rife.interpolator import (
    OFFLINE_WEIGHTS,
    Interpolator,
    fade,
    load_offline,
    to_frame,
)
from engine.render.rife.offline_net import OfflineNet
from engine.render.rife.optical_flow import warp
from training.rife.pool import to_tensor

HALVES = SegmentNode(first="", second="", frames=2, closing=False, fps=24, interpolator="")

# A method returns the frames (N, 3, H, W) and its flows (1, 4, H, W) at the middle, if any.
Method = Callable[[Case], tuple[Tensor, Tensor | None]]


@dataclass
class Score:
    """What was measured on each case, frame by frame or pair by pair."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    flow: list[float] = field(default_factory=list)
    evenness: list[float] = field(default_factory=list)

    def row(self) -> str:
        """The four means, aligned."""
        flow = f"{np.mean(self.flow):6.2f}" if self.flow else "     -"
        quality = f"{np.mean(self.psnr):6.2f}  {np.mean(self.ssim):.4f}"
        return f"{quality}  {flow}  {np.mean(self.evenness):.3f}"


def crossfade(case: Case) -> tuple[Tensor, Tensor | None]:
    """The cross-fade as the engine makes it: no motion at all."""
    pictures = to_frame(case.first[0]), to_frame(case.second[0])
    frames = [to_tensor(fade(*pictures, position)) for position in case.positions]
    return torch.cat(frames), torch.zeros(1, 4, *case.first.shape[-2:])


def dis(case: Case, mode: str) -> tuple[Tensor, Tensor | None]:
    """DIS both ways, flows at a position after Super SloMo (arXiv:1712.00080, eq. 4), blended."""
    grey = [
        cv2.cvtColor(to_frame(image[0]), cv2.COLOR_RGB2GRAY) for image in (case.first, case.second)
    ]
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward = torch.from_numpy(estimator.calc(grey[0], grey[1], None)).permute(2, 0, 1)[None]
    backward = torch.from_numpy(estimator.calc(grey[1], grey[0], None)).permute(2, 0, 1)[None]
    frames, middle = [], None
    for p in case.positions:
        to_first = -(1 - p) * p * forward + p * p * backward
        to_second = (1 - p) ** 2 * forward - p * (1 - p) * backward
        sides = warp(case.first, to_first, mode), warp(case.second, to_second, mode)
        frames.append(sides[0] * (1 - p) + sides[1] * p)
        if p == 0.5:
            middle = torch.cat((to_first, to_second), 1)
    return torch.cat(frames), middle


def offline(net: OfflineNet, case: Case) -> tuple[Tensor, Tensor | None]:
    """The offline network, without the judge in front of it."""
    height, width = case.first.shape[-2:]
    with torch.inference_mode():
        pair = net.relate(net.prepare(case.first), net.prepare(case.second))
        flows = net.estimate(pair, [0.5])["flows"]
        return net.draw(pair, case.positions).frames, flows[..., :height, :width]


def judged(interpolator: Interpolator, case: Case) -> tuple[Tensor, Tensor | None]:
    """What a film of keyframes, else interpolated footage gets: copied, faded or interpolated."""
    pictures = to_frame(case.first[0]), to_frame(case.second[0])
    if case.painted:  # half-way
        frames = islice(bridge.frames(HALVES, *pictures, interpolator), 1, None)
    else:
        frames = interpolator.between(*pictures, case.positions)
    return torch.cat([to_tensor(frame) for frame in frames]), None


def as_shown(frames: Tensor) -> Tensor:
    """Rounded to the 256 levels of a picture."""
    return (frames.clamp(0, 1) * 255).round() / 255


def psnr(frame: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]; 70 for equal ones."""
    return float(-10 * torch.log10((frame - truth).square().mean() + 1e-7))


def ssim(frame: Tensor, truth: Tensor) -> float:
    """Structural similarity of grey values, 11 x 11 Gaussian window, sigma 1.5 (Wang 2004)."""
    x, y = (image.mean(0).double().numpy() for image in (frame, truth))

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mean_x, mean_y = blur(x), blur(y)
    spread_x, spread_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    shared = blur(x * y) - mean_x * mean_y
    brightness = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    structure = (2 * shared + 0.03**2) / (spread_x + spread_y + 0.03**2)
    return float((brightness * structure).mean())


def sharpness(frame: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels."""
    return float(frame.diff(dim=-1).abs().mean() + frame.diff(dim=-2).abs().mean())


def flow_error(flows: Tensor, case: Case) -> float:
    """Mean distance in pixels to the true flows where their ends are visible."""
    assert case.flows is not None
    assert case.visible is not None
    distance = (flows - case.flows).unflatten(1, (2, 2)).norm(dim=2)  # (1, 2, H, W)
    return float(distance[case.visible].mean())


def measure(score: Score, case: Case, method: Method) -> None:
    """Add one case to a score."""
    frames, flows = method(case)
    relative = [1.0]  # the keyframes themselves
    for frame, truth in zip(as_shown(frames), case.truth, strict=True):
        score.psnr.append(psnr(frame, truth))
        score.ssim.append(ssim(frame, truth))
        relative.append(sharpness(frame) / sharpness(truth))
    score.evenness.append(min(relative) / max(relative))
    if flows is not None and case.flows is not None:
        score.flow.append(flow_error(flows, case))


def methods(net: OfflineNet) -> dict[str, Method]:
    """What is compared, in the order of the table."""
    interpolator = Interpolator(net, "", torch.device("cpu"))
    return {
        "cross-fade": crossfade,
        "DIS": lambda case: dis(case, "bilinear"),
        "DIS, bicubic": lambda case: dis(case, "bicubic"),
        "offline net": lambda case: offline(net, case),
        "judge and net": lambda case: judged(interpolator, case),
    }


def evaluate(net: OfflineNet, pairs: Iterable[Case]) -> dict[str, Score]:
    """Score every method on the same pairs."""
    compared = methods(net)
    scores = {name: Score() for name in compared}
    for case in pairs:
        for name, method in compared.items():
            measure(scores[name], case, method)
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=OFFLINE_WEIGHTS)
    parser.add_argument("--scenes", type=int, default=24, help="of each kind")
    parser.add_argument("--films", type=int, default=12, help="painted pieces; seconds each")
    options = parser.parse_args(arguments)
    net, count = load_offline(options.weights), options.scenes
    kinds = {size: cases(speed, count) for size, speed in SPEEDS.items()} | {
        "landscapes": landscapes(count, decoded=False),
        "decoded": landscapes(count, decoded=True),
        "films": films(options.films),
        "unrelated": unrelated(count),
    }
    print(f"{'pairs':12}{'method':15}  PSNR    SSIM    flow  evenness")
    for kind, pairs in kinds.items():
        for name, score in evaluate(net, pairs).items():
            print(f"{kind:12}{name:15}{score.row()}", flush=True)


if __name__ == "__main__":
    main()
