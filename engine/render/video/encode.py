"""Frames become segments, segments become a film.

It knows MoviePy and ffmpeg; it knows nothing of diffusion, jobs or the store. Segments are H.264
without B-frames on a time base that counts 512 ticks a frame, so that joining them is copying.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

from engine.errors import AssemblyError
from engine.film.recipe import Format
from engine.render.video import gif
from engine.render.video.ffmpeg import (
    Encoder,
    Frame,
    Probe,
    address,
    film_input,
    joined_input,
    probe,
    run,
)
from engine.render.video.sound import NO_CHANGE, Mix, aac

TICKS_PER_FRAME = 512  # of the time base per frame; any number works that all segments share
# Where segments meet, the codec draws its noise anew, which can be seen to twitch. So colours get
# more bits than usual (eyes and L*a*b* see them twitch most), and the frames before the end, from
# which nothing follows, no fewer than others (mbtree, qcomp). Against "veryfast" at crf 16 and its
# defaults a join moved 0.83 instead of 1.20 (L*a*b*) in a still film and 1.60 instead of 2.15 in a
# morph, where 1.04 is motion, for 1.17 and 1.06 of the size. It takes twice the time, about 7 ms of
# CPU a frame at 256x256. Noise only halves again with twice the bytes.
PRESET, CRF = "slow", "19"
# Enlarged frames are smooth, and what the codec adds to them is small beside their details. Of
# 3840x2176, a frame takes 0.7 s of processor time instead of 3.4 s, and a third of the bytes.
QUICK_PRESET, QUICK_CRF, QUICK_THREADS = "veryfast", "23", 4
QUANTISERS = "mbtree=0:qcomp=0.8:aq-mode=3:aq-strength=0.5:psy=0:chroma-qp-offset=-8"

BT709 = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int"
TAGS = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


def encode_segment(
    path: Path,
    frames: Iterable[Frame],
    *,
    fps: int,
    width: int,
    height: int,
    quick: bool = False,
) -> int:
    """Encode frames as they come and return how many there were; never holds more than one.

    The same frames give the same bytes: a fixed number of threads, nothing of the encoder's version
    or the clock.

    Args:
        path: written to; removed again if anything fails.
        frames: uint8 RGB ``(height, width, 3)``.
        fps: frames per second, a whole number.
        width: pixels, even.
        height: pixels, even.
        quick: whether time counts more than the codec's noise, as it does where frames are large.

    Raises:
        AssemblyError: a frame has another shape, there is none, or the encoder failed.
        StorageError: the disk is full.
    """
    count = 0
    with (
        _removed_on_failure(path),
        _Encoder(path, fps=fps, width=width, height=height, quick=quick) as encoder,
    ):
        for frame in frames:
            encoder.write(frame)
            count += 1
        if not count:
            raise AssemblyError("a segment has no frames")
    return count


def join_film(
    path: Path,
    segments: Sequence[Path],
    *,
    recipe_json: str,
    format: Format,
    fps: int,
    frames: int | None = None,
    soundtrack: Path | None = None,
    mix: Mix = NO_CHANGE,
) -> Probe:
    """Join segments in order into a film that carries its recipe.

    An MP4 is joined without encoding anything again. A GIF is drawn small (see ``engine.render.
    gif``), since it has no compression to speak of.

    Args:
        path: written to; removed again if anything fails.
        segments: files made by ``encode_segment`` with the same size and ``fps``.
        recipe_json: JSON, or any text that does not end in a backslash, without U+0000.
        format: ``mp4`` or ``gif``.
        fps: of the segments.
        frames: how many the segments hold together; None counts them first, which takes longer.
        soundtrack: what is heard, as long as the film; a GIF has none.
        mix: how loud that is.

    Returns:
        What the film holds.

    Raises:
        AssemblyError: the encoder failed, or frames went missing.
        StorageError: the disk is full.
    """
    if "\0" in recipe_json:
        raise AssemblyError("the recipe holds the character U+0000, which metadata cannot")
    with _removed_on_failure(path), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = joined_input(segments, folder / "segments.txt")
        if format == "gif":
            gif.draw(source, path, fps=fps, scratch=folder)
            gif.add_comment(path, recipe_json)
            return probe(path)
        expected = frames or sum(probe(segment).frames for segment in segments)
        sound = aac(2, mix, expected / fps) if soundtrack else []
        _join_mp4(source, path, recipe_json, fps, folder, soundtrack, sound)
        film = probe(path)
        # ffmpeg says "success" where it could not read a segment.
        if film.frames != expected or film.seconds != Fraction(expected, fps):
            raise AssemblyError(f"{expected} frames at {fps} fps were to be joined, not {film}")
    return film


def read_recipe(path: Path) -> str | None:
    """Return the recipe that a film carries; None where there is none.

    Raises:
        AssemblyError: this is no film.
    """
    if gif.is_gif(path):
        return gif.read_comment(path)
    listing = run([*film_input(path), "-map_metadata", "0", "-f", "ffmetadata", "-"])
    return _metadata(listing.decode("utf-8", errors="replace")).get("comment")


class _Encoder(FFMPEG_VideoWriter):  # type: ignore[misc]
    """MoviePy's writer, with colours tagged, sizes checked and the encoder's failures raised.

    MoviePy's own ``close`` ignores ffmpeg's exit status, and loses its last messages.
    """

    proc: Any  # MoviePy's name for the running ffmpeg; None once it is closed

    def __init__(self, path: Path, *, fps: int, width: int, height: int, quick: bool) -> None:
        if width % 2 or height % 2:
            raise AssemblyError(f"{width}x{height} is not even; H.264 in yuv420p must be")
        self._shape = (height, width, 3)
        errors = tempfile.TemporaryFile()  # noqa: SIM115
        super().__init__(
            address(path),
            (width, height),
            fps,
            preset=QUICK_PRESET if quick else PRESET,
            logfile=errors,
            threads=QUICK_THREADS if quick else 1,
            ffmpeg_params=_encoding(fps, QUICK_CRF if quick else CRF),
        )
        self._encoder = Encoder(self.proc, errors)

    def write(self, frame: Frame) -> None:
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise AssemblyError(f"a frame is {frame.dtype} {frame.shape}, not uint8 {self._shape}")
        self._encoder.write(frame)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.proc = None
        if error is not None:
            self._encoder.abort()
        else:
            self._encoder.finish()


def _encoding(fps: int, crf: str) -> list[str]:
    """Return ffmpeg's options for a segment.

    One reference to the past only (``-bf 0``), so that time stamps are plain counts; the first
    frame is an IDR frame, so that every segment stands alone. MoviePy asks for ``yuva420p``
    afterwards, which x264 does not have; the filter has converted to ``yuv420p`` by then.
    """
    return [
        *("-loglevel", "error", "-an", "-f", "mp4"),
        *("-vf", f"{BT709},format=yuv420p,{TAGS}"),
        *("-color_range", "tv", "-colorspace", "bt709"),
        *("-color_primaries", "bt709", "-color_trc", "bt709"),
        *("-crf", crf, "-x264-params", QUANTISERS, "-bf", "0", "-g", str(max(1, fps * 2))),
        *("-fflags", "+bitexact", "-flags", "+bitexact+cgop", "-map_metadata", "-1"),
        *("-video_track_timescale", str(fps * TICKS_PER_FRAME), "-movflags", "+faststart"),
    ]


def _join_mp4(
    source: Sequence[str],
    path: Path,
    recipe_json: str,
    fps: int,
    folder: Path,
    soundtrack: Path | None,
    sound: list[str],
) -> None:
    """Copy all packets into one file and number their times anew; ``sound`` is encoded beside them.

    ffmpeg's concat demuxer adds durations up in whole microseconds, which drifts; ``setts`` puts
    frame ``n`` at exactly ``n / fps``.
    """
    notes = folder / "recipe.ffmeta"
    notes.write_bytes(f";FFMETADATA1\ncomment={_escaped(recipe_json)}\n".encode())
    run(
        [
            *source,
            *("-f", "ffmetadata", "-i", address(notes)),
            *(film_input(soundtrack) if soundtrack else ()),
            *("-map", "0:v:0", "-map_metadata", "1", "-c:v", "copy"),
            *sound,
            *("-bsf:v", f"setts=ts=N*{TICKS_PER_FRAME}:duration={TICKS_PER_FRAME}"),
            *("-video_track_timescale", str(fps * TICKS_PER_FRAME)),
            *("-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", address(path)),
        ]
    )


def _escaped(text: str) -> str:
    """Escape a value for ffmpeg's metadata files."""
    return re.sub(r"([=;#\\\r\n])", r"\\\1", text)


def _metadata(listing: str) -> dict[str, str]:
    """Parse ffmpeg's metadata file: ``key=value`` lines, with special characters escaped."""
    pairs = re.findall(r"^((?:[^\\=\n;]|\\.)+)=((?:[^\\\n]|\\.)*)$", listing, re.M | re.S)
    return {key: re.sub(r"\\(.)", r"\1", value, flags=re.S) for key, value in pairs}


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
