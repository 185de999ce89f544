"""How good are the frames between two pictures, on motion that is known exactly?

``python -m benchmarks.interpolation_quality`` prints one table: cross-fade, OpenCV's DIS
optical flow (its medium preset with bilinear warping as usually done, and the same flow
warped bicubically), and the offline network, for three motion sizes. Scenes, textures and
shapes come from seeds and partly from families that training never saw.

PSNR in dB and SSIM are means over scenes and positions. Flow error is the mean distance in
pixels to the true flow, at the middle. Evenness is the smallest over the largest sharpness
along the positions, each relative to the truth's: 1 is a film that does not pulse.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.render.rife.flow import warp
from engine.render.rife.interpolator import OFFLINE_WEIGHTS, load_offline
from engine.render.rife.offline import OfflineNet
from training.rife.banks import Bank, make_bank
from training.rife.scenes import draw_scene, exact_flows, render

SIZE = 256
SEED = 90210
SPEEDS = {"small": 4.0, "medium": 16.0, "large": 48.0}  # pixels of the fastest layers
POSITIONS = (0.125, 0.25, 0.5, 0.75, 0.875)


@dataclass(frozen=True)
class Case:
    """A pair of pictures (1, 3, H, W), the truth at POSITIONS, true flows (1, 4, H, W) at 0.5."""

    first: Tensor
    second: Tensor
    truth: Tensor
    flows: Tensor


@dataclass
class Score:
    """Sums over the cases of one motion size."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    flow: list[float] = field(default_factory=list)
    evenness: list[float] = field(default_factory=list)

    def row(self) -> str:
        """The four means, aligned."""
        means = [float(np.mean(v)) for v in (self.psnr, self.ssim, self.flow, self.evenness)]
        return "{:6.2f}  {:.4f}  {:6.2f}  {:.3f}".format(*means)


# A method returns the frames (N, 3, H, W) and its flows (1, 4, H, W) at the middle.
Method = Callable[[Case], tuple[Tensor, Tensor]]


@cache
def held_out_bank() -> Bank:
    """Textures and shapes that training never saw, some of kinds it never saw."""
    return make_bank(SEED, 70, 60, held_out=True)


def cases(speed: float, count: int) -> Iterable[Case]:
    """Held-out scenes whose fastest layers move by about ``speed`` pixels."""
    rng = np.random.default_rng(SEED + int(speed))
    for _ in range(count):
        scene = draw_scene(rng, held_out_bank(), SIZE, speed)
        first, second = (_tensor(render(scene, moment)) for moment in (0.0, 1.0))
        truth = torch.cat([_tensor(render(scene, position)) for position in POSITIONS])
        flows = np.concatenate(exact_flows(scene, 0.5), -1)
        yield Case(first, second, truth, torch.from_numpy(flows).permute(2, 0, 1)[None])


def _tensor(frame: np.ndarray) -> Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255


def fade(case: Case) -> tuple[Tensor, Tensor]:
    """The cross-fade: no motion at all."""
    frames = [case.first * (1 - p) + case.second * p for p in POSITIONS]
    return torch.cat(frames), torch.zeros_like(case.flows)


def dis(case: Case, mode: str) -> tuple[Tensor, Tensor]:
    """DIS both ways, flows at a position after Super SloMo (arXiv:1712.00080, eq. 4), blended."""
    grey = [cv2.cvtColor(_pixels(image), cv2.COLOR_RGB2GRAY) for image in (case.first, case.second)]
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward = torch.from_numpy(estimator.calc(grey[0], grey[1], None)).permute(2, 0, 1)[None]
    backward = torch.from_numpy(estimator.calc(grey[1], grey[0], None)).permute(2, 0, 1)[None]
    frames = []
    for p in POSITIONS:
        to_first = -(1 - p) * p * forward + p * p * backward
        to_second = (1 - p) ** 2 * forward - p * (1 - p) * backward
        sides = warp(case.first, to_first, mode), warp(case.second, to_second, mode)
        frames.append(sides[0] * (1 - p) + sides[1] * p)
        if p == 0.5:
            middle = torch.cat((to_first, to_second), 1)
    return torch.cat(frames), middle


def _pixels(image: Tensor) -> np.ndarray:
    return (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def offline(net: OfflineNet, case: Case) -> tuple[Tensor, Tensor]:
    """The offline network, without the judge in front of it."""
    with torch.inference_mode():
        pair = net.relate(net.prepare(case.first), net.prepare(case.second))
        flows = net.estimate(pair, [0.5])["flows"]
        return net.draw(pair, POSITIONS).frames, flows[..., :SIZE, :SIZE]


def psnr(frame: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], after rounding to 8 bits."""
    error = ((frame.clamp(0, 1) * 255).round() / 255 - truth).square().mean()
    return float(-10 * torch.log10(error + 1e-7))


def ssim(frame: Tensor, truth: Tensor) -> float:
    """Structural similarity of grey values, 11 x 11 Gaussian window, sigma 1.5 (Wang 2004)."""
    x, y = (image.clamp(0, 1).mean(0).double().numpy() for image in (frame, truth))

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


def measure(score: Score, case: Case, method: Method) -> None:
    """Add one case to a score."""
    frames, flows = method(case)
    relative = []
    for frame, truth in zip(frames, case.truth, strict=True):
        score.psnr.append(psnr(frame, truth))
        score.ssim.append(ssim(frame, truth))
        relative.append(sharpness(frame) / sharpness(truth))
    distance = (flows - case.flows).unflatten(1, (2, 2)).norm(dim=2)
    score.flow.append(float(distance.mean()))
    score.evenness.append(min(relative) / max(relative))


def methods(net: OfflineNet) -> dict[str, Method]:
    """What is compared, in the order of the table."""
    return {
        "cross-fade": fade,
        "DIS": lambda case: dis(case, "bilinear"),
        "DIS, bicubic": lambda case: dis(case, "bicubic"),
        "offline net": lambda case: offline(net, case),
    }


def evaluate(net: OfflineNet, speed: float, count: int) -> dict[str, Score]:
    """Score every method on the same held-out scenes."""
    scores = {name: Score() for name in methods(net)}
    for case in cases(speed, count):
        for name, method in methods(net).items():
            measure(scores[name], case, method)
    return scores


def unrelated(net: OfflineNet, count: int) -> tuple[float, float]:
    """PSNR of the net against the cross-fade of pictures that share nothing: mean, worst."""
    halves = list(cases(SPEEDS["medium"], 2 * count))
    found = []
    for one, other in zip(halves[:count], halves[count:], strict=True):
        case = Case(one.first, other.second, one.truth, one.flows)
        frames, truth = offline(net, case)[0], fade(case)[0]
        found += [psnr(*pair) for pair in zip(frames, truth, strict=True)]
    return float(np.mean(found)), float(np.min(found))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=OFFLINE_WEIGHTS)
    parser.add_argument("--scenes", type=int, default=40, help="per motion size")
    options = parser.parse_args(arguments)
    net = load_offline(options.weights)
    print(f"{'motion':8}{'method':14}  PSNR    SSIM    flow  evenness")
    for size, speed in SPEEDS.items():
        for name, score in evaluate(net, speed, options.scenes).items():
            print(f"{size:8}{name:14}{score.row()}", flush=True)
    mean, worst = unrelated(net, options.scenes // 2)
    print(f"unrelated pictures: {mean:.1f} dB from the cross-fade on average, {worst:.1f} at worst")


if __name__ == "__main__":
    main()
