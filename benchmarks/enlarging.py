"""Enlarging every frame against moving what is enlarged, on real videos, reduced to a quarter.

``OMP_NUM_THREADS=1 python -m benchmarks.enlarging`` prints one table. Times are seconds of one core
for a frame, which other processes disturb little; PSNR is in dB. Flicker is the judge's
(``engine.render.video.smoothness``).
"""

import argparse
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from benchmarks.interpolation.videos import fetch_videos, read_frames
from engine.models import upscalers
from engine.render.device import choose_device
from engine.render.image import Picture
from engine.render.upscale import Upscaler
from engine.render.upscale.moving import enlarge_frames
from engine.render.upscale.network import load_network
from engine.render.upscale.sources import fetch_upscaler
from engine.render.upscale.upscaler import precision_for
from engine.render.video.smoothness import score, small

FRAMES, FACTOR, LONGER_SIDE = 33, 4, 1280
RATE = 25.0  # frames per second of the videos, near enough


class Counting(Upscaler):
    """Counts the keyframes."""

    count = 0

    def enlarge(self, picture: Picture, check: Callable[[], object] | None = None) -> Picture:
        """Enlarge a picture as its base does."""
        self.count += 1
        return super().enlarge(picture, check)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upscaler", choices=upscalers.KNOWN, default=upscalers.DEFAULT)
    parser.add_argument("--float32", action="store_true", help="whatever the machine has")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    network = load_network(fetch_upscaler(options.upscaler, lambda done, total: None))
    device = torch.device(choose_device().name)
    dtype = torch.float32 if options.float32 else precision_for(network, device)
    upscaler = Counting(network, options.upscaler, FACTOR, device, dtype)
    upscaler.quick = False
    print(f"{upscaler.identity}, {upscaler.dtype}, {upscaler.device}, {FRAMES} frames\n")
    print("| video | way | by the network | s a frame | as every frame | real | flicker |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, path in fetch_videos().items():
        real = [even(frame) for frame in read_frames(path, LONGER_SIDE, FRAMES)]
        measure(name, real, upscaler)


def even(frame: Picture) -> Picture:
    """Cut a frame to sides that the factor divides."""
    height, width = (side // FACTOR * FACTOR for side in frame.shape[:2])
    return frame[:height, :width]


def measure(name: str, real: Sequence[Picture], upscaler: Counting) -> None:
    """Print the rows of one video."""
    height, width = real[0].shape[:2]
    size = (width // FACTOR, height // FACTOR)
    source = [np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA)) for f in real]
    every: list[Picture] = []
    for way, draw in (
        ("every frame", lambda: [upscaler.enlarge(frame) for frame in source]),
        ("moved", lambda: list(enlarge_frames(source, upscaler))),
        ("cubic", lambda: [cv2.resize(f, (width, height), interpolation=3) for f in source]),
    ):
        upscaler.count = 0
        start = time.process_time()
        found = [np.asarray(frame, np.uint8) for frame in draw()]
        seconds = (time.process_time() - start) / len(source)
        drawn, every = upscaler.count, every or found
        alike = [psnr(*pair) for pair in zip(found, every, strict=True)]
        moved = [value for value in alike if value < 90]
        apart = f"{np.mean(moved):.2f}" if moved else "same"
        true = np.mean([psnr(*pair) for pair in zip(found, real, strict=True)])
        row = (f"{drawn} of {len(source)}", f"{seconds:.3f}", apart, f"{true:.2f}", flicker(found))
        print("| " + " | ".join((f"{name}, {size[0]}×{size[1]}", way, *row)) + " |", flush=True)


def psnr(first: Picture, second: Picture) -> float:
    """Return the likeness of two pictures; 100 for the same."""
    error = np.square(first.astype(np.float32) - second).mean()
    return min(100.0, float(10 * np.log10(255**2 / max(float(error), 1e-9))))


def flicker(frames: Sequence[Picture]) -> str:
    """Return the judge's flicker of some frames, in per cent."""
    height, width = frames[0].shape[:2]
    size = small(width, height)
    judged = (np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA)) for f in frames)
    return f"{score(judged, RATE).flicker:.2%}"


if __name__ == "__main__":
    main()
