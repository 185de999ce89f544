"""What does each way of saving memory save, and what does it cost? One run, one picture each.

    python -m benchmarks.painting_memory [--size 1024] [--model landscapes] [--device cpu]

Each way (``engine.render.painting.optimizations``) paints in a process of its own. Prints the peak
of memory above that of the loaded model, the time, both as ratios to the plain way, and how far
pixels moved (of 255). On CUDA the peak is torch's; elsewhere it is that of resident memory, as the
kernel counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import psutil
import torch

from engine.film.graph import Blend, KeyframeNode
from engine.models import catalogue
from engine.render.device import Device, choose_device
from engine.render.painting.optimizations import WAYS
from engine.render.painting.painter import Painter

PLAIN = "plain"


def peak(device: Device) -> int:
    """Return the most memory that this process has used so far, in bytes."""
    if device.kind == "cuda":
        return int(torch.cuda.max_memory_allocated(torch.device(device.name)))
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def used(device: Device) -> int:
    """Return the memory that this process uses now, in bytes."""
    if device.kind == "cuda":
        return int(torch.cuda.memory_allocated(torch.device(device.name)))
    return int(psutil.Process().memory_info().rss)


def node(painter: Painter, size: int, steps: int) -> KeyframeNode:
    """Return what is painted."""
    prompt = Blend("dawn over the sea", "dawn over the sea", 0.0)
    about = {"num_inference_steps": steps, "guidance_scale": 4.0, "scheduler": "ddim"}
    seed = Blend(1, 1, 0.0)
    side: dict[str, Any] = {"width": size, "height": size, **about}
    return KeyframeNode(
        model=painter.identity, prompt=prompt, negative_prompt="", noise=seed, **side
    )


def measure(options: argparse.Namespace) -> None:
    """Paint in one way; print what it took, and keep the picture."""
    device = choose_device(options.device)
    model = catalogue([options.model] if "/" in options.model else [])[options.model]
    painter = Painter.load(model, device, lambda *_: None)
    watch: dict[str, Any] = {"on_step": lambda *_: None, "cancelled": lambda: False}
    for way in WAYS:
        if way.name == options.way:
            way.begin(painter._pipe, device)
    painter.paint(node(painter, 64, 1), **watch)
    before, begun = used(device), time.perf_counter()
    picture = painter.paint(node(painter, options.size, options.steps), **watch)
    seconds = time.perf_counter() - begun
    np.save(f"{options.folder}/{options.way}.npy", picture)
    print(json.dumps({"bytes": peak(device) - before, "seconds": seconds}))


def main() -> None:
    """Measure the plain way and every other that the device has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, help="pixels, both sides")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--model", default="landscapes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        measure(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options, folder)


def compare(options: argparse.Namespace, folder: str) -> None:
    """Have every way measured and print one line for each."""
    offload = options.device.startswith("cuda")
    names = [way.name for way in WAYS if offload or way.name not in ("offload", "layers")]
    found: dict[str, dict[str, float]] = {}
    for name in (PLAIN, *names):
        command = [sys.executable, "-m", "benchmarks.painting_memory", *sys.argv[1:]]
        command += ["--way", name, "--folder", folder]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found[name] = json.loads(said.splitlines()[-1])
        moved = np.load(f"{folder}/{name}.npy").astype(int)
        moved = abs(moved - np.load(f"{folder}/{PLAIN}.npy"))
        print(
            f"{name:12} {found[name]['bytes'] / 1e6:7.0f} MB"
            f"  x{found[name]['bytes'] / found[PLAIN]['bytes']:.2f}"
            f"  time x{found[name]['seconds'] / found[PLAIN]['seconds']:.2f}"
            f"  moved {moved.mean():.3f} on average, {moved.max()} at most",
            flush=True,
        )


if __name__ == "__main__":
    main()
