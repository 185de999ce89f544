"""Does memory stay flat however long a film is? One short and one long run of the real tool.

    python -m benchmarks.interpolation.memory [--frames 100 10000] [--hold 1]

Each run is ``python -m engine interpolate`` in a process of its own: real decoding, the network
that the tool chooses, real encoding and joining. Prints the peak of resident memory of each, as
the kernel counted it (of the largest process: the encoders are children of the tool and far
smaller), and the ratio to the shortest run; asserts that each film has its frames.

The footage is one moving scene, there and back again. Every gap has to be interpolated, unless
``--hold 8`` shows each of its frames eight times, as drawn animation does: seven gaps of eight are
then copies, which takes a fraction of the time and encodes as many frames. The first run is never
held: it would hardly reach the network. Whatever other arguments there are go to the tool.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, cycle, islice
from pathlib import Path

from benchmarks.interpolation.moving import Scene
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import PartWriter, open_source

RATE = Fraction(24)
STEPS = 16  # distinct frames of the scene


def footage(size: int, count: int, hold: int) -> Iterator[Frame]:
    """Yield ``count`` frames of one scene that moves to and fro, each shown ``hold`` times."""
    scene = Scene(4, size, 24.0)
    there = [scene.at(index / STEPS) for index in range(STEPS + 1)]
    moving = cycle(chain(there, there[-2:0:-1]))
    return islice((frame for frame in moving for _ in range(hold)), count)


def make_source(path: Path, size: int, frames: int, factor: int, hold: int) -> None:
    """Write a film that gives at least ``frames`` frames once interpolated."""
    with PartWriter(path, (size, size), RATE, 18) as writer:
        for frame in footage(size, math.ceil(frames / factor), hold):
            writer.write(frame)


def peak(source: Path, output: Path, factor: int, *more: str) -> float:
    """Run the tool and return its peak of resident memory in MiB."""
    command = [sys.executable, "-m", "engine", "interpolate", str(source), "-o", str(output)]
    process = subprocess.Popen([*command, "--factor", str(factor), *more])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"the tool ended with {process.returncode}"
    return usage.ru_maxrss / 1024  # KiB on Linux


def main() -> None:
    """Measure and print one line for each length."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--size", type=int, default=512, help="pixels, both sides")
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--hold", type=int, default=1, help="times each frame is shown")
    options, more = parser.parse_known_args()  # the rest is for the tool
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        for frames in options.frames:
            hold = options.hold if peaks else 1
            make_source(source, options.size, frames, options.factor, hold)
            peaks.append(peak(source, output, options.factor, "--overwrite", *more))
            made = sum(1 for _ in open_source(output, RATE).times)
            assert made >= frames, f"{made} frames, not {frames}"
            ratio = peaks[-1] / peaks[0]
            print(f"{made:7} frames  peak {peaks[-1]:7.1f} MiB  x{ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
