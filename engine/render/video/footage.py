"""Films and folders of pictures as streams of frames, and films written in parts.

ffmpeg decodes, encodes and joins; nothing larger than one frame is held. Knows nothing about
networks or about which frames are wanted.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
from engine.render.video.riders import Stream, carry, read_streams
from engine.render.video.signal import (
    EXACT_SCALING,
    PICTURES,
    TONE_MAP,
    Signal,
    read_signal,
    tone_mapped,
)

# Beyond full HD, x264 takes longer than drawing: "veryfast" takes 0.30 instead of 0.77 s of a core
# for a frame of 3840x2160, at the same size of the file and 48.8 instead of 50.0 dB.
LARGE_PIXELS, LARGE_PRESET, PRESET = 1920 * 1088, "veryfast", "medium"
PICTURE_OUTPUTS = ("", ".gif")  # suffixes: a folder of PNG files has none
LOSSLESS = ("-c:v", "png")
VP9 = ("-c:v", "libvpx-vp9", "-b:v", "0", "-cpu-used", "4", "-row-mt", "1")
RESUME_HINT = "a second start resumes where this one stopped"
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of Exif: pictures that lie on their side
TRANSPARENT_SUFFIXES = (".png", ".webp", ".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


Deinterlace = Literal["auto", "always", "never"]
Colour = tuple[int, int, int]
VP_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # that read alpha
DEINTERLACED = "bwdif=mode=send_frame,"
CUT_OFF = ("partial file", "File ended prematurely", "Truncat")
MISSING_SHARE = 0.9  # of its time: a film without sound that holds less than this is cut off


@dataclass(frozen=True)
class Source:
    """An input whose frames can be read once or again.

    Attributes:
        times: when each frame is shown, in seconds, rising.
        pictures: the files of a folder, in order; empty for a film.
        pixel_shape: width of a pixel over its height, as ffmpeg writes it; 1/1 is square.
        signal: what its pixels mean.
        last: seconds for which the last frame is shown; None where the input does not say.
        filters: of ffmpeg, with commas behind, through which its frames pass first.
        background: red, green and blue of 255, on which transparent frames are laid.
        decoder: ffmpeg's options for another decoder than its own choice.
        notes: sentences about it that its owner should read.
        streams: what else it holds, beside pictures and sound.
    """

    path: Path
    width: int
    height: int
    times: list[Fraction]
    pictures: list[Path]
    pixel_shape: str = "1/1"
    signal: Signal = PICTURES
    last: Fraction | None = None
    filters: str = ""
    background: Colour = (0, 0, 0)
    decoder: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    streams: tuple[Stream, ...] = ()

    def tone_mapped(self) -> "Source":
        """Return it with HDR turned into BT.709."""
        return replace(self, filters=self.filters + TONE_MAP, signal=tone_mapped(self.signal))

    def frames(self) -> Iterator[Frame]:
        """Decode the frames in order, one at a time."""
        if self.pictures:
            size = self.width, self.height
            return (read_picture(path, size, self.background) for path in self.pictures)
        area = f"{self.width}:{self.height}"  # streams may change it
        exact = f"scale={area}:{EXACT_SCALING}{self.signal.reading()}"
        found = decode(
            self.path,
            self.width,
            self.height,
            self.filters + exact,
            deep=self.signal.deep,
            alpha=self.signal.alpha,
            decoder=self.decoder,
        )
        if not self.signal.alpha:
            return found
        return (laid_on(frame, self.background) for frame in found)

    def is_transparent(self) -> bool:
        """Whether any pixel of its first frame is."""
        if self.pictures:
            dark, light = (read_picture(self.pictures[0], None, (v, v, v)) for v in (0, 255))
            return not np.array_equal(dark, light)
        if not self.signal.alpha:
            return False
        dark, light = (next(replace(self, background=(v, v, v)).frames()) for v in (0, 255))
        return not np.array_equal(dark, light)


def laid_on(frame: NDArray[Any], background: Colour) -> Frame:
    """Return an RGBA frame, uint8 or uint16 (H, W, 4), as RGB over a colour."""
    most = np.iinfo(frame.dtype).max
    share = frame[..., 3:].astype(np.float32) / most
    colour = np.array(background, np.float32) * (most / 255)
    mixed = frame[..., :3] * share + colour * (1 - share)
    return np.asarray(np.rint(mixed), frame.dtype)


def open_source(path: Path, picture_rate: Fraction, deinterlace: Deinterlace = "auto") -> Source:
    """Open a film, a picture, or a folder of pictures that are ``1 / picture_rate`` seconds apart.

    Args:
        path: of it.
        picture_rate: pictures per second.
        deinterlace: films; ``auto`` those that are interlaced.

    Raises:
        InvalidParameterError: it does not exist or holds nothing that can be read.
    """
    if path.is_dir():
        return _open_pictures(path, _pictures(path), picture_rate)
    if not path.is_file():
        raise InvalidParameterError("input", f"there is no file {path.name}", "check the path")
    if path.suffix.lower() in PICTURE_SUFFIXES and cv2.imcount(str(path)) == 1:
        return _open_pictures(path, [path], picture_rate)
    return _open_film(path, deinterlace)


def _pictures(folder: Path) -> list[Path]:
    """Find a folder's pictures in their order; hidden files are none, such as macOS's ``._1.png``.

    Raises:
        InvalidParameterError: there are none.
    """
    try:
        found = [
            item
            for item in folder.iterdir()
            if item.suffix.lower() in PICTURE_SUFFIXES and not item.name.startswith(".")
        ]
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not found:
        kinds = ", ".join(PICTURE_SUFFIXES)
        problem = f"{folder.name} holds no pictures"
        raise InvalidParameterError("input", problem, f"it reads {kinds}")
    return sorted(found, key=_natural)


def _open_pictures(path: Path, pictures: list[Path], rate: Fraction) -> Source:
    """Look at the headers of all pictures before any is drawn."""
    width, height = _size(pictures[0])
    for picture in pictures[1:]:
        _check_size(picture, _size(picture), (width, height))
    times = [index / rate for index in range(len(pictures))]
    return Source(path, width, height, times, pictures, last=1 / rate)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort frame9 before frame10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _size(path: Path) -> tuple[int, int]:
    """Read width and height of a picture as it is shown, from its header.

    Raises:
        InvalidParameterError: it is no picture.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) in TURNED
    except Exception as error:  # Pillow raises what its formats' parsers do
        raise _unreadable(path, error) from error
    return (height, width) if turned else (width, height)


def _check_size(path: Path, found: tuple[int, int], size: tuple[int, int]) -> None:
    if size != found:
        problem = f"{path.name} is {found[0]}x{found[1]}, the pictures before are "
        problem += f"{size[0]}x{size[1]}"
        raise InvalidParameterError("input", problem, "scale all pictures to one size")


def read_picture(
    path: Path, size: tuple[int, int] | None = None, background: Colour = (0, 0, 0)
) -> Frame:
    """Read a picture as RGB; grey becomes RGB, what is transparent shows the background.

    Raises:
        InvalidParameterError: it is no picture, or not of the size (width, height).
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        found = _decoded(path, data, background) if data.size else None
    except (OSError, cv2.error) as error:  # cv2's: it claims more pixels than cv2 would decode
        raise _unreadable(path, error) from error
    if found is None:
        problem = f"{path.name} cannot be read as a picture"
        raise InvalidParameterError("input", problem, "remove it")
    height, width = found.shape[:2]
    if size:
        _check_size(path, (width, height), size)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def _decoded(path: Path, data: np.ndarray, background: Colour) -> np.ndarray | None:
    """Decode a picture to BGR; None where it is none."""
    if path.suffix.lower() in TRANSPARENT_SUFFIXES:
        found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if found is not None and found.ndim == 3 and found.shape[2] == 4:
            laid = laid_on(found, (background[2], background[1], background[0]))
            return laid if laid.dtype == np.uint8 else (laid >> 8).astype(np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def _unreadable(path: Path, error: Exception) -> InvalidParameterError:
    lines = str(error).strip().splitlines()
    words = error.strerror if isinstance(error, OSError) and error.strerror else lines[-1:]
    reason = words if isinstance(words, str) else "".join(words)[-200:]
    return InvalidParameterError("input", f"{path.name} cannot be read ({reason})", "remove it")


def _open_film(path: Path, deinterlace: Deinterlace) -> Source:
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
    # A single tick is what writers put who do not know.
    last = film.durations[-1] * film.tick if film.durations[-1] > 1 else None
    fields = deinterlace == "always" or (deinterlace == "auto" and signal.interlaced)
    notes = [_cut_off(path, film.remarks, rising[-1] + (last or 0) - rising[0])]
    if fields:
        notes.append(f"{path.name} is interlaced; each frame is drawn from one of its fields")
    elif signal.interlaced:
        notes.append(f"{path.name} is interlaced; its combs are kept")
    said = tuple(note for note in notes if note)
    streams = read_streams(film.remarks)
    filters = DEINTERLACED if fields else ""
    size = film.width, film.height
    hidden = re.search(r"alpha_mode\s*: 1", film.remarks, re.IGNORECASE)
    decoder = ("-c:v", VP_DECODERS["vp8" if "Video: vp8" in film.remarks else "vp9"])
    return Source(
        path,
        *size,
        rising,
        [],
        shape,
        replace(signal, alpha=True) if hidden else signal,
        last,
        filters,
        notes=said,
        streams=streams,
        decoder=decoder if hidden else (),
    )


def _cut_off(path: Path, remarks: str, held: Fraction) -> str:
    """Report a film that ends before the time that it announces."""
    found = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", remarks)
    hours, minutes, seconds = map(Fraction, found.groups()) if found else (Fraction(0),) * 3
    announced = 3600 * hours + 60 * minutes + seconds
    short = "Audio:" not in remarks and held < MISSING_SHARE * announced
    if not short and not any(words in remarks for words in CUT_OFF):
        return ""
    of = f" of the {float(announced):.3g} s that it announces" if announced > held else ""
    return f"{path.name} is cut off: {float(held):.3g} s{of} can be read"


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
        suffix: str = ".mp4",
    ) -> None:
        self.path, self.partial = path, path.with_suffix(".partial.mp4")
        pictures = suffix in PICTURE_OUTPUTS
        self.odd = (0, 0) if pictures else (size[1] % 2, size[0] % 2)
        width, height = size[0] + self.odd[1], size[1] + self.odd[0]
        preset = LARGE_PRESET if width * height > LARGE_PIXELS else PRESET
        output = _encoding(crf, pixel_shape, preset, signal.written())
        if pictures:
            output = [*LOSSLESS, "-pix_fmt", "rgb48be" if signal.deep else "rgb24", "-f", "mov"]
        elif suffix == ".webm":
            output = [*_filters(pixel_shape, signal.written()), *VP9, "-crf", str(crf)]
        output.append(address(self.partial))
        self.deep = signal.deep
        self.encoder = Encoder.start((width, height), rate, output, deep=self.deep)

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        """Append a frame.

        Raises:
            AssemblyError: the encoder failed.
            StorageError: the disk is full.
        """
        if self.deep and frame.dtype == np.uint8:
            frame = np.multiply(frame, 257, dtype=np.uint16)
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
    """H.264 that plays everywhere, or 10-bit HEVC."""
    codec = ["-c:v", "libx265", "-tag:v", "hvc1"] if signal.deep else ["-c:v", "libx264"]
    if signal.deep:
        hdr = f":hdr10=1:repeat-headers=1:{signal.mastering}" if signal.mastering else ""
        codec += ["-x265-params", f"log-level=error{hdr}"]
    return [*_filters(pixel_shape, signal), *codec, "-crf", str(crf), "-preset", preset]


def _filters(pixel_shape: str, signal: Signal) -> list[str]:
    """Convert RGB to 4:2:0, tagged with what its colours mean."""
    pixels = "yuv420p10le" if signal.deep else "yuv420p"
    colours = f"scale={signal.writing()}:{EXACT_SCALING},format={pixels}"
    return ["-vf", f"{colours},{signal.tags()},setsar={pixel_shape}"]


def write_pictures(parts: list[Path], output: Path) -> None:
    """Write the parts of a film as a GIF, or as PNG files in a new or empty folder.

    Raises:
        AssemblyError: ffmpeg failed.
        StorageError: the disk is full, or the folder cannot be made.
    """
    work = parts[0].parent
    films = joined_input(parts, work / "parts.txt")
    made = work / ("film.gif" if output.suffix else "pictures")
    with _resumable():
        if output.suffix:
            palette = work / "palette.png"
            run([*films, "-vf", "palettegen=stats_mode=full", "-frames:v", "1", address(palette)])
            drawn = ["-lavfi", "paletteuse=dither=bayer:bayer_scale=3", "-loop", "0"]
            run([*films, *film_input(palette), *drawn, address(made)])
        else:
            made.mkdir(exist_ok=True)
            names = address(made).replace("%", "%%") + "/%06d.png"
            run([*films, "-c", "copy", "-f", "image2", names])
    try:
        if output.is_dir():
            output.rmdir()
        made.replace(output)
    except OSError as error:
        problem = f"{output.name} cannot be written ({error.strerror})"
        raise StorageError(problem, remedy=RESUME_HINT) from error


def join(parts: list[Path], source: Source, output: Path) -> None:
    """Join the parts without encoding again, with the sound and the subtitles of the source.

    Sound that the output's container cannot hold as it is becomes AAC.

    Raises:
        AssemblyError: ffmpeg failed.
        StorageError: the disk is full.
    """
    films = joined_input(parts, parts[0].parent / "parts.txt")
    # A name ending in .partial.mp4 tells ffmpeg the container and nobody a finished film.
    partial = output.with_name(f"{output.stem}.partial{output.suffix}")
    sound = [*film_input(source.path), "-map", "0:v", "-map", "1:a?", "-map_metadata", "1"]
    sound += carry(source.streams, output.suffix).arguments
    if source.pictures:
        sound = []
    command = ["-itsoffset", str(float(source.times[0])), *films, *sound]
    with _removed_on_failure(partial), _resumable():
        try:
            _join(command, "copy", partial)
        except AssemblyError:
            _join(command, "libopus" if output.suffix.lower() == ".webm" else "aac", partial)
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
