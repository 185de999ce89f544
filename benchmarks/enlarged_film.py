"""Enlarging every frame of a film, as is usual, against moving its enlarged keyframes.

``OMP_NUM_THREADS=1 python -m benchmarks.enlarged_film`` prints one table. The films of the front
page, which the offline model painted, and real videos, reduced, stand for painted films: each
eighth frame is a keyframe, and the others are drawn between them by the network that films get.
Every way draws, enlarges and encodes the same frames with the same settings. Times are seconds of
one core for a frame, the encoder's included, which other processes disturb little; flicker is the
judge's; PSNR, in dB, is against the real frames.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

import engine.render  # noqa: F401  # sets how torch's threads wait
from benchmarks.enlarging import even, psnr
from benchmarks.interpolation.videos import fetch_videos, read_frames
from engine.models import interpolators, upscalers
from engine.render.image import Picture
from engine.render.rife.interpolator import Interpolator, open_interpolator
from engine.render.upscale import Upscaler, open_upscaler
from engine.render.video import encode, smoothness

FACTOR, EVERY, FPS = 4, 8, 24
SHOWN = Path(__file__).parents[1] / "static" / "showcase"
PAINTED = ("northern-lights", "last-light")
Frames = Iterator[Picture]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upscaler", choices=upscalers.KNOWN, default=upscalers.DEFAULT)
    parser.add_argument("--frames", type=int, default=41, help="(%(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    interpolator, _ = open_interpolator(interpolators.AUTO, "cpu", lambda *_: None)
    upscaler = open_upscaler(options.upscaler, FACTOR, "cpu", lambda *_: None)
    print(f"{interpolator.identity}, {upscaler.identity}, {upscaler.dtype}\n")
    print("| film | size | way | s a frame | ratio | flicker | PSNR |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in PAINTED:
        for side in (256, 512):
            small = read_frames(SHOWN / f"{name}.mp4", side, options.frames)
            small = [cv2.resize(frame, (side, side), interpolation=3) for frame in small]
            measure(name, small, [], interpolator, upscaler)
    for name, path in fetch_videos().items():
        real = [even(frame) for frame in read_frames(path, 1280, options.frames)]
        size = real[0].shape[1] // FACTOR, real[0].shape[0] // FACTOR
        small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in real]
        measure(name, small, real, interpolator, upscaler)


def measure(
    name: str,
    small: Sequence[Picture],
    real: Sequence[Picture],
    interpolator: Interpolator,
    upscaler: Upscaler,
) -> None:
    """Print the rows of one film."""
    keyframes = small[::EVERY]
    positions = [step / EVERY for step in range(1, EVERY)]

    def every() -> Frames:
        for pair in pairwise(keyframes):
            for frame in (pair[0], *interpolator.between(*pair, positions)):
                yield upscaler.enlarge(frame)
        yield upscaler.enlarge(keyframes[-1])

    def moved() -> Frames:
        large = map(upscaler.enlarge, keyframes)
        shown = next(large)
        for pair, following in zip(pairwise(keyframes), large, strict=True):
            yield shown
            yield from interpolator.between(*pair, positions, (shown, following))
            shown = following
        yield shown

    height, width = (side * FACTOR for side in small[0].shape[:2])
    usual = 0.0
    for way, draw in (("every frame", every), ("moved", moved)):
        seconds, flicker, frames = encoded(draw, width, height)
        usual = usual or seconds
        last = (len(keyframes) - 1) * EVERY + 1
        alike = [psnr(*pair) for pair in zip(frames, real[:last], strict=True)] if real else []
        true = f"{np.mean(alike):.2f}" if alike else ""
        row = (f"{width}×{height}", way, f"{seconds:.3f}", f"{usual / seconds:.1f}")
        print("| " + " | ".join((name, *row, f"{flicker:.2%}", true)) + " |", flush=True)


def encoded(
    draw: Callable[[], Frames], width: int, height: int
) -> tuple[float, float, list[Picture]]:
    """Encode a film; return processor seconds of a frame, its flicker, and its frames."""
    kept: list[Picture] = []

    def frames() -> Frames:
        for frame in draw():
            kept.append(frame)
            yield frame

    with tempfile.TemporaryDirectory() as folder:
        film, before = Path(folder) / "film.mp4", sum(os.times()[:4])
        size = {"width": width, "height": height}
        encode.encode_segment(film, frames(), fps=FPS, quick=True, **size)
        seconds = (sum(os.times()[:4]) - before) / len(kept)
        return seconds, smoothness.measure(film).flicker, kept


if __name__ == "__main__":
    main()
