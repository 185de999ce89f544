"""Runs ffmpeg for the engine: which program, what it may open, how it reports a failure.

Every input and output is a local file: a name that looks like an option or an address is still a
name, and no playlist opens an address. It knows no film of ours; ``encode``, ``gif`` and
``footage`` say what to do. The app, which has no MoviePy, has a module of its own for this.
"""

import contextlib
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from moviepy.config import FFMPEG_BINARY
from numpy.typing import NDArray

from engine.errors import AssemblyError, StorageError

log = logging.getLogger(__name__)

Frame = NDArray[np.uint8]  # RGB (height, width, 3)
PROGRAM: str = FFMPEG_BINARY  # also what MoviePy's writer starts
PROGRAM_OPTIONS = ("-v", "error", "-nostdin", "-y")
LOCAL_FILES = ("-protocol_whitelist", "file")
REPORTING = ("-v", "info", "-hide_banner", "-nostats")
VIDEO = ("-map", "0:V:0")  # of any film; a cover picture is none
RAW_FRAMES = ("-f", "rawvideo", "-pix_fmt", "rgb24")
DEEP_FRAMES = ("-f", "rawvideo", "-pix_fmt", "rgb48le")


def version() -> str:
    """Return the program's version.

    Raises:
        AssemblyError: it cannot be started.
    """
    return run(["-version"]).decode(errors="replace").split()[2]


def address(file: Path) -> str:
    """Return a file's name as ffmpeg cannot mistake it for an option or an address."""
    return f"file:{file.absolute()}"


def film_input(film: Path) -> list[str]:
    """Return the arguments that open a film of any kind."""
    return [*LOCAL_FILES, "-i", address(film)]


def joined_input(films: Sequence[Path], listing: Path) -> list[str]:
    """Return the arguments that open MP4 films one after another.

    Args:
        films: in order.
        listing: where to write the list that ffmpeg reads.
    """
    lines = ("file '" + address(film).replace("'", r"'\''") + "'\n" for film in films)
    listing.write_bytes(os.fsencode("".join(lines)))  # names need not be UTF-8
    only = ("-format_whitelist", "concat,mov")
    return [*LOCAL_FILES, *only, "-f", "concat", "-safe", "0", "-i", address(listing)]


def run(arguments: Sequence[str]) -> bytes:
    """Run ffmpeg to its end and return what it wrote to its standard output.

    Raises:
        AssemblyError: it failed.
        StorageError: it failed because the disk is full.
    """
    with _start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output, errors = process.communicate()
    if process.returncode:
        raise failure(errors)
    return bytes(output)


def failure(errors: bytes) -> AssemblyError | StorageError:
    """Return the error to raise for what ffmpeg wrote before it failed."""
    message = errors.decode("utf-8", errors="replace").strip()
    if "No space left" in message:
        return StorageError("the disk filled up while a film was written")
    last = (message.splitlines() or ["it gave no reason"])[-1][:300]
    return AssemblyError(f"ffmpeg failed: {last}")


def report(film: Path, filters: str, *options: str) -> str:
    """Decode a film and return what ffmpeg, and filters that report something, write about it.

    Args:
        film: any film, also a damaged one.
        filters: for ffmpeg's ``-vf``.
        options: of the output, such as how many frames it takes.

    Raises:
        AssemblyError: ffmpeg cannot be started.
    """
    arguments = [*REPORTING, *film_input(film), *VIDEO, *options, "-vf", filters, "-f", "null", "-"]
    with _start(arguments, stderr=subprocess.PIPE) as process:
        _, errors = process.communicate()
    return bytes(errors).decode("utf-8", errors="replace")


class Packets(NamedTuple):
    """The packets of a film's video stream.

    Attributes:
        width: pixels.
        height: pixels.
        pixel_shape: width of a pixel over its height; "0/1" where the file does not say.
        tick: seconds of one unit of the times.
        times: when each packet is shown, in ticks.
        durations: of each, in ticks.
        remarks: what ffmpeg reported while it decoded; empty where it did not decode.
    """

    width: int
    height: int
    pixel_shape: str
    tick: Fraction
    times: list[int]
    durations: list[int]
    remarks: str


DECODED = ("-fps_mode", "passthrough", "-enc_time_base", "demux")  # times as the file has them


def read_packets(film: Path, *, decode: bool = False) -> Packets:
    """Read the times of all packets of a film, or with ``decode`` those of its decoded frames.

    Raises:
        AssemblyError: this is no film, or it holds no frames.
    """
    arguments = [*(REPORTING if decode else ()), *film_input(film), *VIDEO]
    arguments += DECODED if decode else ("-c", "copy")
    with _start(
        [*arguments, "-f", "framecrc", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        output, errors = process.communicate()
    text = output.decode("utf-8", errors="replace")
    facts = dict(re.findall(r"^#(\w+) 0: (.*)$", text, re.MULTILINE))
    rows = [line.split(",") for line in text.splitlines() if re.match(r"\s*0,", line)]
    if b"matches no streams" in errors:
        raise AssemblyError(f"{film.name} holds no video")
    # What of a damaged film can be decoded is a film; a copy must be whole.
    if process.returncode and not (decode and rows):
        raise failure(errors)
    if not rows or "dimensions" not in facts:
        raise AssemblyError(f"{film.name} holds no frames")
    width, height = map(int, facts["dimensions"].split("x"))
    times, durations = ([int(row[column]) for row in rows] for column in (2, 3))
    tick, pixel_shape = Fraction(facts["tb"]), facts.get("sar", "0/1")
    remarks = errors.decode("utf-8", errors="replace")
    return Packets(width, height, pixel_shape, tick, times, durations, remarks)


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
    packets = read_packets(path)
    seconds = sum(packets.durations) * packets.tick
    return Probe(len(packets.durations), seconds, packets.width, packets.height)


def read_frames(path: Path, size: tuple[int, int] | None = None) -> Iterator[Frame]:
    """Decode a film and yield its frames in order, uint8 RGB ``(height, width, 3)``.

    ``size``, width first, makes them smaller; without it they are as they are.
    """
    width, height = size or probe(path)[2:]
    return decode(path, width, height, f"scale={width}:{height}:flags=area" if size else "")


def decode(
    film: Path,
    width: int,
    height: int,
    filters: str = "",
    *,
    deep: bool = False,
    alpha: bool = False,
    decoder: Sequence[str] = (),
) -> Iterator[Frame]:
    """Decode a film and yield its frames in order, uint8 RGB ``(height, width, 3)``.

    Of a damaged film those that can be decoded. Closing this ends ffmpeg.

    Args:
        film: any film.
        width: of the frames once they are filtered.
        height: likewise.
        filters: for ffmpeg's ``-vf``.
        deep: whether frames are uint16 instead.
        alpha: whether frames are RGBA instead.
        decoder: ffmpeg's options for another decoder than its own choice.
    """
    arguments = [*decoder, *film_input(film), *VIDEO, "-fps_mode", "passthrough"]
    arguments += ["-vf", filters] if filters else []
    pixels = ("rgba64le" if deep else "rgba") if alpha else ("rgb48le" if deep else "rgb24")
    arguments += ["-f", "rawvideo", "-pix_fmt", pixels, "-"]
    depth: np.dtype[Any] = np.dtype("<u2" if deep else np.uint8)
    channels = 4 if alpha else 3
    length = width * height * channels * depth.itemsize
    with (
        tempfile.TemporaryFile() as errors,
        _start(arguments, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        try:
            while len(data := process.stdout.read(length)) == length:
                yield np.frombuffer(data, depth).reshape(height, width, channels)
            if process.wait():
                errors.seek(0)
                log.warning("%s: %s", film.name, failure(errors.read()).problem)
        finally:
            process.kill()


class Encoder:
    """An ffmpeg that encodes the frames written to it.

    Args:
        process: reads raw frames from its standard input.
        errors: the file that it writes its errors to; closed with the encoder.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
        self._process, self._errors = process, errors

    @classmethod
    def start(
        cls, size: tuple[int, int], rate: Fraction, output: Sequence[str], *, deep: bool = False
    ) -> "Encoder":
        """Start an encoder.

        Args:
            size: width and height of the frames.
            rate: frames per second.
            output: the arguments that say how to encode, and into which file.
            deep: whether frames are uint16, not uint8.

        Raises:
            AssemblyError: ffmpeg cannot be started.
        """
        errors = tempfile.TemporaryFile()  # noqa: SIM115
        raw = DEEP_FRAMES if deep else RAW_FRAMES
        source = [*raw, "-s", f"{size[0]}x{size[1]}", "-r", str(rate), "-i", "-"]
        try:
            process = _start([*source, *output], stdin=subprocess.PIPE, stderr=errors)
        except AssemblyError:
            errors.close()
            raise
        return cls(process, errors)

    def write(self, frame: Frame) -> None:
        """Append a frame.

        Raises:
            AssemblyError: the encoder failed.
            StorageError: the disk is full.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            self._process.wait()
            raise self._failure() from error

    def finish(self) -> None:
        """Wait until everything is encoded and written.

        Raises:
            AssemblyError: the encoder failed.
            StorageError: the disk is full.
        """
        with self._errors:
            self._close_input()
            if self._process.wait():
                raise self._failure()

    def abort(self) -> None:
        """End ffmpeg; what it has written is of no use."""
        with self._errors:
            self._process.kill()
            self._close_input()
            self._process.wait()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _failure(self) -> AssemblyError | StorageError:
        self._errors.seek(0)
        return failure(self._errors.read())


def _start(arguments: Sequence[str], **pipes: Any) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen([PROGRAM, *PROGRAM_OPTIONS, *arguments], **pipes)
    except OSError as error:
        raise AssemblyError(f"ffmpeg cannot be started ({error.strerror})") from error
