"""ffmpeg, run to its end: its errors made ours, and what it says of a file.

It knows no film of ours; ``engine.render.video.encode`` and ``engine.render.video.gif`` say what to
do.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from moviepy.config import FFMPEG_BINARY
from numpy.typing import NDArray

from engine.errors import AssemblyError, StorageError

Frame = NDArray[np.uint8]  # RGB (height, width, 3)


class Probe(NamedTuple):
    """What a film file holds, counted packet by packet."""

    frames: int
    seconds: Fraction
    width: int
    height: int

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        return self.frames / self.seconds


def probe(path: Path) -> Probe:
    """Count a film's frames and time without decoding it.

    Raises:
        AssemblyError: this is no film.
    """
    command = ["-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]
    lines = run(command).decode().splitlines()
    facts = dict(re.findall(r"^#(\w+) 0: (.*)$", "\n".join(lines), re.MULTILINE))
    packets = [line.split(",") for line in lines if line and not line.startswith("#")]
    if not packets:
        raise AssemblyError(f"{path.name} holds no frames")
    width, height = map(int, facts["dimensions"].split("x"))
    ticks = sum(int(packet[3]) for packet in packets)
    return Probe(len(packets), ticks * Fraction(facts["tb"]), width, height)


def read_frames(path: Path, size: tuple[int, int] | None = None) -> Iterator[Frame]:
    """Decode a film and yield its frames in order, uint8 RGB ``(height, width, 3)``.

    ``size``, width first, makes them smaller; without it they are as they are.
    """
    width, height = size or probe(path)[2:]
    command = [FFMPEG_BINARY, "-v", "error", "-nostdin", "-i", str(path), "-map", "0:v:0"]
    command += ["-vf", f"scale={width}:{height}:flags=area"] if size else []
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    length = width * height * 3
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while len(data := process.stdout.read(length)) == length:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def run(arguments: Sequence[str]) -> bytes:
    """Run ffmpeg to its end and return what it wrote to its standard output.

    Raises:
        AssemblyError: it failed.
        StorageError: it failed because the disk is full.
    """
    command = [FFMPEG_BINARY, "-v", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise failure(done.stderr.decode("utf-8", errors="replace"))
    return done.stdout


def failure(said: str) -> AssemblyError | StorageError:
    """Turn ffmpeg's last words into an error."""
    if "No space left on device" in said:
        return StorageError("the disk filled up while a film was written")
    last = (said.strip().splitlines() or ["it said nothing"])[-1][:300]
    return AssemblyError(f"ffmpeg failed: {last}")
