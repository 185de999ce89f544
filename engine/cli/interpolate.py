"""The command ``interpolate``: more frames for any film or folder of pictures.

Reads the command line, refuses what cannot work and shows progress; ``engine.render.rife.video``
does the work. Knows nothing about prompts, jobs or networks.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.film_files import add_files, check_files, claimed_output, open_input, parse_rate
from engine.cli.progress import DownloadProgress, FrameProgress
from engine.cli.upscale import add_upscaler, enlarge
from engine.errors import InvalidParameterError
from engine.models import interpolators

if TYPE_CHECKING:
    from engine.render.rife import Interpolator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of ``python -m engine interpolate``."""
    parser.description = (
        "Put frames between those of a film or of a folder of pictures, and keep its sound. "
        "Started again after an interruption, it resumes where it stopped."
    )
    add_files(parser)
    rate = parser.add_mutually_exclusive_group(required=True)
    rate.add_argument(
        "--factor", type=Fraction, help="multiply the frame rate by this, such as 2, 2.5 or 5/2"
    )
    rate.add_argument("--fps", help="frames per second to reach, such as 60 or 30000/1001")
    parser.add_argument("--rife", default=interpolators.AUTO, help=interpolators.HELP)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (%(default)s)")
    parser.add_argument(
        "--scale",
        type=float,
        help="of the search for motion: 0.25, 0.5, 1, 2 or 4; smaller is faster and finds larger "
        "motion (1, for frames beyond full HD 0.5, for 8K 0.25)",
    )
    parser.add_argument(
        "--inset",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="keep in-betweens this share of a gap away from both its ends, below 0.5; about 0.1 "
        "evens out morphs that linger at their pictures (%(default)s)",
    )
    parser.add_argument(
        "--easing",
        choices=("linear", "smooth"),
        default="linear",
        help="how motion runs from one input frame to the next; smooth rests at each (%(default)s)",
    )
    parser.add_argument(
        "--cuts",
        choices=("hold", "fade"),
        default="hold",
        help="at scene cuts repeat the last frame, or fade (%(default)s)",
    )
    parser.add_argument(
        "--duplicates",
        choices=("smooth", "keep"),
        default="smooth",
        help="spread motion over frames that are shown twice, or keep them (%(default)s)",
    )
    parser.add_argument(
        "--upscale", type=int, metavar="N", help="enlarge the frames 2, 3 or 4 times as well"
    )
    add_upscaler(parser)
    parser.set_defaults(run=run, log_level="ERROR")


def run(options: argparse.Namespace) -> int:
    """Interpolate one film; returns the exit status.

    Raises:
        InvalidParameterError: an argument or the input cannot be used.
        ModelLoadError: the weights cannot be used.
        AssemblyError: the encoder failed.
        StorageError: the output cannot be written.
    """
    _check(options)
    with claimed_output(options):
        print(_interpolate(options))
    return 0


def _interpolate(options: argparse.Namespace) -> str:
    """Interpolate one film and return what was made."""
    # Not needed for the other commands, and slow to import.
    from engine.render.rife.video import Pace, Retiming, interpolate_film, nominal_rate

    pace = Pace(options.inset, options.easing)
    source = open_input(options)
    rate = (
        parse_rate("fps", options.fps)
        if options.fps
        else nominal_rate(source.times, source.last) * options.factor
    )
    interpolator = _interpolator(options)
    fades, smooths = options.cuts == "fade", options.duplicates == "smooth"
    film = Retiming(source, rate, interpolator, pace, fades, smooths, options.crf)
    drawn = interpolators.display_name(interpolator.identity)
    made = f"{options.output}: {film.count} frames at {float(rate):.6g} per second, by {drawn}"
    if options.upscale is not None:
        enlarge(film, options.upscale, options)
        return f"{made}, enlarged {options.upscale} times by {Path(options.upscaler).stem}"
    with FrameProgress(film.count) as progress:
        interpolate_film(film, options.output, progress)
    return made


def _interpolator(options: argparse.Namespace) -> "Interpolator":
    """Load the network; one that was requested by name is not replaced by another."""
    from engine.render.device import choose_device
    from engine.render.rife.interpolator import open_interpolator

    choice, device = interpolators.check_choice(options.rife), choose_device(options.device).name
    insist = choice != interpolators.AUTO
    with DownloadProgress() as downloaded:
        found, notice = open_interpolator(
            choice, device, downloaded, insist=insist, scale=options.scale
        )
    if notice:
        print(f"DIS optical flow draws: {notice}", file=sys.stderr)
    return found


def _check(options: argparse.Namespace) -> None:
    """Raise errors for arguments before any work is done."""
    if options.factor is not None and not 1 < options.factor <= 64:
        problem = f"{options.factor} is not above 1 and up to 64"
        raise InvalidParameterError("factor", problem, "try 2")
    check_files(options)
