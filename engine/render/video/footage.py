"""Films and folders of pictures as streams of frames, and films written in parts.

ffmpeg decodes, encodes and joins; nothing larger than one frame is held. Knows nothing about
networks or about which frames are wanted.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from engine.errors import AssemblyError, InvalidParameterError, StorageError
from engine.render.video.ffmpeg import (
    Encoder,
    Frame,
    address,
    decode,
    film_input,
    joined_input,
    read_packets,
    run,
)
from engine.render.video.signal import EXACT_SCALING, PICTURES, Signal, read_signal

# Beyond full HD, x264 takes longer than drawing: "veryfast" takes 0.30 instead of 0.77 s of a core
# for a frame of 3840x2160, at the same size of the file and 48.8 instead of 50.0 dB.
LARGE_PIXELS, LARGE_PRESET, PRESET = 1920 * 1088, "veryfast", "medium"
RESUME_HINT = "a second start resumes where this one stopped"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Source:
    """An input whose frames can be read once or again.

    Attributes:
        times: when each frame is shown, in seconds, rising.
        pictures: the files of a folder, in order; empty for a film.
        pixel_shape: width of a pixel over its height, as ffmpeg writes it; 1/1 is square.
        signal: what its pixels mean.
    """

    path: Path
    width: int
    height: int
    times: list[Fraction]
    pictures: list[Path]
    pixel_shape: str = "1/1"
    signal: Signal = PICTURES

    def frames(self) -> Iterator[Frame]:
        """Decode the frames in order, one at a time."""
        if self.pictures:
            return (read_picture(path, (self.width, self.height)) for path in self.pictures)
        size = f"{self.width}:{self.height}"  # streams may change it
        exact = f"scale={size}:{EXACT_SCALING}{self.signal.reading()}"
        return decode(self.path, self.width, self.height, exact)


def open_source(path: Path, picture_rate: Fraction) -> Source:
    """Open a film, or a folder of pictures that are ``1 / picture_rate`` seconds apart.

    Raises:
        InvalidParameterError: it does not exist or holds nothing that can be read.
    """
    if path.is_dir():
        return _open_folder(path, picture_rate)
    if not path.is_file():
        raise InvalidParameterError("input", f"there is no file {path.name}", "check the path")
    return _open_film(path)


def _open_folder(path: Path, rate: Fraction) -> Source:
    try:
        found = [item for item in path.iterdir() if item.suffix.lower() in PICTURE_SUFFIXES]
    except OSError as error:
        raise _unreadable(path, error) from error
    pictures = sorted(found, key=_natural)
    if not pictures:
        kinds = ", ".join(PICTURE_SUFFIXES)
        raise InvalidParameterError("input", f"{path.name} holds no pictures", f"it reads {kinds}")
    height, width = read_picture(pictures[0]).shape[:2]
    times = [index / rate for index in range(len(pictures))]
    return Source(path, width, height, times, pictures)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort frame9 before frame10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def read_picture(path: Path, size: tuple[int, int] | None = None) -> Frame:
    """Read a picture as RGB; grey becomes RGB, transparency is dropped.

    Raises:
        InvalidParameterError: it is no picture, or not of the size (width, height).
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:  # cv2's: it claims more pixels than cv2 would decode
        raise _unreadable(path, error) from error
    if found is None:
        problem = f"{path.name} cannot be read as a picture"
        raise InvalidParameterError("input", problem, "remove it")
    height, width = found.shape[:2]
    if size and size != (width, height):
        problem = f"{path.name} is {width}x{height}, the pictures before are {size[0]}x{size[1]}"
        raise InvalidParameterError("input", problem, "scale all pictures to one size")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def _unreadable(path: Path, error: Exception) -> InvalidParameterError:
    words = error.strerror if isinstance(error, OSError) else str(error).strip().splitlines()[-1]
    return InvalidParameterError("input", f"{path.name} cannot be read ({words})", "remove it")


def _open_film(path: Path) -> Source:
    """Decode once without keeping pixels, to learn when each frame is shown."""
    try:
        film, signal = read_packets(path, decode=True), read_signal(path)
    except AssemblyError as error:
        problem = f"{path.name} cannot be read as a film ({error.problem})"
        remedy = "pass a film, or a folder of pictures"
        raise InvalidParameterError("input", problem, remedy) from error
    times = [time * film.tick for time in film.times]
    rising = [times[0]]
    for time in times[1:]:  # broken files repeat a time; a frame must last some time
        rising.append(time if time > rising[-1] else rising[-1] + film.tick)
    shape = "1/1" if film.pixel_shape.startswith("0") else film.pixel_shape
    return Source(path, film.width, film.height, rising, [], shape, signal)


class PartWriter:
    """Encodes one part of a film; the file appears under its name only when it is complete.

    Players want even sides; the last row or column of an odd one is repeated.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        crf: int,
        pixel_shape: str = "1/1",
        signal: Signal = PICTURES,
    ) -> None:
        self.path, self.partial = path, path.with_suffix(".partial.mp4")
        width, height = (side + side % 2 for side in size)
        self.odd = (size[1] % 2, size[0] % 2)
        preset = LARGE_PRESET if width * height > LARGE_PIXELS else PRESET
        output = [*_encoding(crf, pixel_shape, preset, signal.written()), address(self.partial)]
        self.encoder = Encoder.start((width, height), rate, output)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Append a frame.

        Raises:
            AssemblyError: the encoder failed.
            StorageError: the disk is full.
        """
        if any(self.odd):
            frame = np.pad(frame, ((0, self.odd[0]), (0, self.odd[1]), (0, 0)), "edge")
        with _resumable():
            self.encoder.write(frame)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _removed_on_failure(self.partial), _resumable():
            if error is None:
                self.encoder.finish()
                self.partial.replace(self.path)
            else:
                self.encoder.abort()
                self.partial.unlink(missing_ok=True)


def _encoding(crf: int, pixel_shape: str, preset: str, signal: Signal) -> list[str]:
    """H.264 that plays everywhere: 4:2:0, tagged with what its colours mean."""
    colours = f"scale={signal.writing()}:{EXACT_SCALING},format=yuv420p"
    filters = ["-vf", f"{colours},{signal.tags()},setsar={pixel_shape}"]
    return [*filters, "-c:v", "libx264", "-crf", str(crf), "-preset", preset]


def join(parts: list[Path], source: Source, output: Path) -> None:
    """Join the parts without encoding again, with the sound of the source.

    Sound that the output's container cannot hold as it is becomes AAC.

    Raises:
        AssemblyError: ffmpeg failed.
        StorageError: the disk is full.
    """
    films = joined_input(parts, parts[0].parent / "parts.txt")
    # A name ending in .partial.mp4 tells ffmpeg the container and nobody a finished film.
    partial = output.with_name(f"{output.stem}.partial{output.suffix}")
    sound = [*film_input(source.path), "-map", "0:v", "-map", "1:a?", "-map_metadata", "1"]
    if source.pictures:
        sound = []
    command = ["-itsoffset", str(float(source.times[0])), *films, *sound]
    with _removed_on_failure(partial), _resumable():
        try:
            _join(command, "copy", partial)
        except AssemblyError:
            _join(command, "aac", partial)
        partial.replace(output)


def _join(command: list[str], audio_codec: str, output: Path) -> None:
    codecs = ("-c:v", "copy", "-c:a", audio_codec)
    run([*command, *codecs, "-movflags", "+faststart", address(output)])


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Add to ffmpeg's failures that nothing finished is lost."""
    try:
        yield
    except StorageError as error:
        raise StorageError(error.problem, remedy=f"free some space; {RESUME_HINT}") from error
    except AssemblyError as error:
        remedy = f"look at the input and the disk; {RESUME_HINT}"
        raise AssemblyError(error.problem, remedy=remedy) from error
