"""Runs ffmpeg for the app's routes.

ffmpeg reads and writes local files only: names cannot be mistaken for options or URLs, and an input
cannot make it open another file. It knows neither films nor jobs, and needs no torch; the engine
has its own module for this.
"""

import asyncio
import logging
import subprocess
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import imageio_ffmpeg

from engine.errors import AssemblyError

log = logging.getLogger(__name__)

DEMUXERS = {
    ".mp4": "mov",
    ".gif": "gif",
}  # given, so that ffmpeg does not guess them from the content
LOCAL_FILES = ("-protocol_whitelist", "file")
PROGRAM_OPTIONS = ("-v", "error", "-nostdin", "-y")


def film_input(film: Path) -> list[str]:
    """Return the arguments that open a film."""
    return [*LOCAL_FILES, "-f", DEMUXERS[film.suffix], "-i", address(film)]


def joined_input(films: Sequence[Path], listing: Path) -> list[str]:
    """Return the arguments that open MP4 films one after another.

    Args:
        films: in order.
        listing: where to write the list that ffmpeg reads.
    """
    lines = ("file '" + address(film).replace("'", r"'\''") + "'\n" for film in films)
    listing.write_text("".join(lines), "utf-8")
    only = ("-format_whitelist", "concat,mov")
    return [*LOCAL_FILES, *only, "-f", "concat", "-safe", "0", "-i", address(listing)]


def output(file: Path, muxer: str) -> list[str]:
    """Return the arguments that write a file in a container format."""
    return ["-f", muxer, address(file)]


def address(file: Path) -> str:
    """Return a file's URL, which ffmpeg cannot mistake for an option or another protocol."""
    return f"file:{file.absolute()}"


def run(arguments: Sequence[str], failure: AssemblyError) -> None:
    """Run ffmpeg and wait for it.

    Raises:
        AssemblyError: ``failure``, or the disk is full.
    """
    done = subprocess.run(command(arguments), capture_output=True, check=False)
    if done.returncode:
        raise _reported(done.stderr, failure)


async def run_with_progress(
    arguments: Sequence[str], failure: AssemblyError
) -> AsyncGenerator[float]:
    """Run ffmpeg; yield the seconds of output written so far. Closing the generator ends ffmpeg.

    Raises:
        AssemblyError: ``failure``, or the disk is full.
    """
    process = await asyncio.create_subprocess_exec(
        *command(("-progress", "pipe:1", *arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    errors = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            name, _, value = line.decode().strip().partition("=")
            if name == "out_time_us" and value.isdigit():
                yield int(value) / 1e6
        message = await errors
    finally:
        if process.returncode is None and not errors.done():
            process.kill()
        code = await process.wait()
    if code:
        raise _reported(message, failure)


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs ffmpeg with some arguments."""
    return [imageio_ffmpeg.get_ffmpeg_exe(), *PROGRAM_OPTIONS, *arguments]


def _reported(errors: bytes, failure: AssemblyError) -> AssemblyError:
    """Log ffmpeg's output; return the error to raise."""
    message = errors.decode(errors="replace").strip()
    log.warning("%s; ffmpeg reports: %s", failure.problem, message[-1000:])
    if "No space left" in message:
        return AssemblyError("the disk is full", remedy="free some space, then try again")
    return failure
