"""Awkward films and pictures, made in moments by ffmpeg and Pillow, and what is measured of them.

Every input comes from here, so that the corpus builds itself; ``test_*`` beside it run each through
``interpolate`` and compare pixels, time stamps and sound.
"""

import argparse
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from engine.cli import interpolate

ROOT = Path(__file__).parents[2]
TAGS = re.compile(r"color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")


def ffmpeg(*arguments: object, stdin: bytes | None = None) -> bytes:
    """Run ffmpeg and return its standard output."""
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=stdin or b"", capture_output=True, check=True).stdout


def info(film: Path, filters: str = "null") -> str:
    """Return what ffmpeg reports about a film while it decodes all of it."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", "-i", f"file:{film}"]
    command += ["-vf", filters, "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def tags(film: Path) -> tuple[str, ...]:
    """Return range, matrix, primaries and transfer of a film's first frame."""
    found = TAGS.search(info(film, "showinfo=checksum=0"))
    assert found
    return found.groups()


def pixel_format(film: Path) -> str:
    found = re.search(r"\bfmt:(\S+)", info(film, "showinfo=checksum=0"))
    assert found
    return found[1]


def times(film: Path) -> list[tuple[Fraction, Fraction]]:
    """Return when each frame is shown, and for how long, in seconds."""
    arguments = ("-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "demux")
    text = ffmpeg("-i", f"file:{film}", *arguments, "-f", "framecrc", "-").decode()
    tick = Fraction(re.search(r"#tb 0: (\S+)", text)[1])  # type: ignore[index]
    rows = [line.split(",") for line in text.splitlines() if re.match(r"\s*0,", line)]
    return [(int(row[2]) * tick, int(row[3]) * tick) for row in rows]


def pixels(film: Path, kind: str, channels: int, size: tuple[int, int]) -> NDArray[np.generic]:
    """Decode a film without converting colours: (frames, height, width, channels).

    Args:
        film: to decode.
        kind: ffmpeg's pixel format, planar or packed at full size, in 8 or 16 bits.
        channels: of it.
        size: width and height.
    """
    raw = ffmpeg("-i", f"file:{film}", "-map", "0:v:0", "-fps_mode", "passthrough",
                 "-f", "rawvideo", "-pix_fmt", kind, "-")  # fmt: skip
    depth = np.dtype("<u2" if kind.endswith("le") else "u1")
    return np.frombuffer(raw, depth).reshape(-1, size[1], size[0], channels)


def planes(film: Path, kind: str, size: tuple[int, int]) -> NDArray[np.generic]:
    """Decode a film whose own format is ``kind`` to its bytes: (frames, values)."""
    raw = ffmpeg("-i", f"file:{film}", "-map", "0:v:0", "-fps_mode", "passthrough",
                 "-f", "rawvideo", "-pix_fmt", kind, "-")  # fmt: skip
    depth = np.dtype("<u2" if kind.endswith("le") else "u1")
    values = size[0] * size[1] * 3 // 2
    return np.frombuffer(raw, depth).reshape(-1, values)


def run(*arguments: object) -> int:
    """Run ``interpolate`` by optical flow, which needs no weights."""
    parser = argparse.ArgumentParser()
    interpolate.add_arguments(parser)
    options = parser.parse_args([*map(str, arguments), "--rife=dis", "--device=cpu"])
    return interpolate.run(options)


def bars(path: Path, size: tuple[int, int], *encoding: object, filters: str = "null") -> Path:
    """Write three frames of coloured bars that stand still."""
    source = f"smptebars=s={size[0]}x{size[1]}:r=10:d=0.3"
    ffmpeg("-f", "lavfi", "-i", source, "-vf", filters, *encoding, path)
    return path
