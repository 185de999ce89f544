"""Films in other formats, made on this computer by ffmpeg and kept beside the film.

One conversion runs at a time, for the engine may want the processor too. It knows files, not
pages or routes.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import imageio_ffmpeg

from engine.errors import AssemblyError

log = logging.getLogger(__name__)

FORMATS = ("mp4", "gif", "webm")
_DEMUXERS = {".mp4": "mov", ".gif": "gif"}  # named, so that no file can pose as a playlist
_EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"  # what 4:2:0 can hold
_RECIPES = {
    "mp4": f"-vf {_EVEN} -c:v libx264 -crf 18 -preset medium -pix_fmt yuv420p -movflags +faststart",
    "webm": f"-vf {_EVEN} -c:v libvpx-vp9 -crf 32 -b:v 0 -deadline good -cpu-used 4 -row-mt 1"
    " -pix_fmt yuv420p",
    "gif": "-filter_complex fps=15,scale='min(640,iw)':-2:flags=lanczos,split[a][b];"
    "[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=bayer:bayer_scale=4 -loop 0",
}


class Exports:
    """Makes each conversion once; for the server's event loop."""

    def __init__(self) -> None:
        self._one_by_one = asyncio.Semaphore(1)

    async def convert(self, source: Path, kind: str, seconds: float) -> AsyncGenerator[float]:
        """Make ``exported(source, kind)`` unless it is there; yield the share that is done.

        Whoever stops listening ends the conversion.

        Args:
            source: the film's file.
            kind: one of ``FORMATS``.
            seconds: length of the film.

        Raises:
            AssemblyError: ffmpeg could not do it.
        """
        target = exported(source, kind)
        async with self._one_by_one:
            if not target.is_file():
                part = target.with_suffix(".part")
                try:
                    async for done in _run(source, kind, part, seconds):
                        yield done
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
        yield 1.0


def exported(source: Path, kind: str) -> Path:
    """Return where a film is, or will be, in a format."""
    return source.with_suffix(f".{kind}")


async def _run(source: Path, kind: str, part: Path, seconds: float) -> AsyncGenerator[float]:
    process = await asyncio.create_subprocess_exec(
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"),
        *("-progress", "pipe:1", "-f", _DEMUXERS[source.suffix], "-i", str(source), "-an"),
        *_RECIPES[kind].split(),
        *("-f", kind, str(part)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    complaint = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            name, _, value = line.decode().strip().partition("=")
            if name == "out_time_us" and value.isdigit():
                yield min(0.99, int(value) / 1e6 / max(seconds, 0.01))
        words = (await complaint).decode(errors="replace").strip()
    finally:
        if process.returncode is None and not complaint.done():
            process.kill()
        code = await process.wait()
    if code:
        log.warning("ffmpeg could not convert %s: %s", source, words)
        raise _failure(words)


def _failure(words: str) -> AssemblyError:
    if "No space left" in words:
        return AssemblyError("the disk is full", remedy="free some space, then try again")
    return AssemblyError(
        "the film could not be converted", remedy="download it in its own format instead"
    )
