"""Train the offline interpolation network on synthetic motion.

``python -m training.rife.train --minutes 60 -o engine/models/rife/offline.safetensors``
writes the running average of the weights every few minutes, so that it can be stopped at any
time, and goes on from a file with ``--resume``. Knows nothing about the engine's use of it.

The loss is a Laplacian-pyramid L1, a Charbonnier and a squared distance on the frame, and a
robust distance on both flow stages, whose truth the synthetic scenes provide. Convolutions run
in bfloat16, flows and warps in float32.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.render.rife.offline_net import OfflineNet
from training.rife.pool import Pool

LEARNING_RATE = 8e-4
WARM_UP = 100  # steps
AVERAGING = 0.998  # of the weights that are kept
PYRAMID = 4  # levels
REPLACING = 3  # steps after which one example of the pool gives way to a new one
SQUARE_WEIGHT = 8.0  # of the squared error, which large mistakes dominate
FLOW_WEIGHT = 0.012  # of each stage; keeps the flow loss near a sixth of the frame loss


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool", type=int, default=500, help="examples held in memory")
    parser.add_argument("--films", type=Path, help="pieces that training.rife.films painted")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="weights to start from")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    train(arguments)


def train(arguments: argparse.Namespace) -> None:
    """Take steps until the time is over; the learning rate follows the clock."""
    films = np.load(arguments.films) if arguments.films else None
    pool = Pool(arguments.seed, films)
    pool.grow(arguments.pool)
    net = OfflineNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if arguments.resume:
        net.load_state_dict({k: v.float() for k, v in load_file(arguments.resume).items()})
    kept = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, (0.9, 0.99), weight_decay=1e-4)
    start, saved, step = time.monotonic(), time.monotonic(), 0
    running: dict[str, float] = {}
    while (elapsed := time.monotonic() - start) < arguments.minutes * 60:
        _set_rate(optimizer, arguments.rate, step, elapsed / (arguments.minutes * 60))
        for name, value in _step(net, optimizer, pool, arguments).items():
            running[name] = 0.98 * running.get(name, value) + 0.02 * value
        _follow(kept, net, step)
        if step % REPLACING == 0:
            pool.replace()
        step += 1
        if step % 100 == 0:
            print(json.dumps({"step": step, "s": round(elapsed), **_rounded(running)}), flush=True)
        if time.monotonic() - saved > 180:
            saved = time.monotonic()
            save(kept, arguments.output, step, elapsed)
    save(kept, arguments.output, step, elapsed)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}


def save(net: OfflineNet, path: Path, steps: int, seconds: float) -> None:
    """Write the weights as float16, with how they came about in the metadata."""
    weights = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    note = {"network": "visionflux-rife-offline", "steps": str(steps), "seconds": f"{seconds:.0f}"}
    partial = path.with_suffix(".partial")
    save_file(weights, partial, note)
    partial.replace(path)


def _set_rate(optimizer: torch.optim.Optimizer, peak: float, step: int, progress: float) -> None:
    """Warm up by steps, then a cosine over the time allowed, down to 1 %."""
    rate = peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1))))
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1, (step + 1) / WARM_UP)


def _follow(kept: OfflineNet, net: OfflineNet, step: int) -> None:
    share = min(AVERAGING, (step + 1) / (step + 10))
    for mean, value in zip(kept.parameters(), net.parameters(), strict=True):
        mean.lerp_(value.detach(), 1 - share)


def _step(
    net: OfflineNet, optimizer: torch.optim.Optimizer, pool: Pool, arguments: argparse.Namespace
) -> dict[str, float]:
    batch = pool.batch(arguments.batch, arguments.crop)
    truth = batch["pictures"][:, 6:]
    with torch.autocast("cpu", torch.bfloat16):
        out = _run(net, batch)
    losses = {
        "frame": frame_loss(out["frames"], truth),
        "coarse": flow_loss(out["coarse_flows"], batch["flows"], batch["known"]),
        "fine": flow_loss(out["flows"], batch["flows"], batch["known"]),
    }
    optimizer.zero_grad(set_to_none=True)
    (losses["frame"] + FLOW_WEIGHT * (losses["coarse"] + losses["fine"])).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    error = F.mse_loss(out["frames"].detach().clamp(0, 1), truth, reduction="none").mean((1, 2, 3))
    psnr = (-10 * torch.log10(error + 1e-7)).mean().item()
    return {name: loss.item() for name, loss in losses.items()} | {"psnr": psnr}


def _run(net: OfflineNet, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    first, second, _ = batch["pictures"].split(3, 1)
    encoded = net.features(torch.cat((first, second))).chunk(2)
    velocity, arrivals = batch["motion"].split(2, 1)
    position = batch["position"].view(-1, 1, 1, 1)
    out: dict[str, Tensor] = net(
        (first, second), (encoded[0], encoded[1]), velocity, arrivals, position
    )
    return out


def frame_loss(frames: Tensor, truth: Tensor) -> Tensor:
    """Laplacian-pyramid L1 (each level weighted by its size, 2^level), Charbonnier and square."""
    error = frames - truth
    total = (error.square() + 1e-6).sqrt().mean() + SQUARE_WEIGHT * error.square().mean()
    for level in range(PYRAMID):
        low = F.avg_pool2d(error, 2)
        band = error - F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + band.abs().mean() * 2**level
        error = low
    return total + error.abs().mean() * 2**PYRAMID / 4


def flow_loss(flows: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """log(1 + distance) on every fourth pixel, so that lost objects do not drown the rest."""
    distance = (flows - truth)[..., ::4, ::4].unflatten(1, (2, 2)).norm(dim=2)  # (N, 2, h, w)
    return (torch.log1p(distance).mean((1, 2, 3)) * known).mean()


if __name__ == "__main__":
    main()
