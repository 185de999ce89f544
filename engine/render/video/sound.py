"""Encodes a film's sound. It knows ffmpeg, and neither notes nor pictures."""

from pathlib import Path
from typing import NamedTuple

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


class Mix(NamedTuple):
    """How loud a film's sound is.

    Attributes:
        volume: of 0 is silence, 1 leaves it as it is.
        fade_in: seconds in which it rises from silence.
        fade_out: seconds in which it falls to silence before the film ends.
    """

    volume: float = 1.0
    fade_in: float = 0.0
    fade_out: float = 0.0

    def filters(self, seconds: float) -> list[str]:
        """Return ffmpeg's arguments for a film of ``seconds``; none if nothing changes."""
        rise, fall = min(self.fade_in, seconds), min(self.fade_out, seconds)
        filters = [f"volume={self.volume:g}"] * (self.volume != 1)
        filters += [f"afade=t=in:d={rise:g}:curve=qsin"] * bool(rise)
        filters += [f"afade=t=out:st={seconds - fall:g}:d={fall:g}:curve=qsin"] * bool(fall)
        return ["-af", ",".join(filters)] if filters else []


NO_CHANGE = Mix()


def aac(number: int, mix: Mix, seconds: float) -> list[str]:
    """Return the arguments that add the sound of an input, by its number, to an MP4."""
    encoder = ["-c:a", "aac", "-b:a", BITRATE, "-flags:a", "+bitexact"]
    return ["-map", f"{number}:a:0", *mix.filters(seconds), *encoder]
