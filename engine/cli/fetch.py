"""The command ``fetch``: downloads the official network for in-betweens, unless it is here.

Part of set-up; films are made without it, too, so a failure is one line.
"""

import argparse
import sys

from engine.cli.progress import DownloadProgress
from engine.errors import VisionFluxError
from engine.models import interpolators


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of ``python -m engine fetch``."""
    parser.description = (
        "Download the official RIFE network (23 MB), which draws in-betweens, unless it is here."
    )
    parser.set_defaults(run=run, log_level="CRITICAL")


def run(options: argparse.Namespace) -> int:
    """Download it; returns the exit status."""
    from engine.render.weights.rife import fetch_official

    try:
        with DownloadProgress() as downloaded:
            fetch_official(interpolators.AUTO, downloaded)
    except VisionFluxError as error:
        print(f"DIS optical flow will draw in-betweens: {error}", file=sys.stderr)
        return 1
    return 0
