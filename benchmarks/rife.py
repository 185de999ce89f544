"""How fast is our IFNet against a plain one with the same weights?

``python -m benchmarks.rife`` fills one gap of two pictures with seven frames (x8), in turns:

* ``plain``: written as the public implementations are: both pictures encoded at every call,
  one position at a time, everything at full resolution, torch's defaults;
* ``cached``: the same, but each picture is encoded once;
* ``ours``: ``IFNet.draw`` and the tuned allocator; ``bf16`` the same with bfloat16
  convolutions.

All have our threads' waiting policy (``engine.render``): torch's own would let another process on
the machine spoil the plain one's figures.

Each runs in a process of its own, so that allocators and peak memory do not mix; the processes
take turns, and ratios are medians over rounds, so that a busy machine slows all of them alike.
Equal output is asserted before anything is timed. The weights are random: speed does not
depend on them.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.render.rife.allocator import keep_large_blocks
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS

POSITIONS = [index / 8 for index in range(1, 8)]
SIZES = {"512x512": (512, 512), "1024x576": (576, 1024)}  # rows, columns
SUBJECTS = ("plain", "cached", "ours", "bf16")
EQUAL = 2e-4  # the public networks' own distance to float64 reaches 1e-4
CLOSE = 4e-3  # mean; what the public network loses in bfloat16 with random weights
Work = Callable[[], Tensor]


def random_ifnet(version: str, seed: int = 4) -> IFNet:
    """A network with random weights that give motion of several pixels."""
    torch.manual_seed(seed)
    net = IFNet(VERSIONS[version], version)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "beta" in name:
                parameter.uniform_(0.2, 0.6)
            if ".conv0." in name or (".convblock." in name and not net.blocks[0].residual):
                parameter.mul_(1.7)
            if "lastconv" in name:
                parameter.mul_(2)
    return net.requires_grad_(False).eval()


def moved_pictures(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Two smooth pictures (1, 3, height, width), the second a moved first."""
    torch.manual_seed(7)
    grid = torch.rand(1, 3, height // 6 + 4, width // 6 + 4)
    large = F.interpolate(grid, (height + 9, width + 9), mode="bicubic").clamp(0, 1)
    return large[..., :height, :width].clone(), large[..., 5 : 5 + height, 3 : 3 + width].clone()


def plain(net: IFNet, first: Tensor, second: Tensor, cached: bool) -> Tensor:
    """Fill the gap as public implementations do."""
    height, width = first.shape[-2:]
    pictures = net.pad(first, 1.0), net.pad(second, 1.0)
    encoded: list[Tensor] = []
    frames = []
    for position in POSITIONS:
        if net.encode and not (cached and encoded):
            encoded = [net.encode(picture) for picture in pictures]
        warped, _, mask = net(pictures, encoded, position)
        share = torch.sigmoid(mask)
        frame = warped[:, :3] * share + warped[:, 3:] * (1 - share)
        frames.append(frame[..., :height, :width])
    return torch.cat(frames)


def work_of(subject: str, version: str, height: int, width: int) -> Work:
    """What one process does in each round."""
    net, images = random_ifnet(version), moved_pictures(height, width)
    if subject in ("plain", "cached"):
        return lambda: plain(net, *images, cached=subject == "cached")
    keep_large_blocks()
    net.precision = torch.bfloat16 if subject == "bf16" else torch.float32
    return lambda: net.interpolate(*images, POSITIONS)


def serve(channel: Connection, subject: str, version: str, size: tuple[int, int]) -> None:
    """Answer each round with wall and processor seconds; first with the frames."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with torch.inference_mode():
        work = work_of(subject, version, *size)
        forget_peak()
        base = memory("VmRSS")
        channel.send(work().numpy())
        while channel.recv():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            channel.send(
                (
                    time.perf_counter() - wall,
                    time.process_time() - processor,
                    memory("VmHWM") - base,
                )
            )


def forget_peak() -> None:
    """Let the kernel measure the peak of this process's memory anew (see proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(name: str) -> float:
    """VmRSS or VmHWM of this process, in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if name in line)
    return int(line.split()[1]) / 1024


def compare(version: str, size: tuple[int, int], rounds: int) -> None:
    """Run one version at one size and print its rows."""
    context = multiprocessing.get_context("spawn")
    channels: dict[str, Connection] = {}
    processes = []
    frames: dict[str, np.ndarray] = {}
    for subject in SUBJECTS:
        channels[subject], theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, subject, version, size))
        process.start()
        processes.append(process)
        frames[subject] = channels[subject].recv()
    check(frames)
    times: dict[str, list[tuple[float, float, float]]] = {subject: [] for subject in SUBJECTS}
    for _ in range(rounds):
        for subject, channel in channels.items():
            channel.send(True)
            times[subject].append(channel.recv())
    for channel, process in zip(channels.values(), processes, strict=True):
        channel.send(False)
        process.join()
    report(version, size, times)


def check(frames: dict[str, np.ndarray]) -> None:
    """Fail unless all subjects drew the same frames."""
    for subject in ("cached", "ours"):
        assert np.abs(frames[subject] - frames["plain"]).max() <= EQUAL, subject
    assert np.abs(frames["bf16"] - frames["plain"]).mean() <= CLOSE, "bf16"


def report(
    version: str, size: tuple[int, int], times: dict[str, list[tuple[float, float, float]]]
) -> None:
    """Print a row for each subject; ratios are medians over rounds."""
    base = np.array(times["plain"])
    for subject, found in times.items():
        rows = np.array(found)
        wall, processor = np.median(base[:, :2] / rows[:, :2], axis=0)
        ms = np.median(rows[:, :2], axis=0) / len(POSITIONS) * 1e3
        label = f"{version:6}{size[1]}x{size[0]:<6}{subject:8}"
        print(
            f"{label}{ms[0]:8.1f}{wall:7.2f}x{ms[1]:10.1f}{processor:7.2f}x{rows[-1, 2]:8.0f}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", nargs="+", default=["4.6", "4.25"])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    print("                        wall ms  ratio    cpu ms  ratio  peak MiB   (per frame)")
    for version in options.versions:
        for size in [SIZES[name] for name in options.sizes]:
            compare(version, size, options.rounds)


if __name__ == "__main__":
    main()
