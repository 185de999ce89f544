"""Encodes a film's sound. It knows ffmpeg, and neither notes nor pictures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.render.video.ffmpeg import address, film_input, run

BITRATE = "192k"  # of AAC, at which music of two channels is hard to tell from its source


def encode_flac(path: Path, sound: NDArray[np.float32], rate: int, scratch: Path) -> None:
    """Encode samples, float32 ``(length, 2)`` within -1 and 1, with 16 bits and without loss.

    The same samples give the same bytes.

    Args:
        path: written to.
        sound: the samples.
        rate: samples a second.
        scratch: a file that is written and removed.

    Raises:
        AssemblyError: the encoder failed.
        StorageError: the disk is full.
    """
    sound.tofile(scratch)
    raw = ("-f", "f32le", "-ar", str(rate), "-ac", "2", *film_input(scratch))
    plain = ("-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1")
    run([*raw, "-c:a", "flac", "-sample_fmt", "s16", *plain, "-f", "flac", address(path)])
    scratch.unlink()


def aac(number: int) -> list[str]:
    """Return the arguments that add the sound of an input, by its number, to an MP4."""
    return ["-map", f"{number}:a:0", "-c:a", "aac", "-b:a", BITRATE, "-flags:a", "+bitexact"]
