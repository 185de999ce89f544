"""The films that a command reads and writes: their arguments, and what is refused of them."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import Claim, explained
from engine.errors import InvalidParameterError

if TYPE_CHECKING:
    from engine.render.video.footage import Source

CONTAINERS = (".mp4", ".mov", ".mkv", ".webm", ".gif")
PICTURE_OUTPUTS = ("", ".gif")  # suffixes; a name without one is a folder of PNG files
HIGHEST_RATE = 1000  # frames per second


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for a film or pictures to read, and a film to write."""
    parser.add_argument("input", type=Path, help="a film, a picture, or a folder of them")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="mp4, mov, mkv, webm or gif; a name without an ending is a folder of PNG files",
    )
    parser.add_argument("--input-fps", default="24", help="of a folder of pictures (%(default)s)")
    parser.add_argument(
        "--deinterlace",
        choices=("auto", "always", "never"),
        default="auto",
        help="of films; auto does it to those that are interlaced (%(default)s)",
    )
    parser.add_argument(
        "--background",
        default="black",
        metavar="COLOUR",
        help="on which transparent frames are laid, such as white or #4080c0 (%(default)s)",
    )
    parser.add_argument(
        "--depth",
        choices=("auto", "8", "10"),
        default="auto",
        help="bits; 10 are written as HEVC, 8 as H.264; auto keeps the film's (%(default)s)",
    )
    parser.add_argument("--tone-map", action="store_true", help="convert HDR films to BT.709")
    parser.add_argument(
        "--crf", type=int, default=16, help="H.264 or HEVC quality, 0 to 51 (%(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def open_input(options: argparse.Namespace) -> "Source":
    """Open the film or pictures, and print what its owner should know of it.

    Raises:
        InvalidParameterError: it cannot be read.
    """
    # Slow to import.
    from engine.render.video.footage import open_source
    from engine.render.video.riders import carry

    rate = parse_rate("input-fps", options.input_fps)
    source = _chosen_depth(open_source(options.input, rate, options.deinterlace), options)
    source = replace(source, background=_colour(options.background))
    if source.is_transparent():
        note = f"{options.input.name} is transparent; it is laid on {options.background}"
        source = replace(source, notes=(*source.notes, f"{note} (--background)"))
    for note in (*source.notes, carry(source.streams, options.output.suffix).lost):
        if note:
            print(note, file=sys.stderr)
    return source


def _colour(text: str) -> tuple[int, int, int]:
    """Return a colour as red, green and blue of 255.

    Raises:
        InvalidParameterError: it is none.
    """
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        problem = f"{text[:40]!r} is no colour"
        remedy = "use a name such as white, or #rrggbb"
        raise InvalidParameterError("background", problem, remedy) from error
    return red, green, blue


def _chosen_depth(source: "Source", options: argparse.Namespace) -> "Source":
    """Keep the film's depth and HDR, or change them as was asked for."""
    signal, name = source.signal, options.input.name
    pictures = options.output.suffix.lower() in PICTURE_OUTPUTS  # which have no tags for HDR
    if signal.hdr and (pictures or options.tone_map or options.depth == "8"):
        note = f"{name} is HDR ({signal.hdr}); it is tone-mapped to BT.709"
        mapped = source.tone_mapped()
        source = replace(mapped, notes=(*source.notes, note))
    elif signal.hdr:
        note = f"{name} is HDR ({signal.hdr}); it is kept, in 10 bits (--tone-map converts it)"
        source = replace(source, notes=(*source.notes, note))
    elif signal.deep and options.depth == "auto" and not pictures:
        note = f"{name} has more than 8 bits; it is written in 10 bits (--depth 8 plays anywhere)"
        source = replace(source, notes=(*source.notes, note))
    if options.output.suffix.lower() == ".gif":
        return replace(source, signal=replace(source.signal, deep=False))
    if options.depth != "auto" and not source.pictures:
        source = replace(source, signal=replace(source.signal, deep=options.depth == "10"))
    return source


def check_files(options: argparse.Namespace) -> None:
    """Check the arguments before any work is done.

    Raises:
        InvalidParameterError: one cannot be used.
        StorageError: the system refuses the output's name.
    """
    output: Path = options.output
    if not 0 <= options.crf <= 51:
        raise InvalidParameterError("crf", f"{options.crf} is not between 0 and 51", "try 16")
    if output.suffix and output.suffix.lower() not in CONTAINERS:
        offered = ", ".join(CONTAINERS)
        raise InvalidParameterError(
            "output", f"{output.name} has no known ending", f"use {offered}"
        )
    if "\n" in str(output.absolute()):  # ffmpeg's lists of parts have a line for each
        raise InvalidParameterError("output", "its path has a line break", "choose another name")
    with explained(output):
        _check_place(output, options)


def _check_place(output: Path, options: argparse.Namespace) -> None:
    if not output.parent.is_dir():
        raise InvalidParameterError(
            "output", f"there is no folder {output.parent}", "make it first"
        )
    if not output.suffix and output.is_dir() and not any(output.iterdir()):
        return
    if output.is_dir():
        raise InvalidParameterError("output", f"{output.name} is a folder", "name a file")
    if output.exists() and not options.overwrite:
        raise InvalidParameterError(
            "output", f"{output.name} exists", "add --overwrite to replace it"
        )
    if options.input.exists() and output.exists() and output.samefile(options.input):
        raise InvalidParameterError("output", "it is the input itself", "choose another name")


@contextmanager
def claimed_output(options: argparse.Namespace) -> Iterator[None]:
    """Hold the place of the output, which ``check_files`` has checked, while a film is made.

    Raises:
        StorageError: another process writes it, or nothing can be written there.
    """
    claim = Claim(options.output)
    claim.take()
    try:
        yield
    finally:
        claim.release()


def parse_rate(field: str, text: str) -> Fraction:
    """Return a rate that a user gave as a number or a fraction.

    Raises:
        InvalidParameterError: it is none.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= HIGHEST_RATE:
        problem = f"{text[:40]!r} is no rate between 0 and {HIGHEST_RATE} frames per second"
        raise InvalidParameterError(field, problem, "use a number such as 60 or 30000/1001")
    return rate
