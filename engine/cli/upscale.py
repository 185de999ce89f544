"""The command ``upscale``: any film or folder of pictures, enlarged.

Reads the command line, refuses what cannot work and shows progress; ``engine.render.upscale.video``
does the work. Knows nothing about prompts, jobs or networks.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.film_files import add_files, check_files, claimed_output, open_input
from engine.cli.progress import DownloadProgress, FrameProgress
from engine.models import upscalers

if TYPE_CHECKING:
    from engine.render.video.parts import PartedFilm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of ``python -m engine upscale``."""
    parser.description = (
        "Enlarge a film or a folder of pictures, and keep its sound. Started again after an "
        "interruption, it resumes where it stopped."
    )
    add_files(parser)
    parser.add_argument("--factor", type=int, default=4, help="2, 3 or 4 (%(default)s)")
    add_upscaler(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (%(default)s)")
    parser.set_defaults(run=run, log_level="ERROR")


def add_upscaler(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the network that enlarges."""
    parser.add_argument("--upscaler", default=upscalers.DEFAULT, help=upscalers.HELP)


def run(options: argparse.Namespace) -> int:
    """Enlarge one film; returns the exit status.

    Raises:
        InvalidParameterError: an argument or the input cannot be used.
        ModelLoadError: the weights cannot be used.
        AssemblyError: the encoder failed.
        StorageError: the output cannot be written.
    """
    check_files(options)
    # Not needed for the other commands, and slow to import.
    from engine.render.rife.video import nominal_rate
    from engine.render.upscale.video import Unchanged

    with claimed_output(options):
        source = open_input(options)
        film = Unchanged(source, nominal_rate(source.times, source.last), options.crf)
        width, height = enlarge(film, options.factor, options)
    by = upscalers.display_name(options.upscaler)
    print(f"{options.output}: {film.count} frames of {width}x{height}, by {Path(by).stem}")
    return 0


def enlarge(film: "PartedFilm", factor: int, options: argparse.Namespace) -> tuple[int, int]:
    """Write a film with its frames enlarged, and return their width and height.

    Args:
        film: as it is.
        factor: 2, 3 or 4.
        options: with ``upscaler``, ``device`` and ``output``.

    Raises:
        InvalidParameterError: the factor is not offered, or the frames would become too large.
        ModelLoadError: the weights cannot be used.
        AssemblyError: the encoder failed.
        StorageError: the output cannot be written.
    """
    from engine.render.device import choose_device
    from engine.render.upscale import open_upscaler
    from engine.render.upscale.video import Enlarging, enlarge_film

    size = upscalers.enlarged_size(*film.size, factor)  # before anything is downloaded
    choice, device = upscalers.check_choice(options.upscaler), choose_device(options.device).name
    with DownloadProgress() as downloaded:
        upscaler = open_upscaler(choice, factor, device, downloaded)
    with FrameProgress(film.count) as progress:
        enlarge_film(Enlarging(film, upscaler), options.output, progress)
    return size
