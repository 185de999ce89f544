"""Converts films to other formats with ffmpeg, on this computer, and stores them beside the film.

One conversion runs at a time, because the engine may need the processor too. It knows files, not
pages or routes.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from engine.errors import AssemblyError
from ui.routes import ffmpeg

FORMATS = ("mp4", "gif", "webm")
_EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"  # 4:2:0 needs even sides
_ENCODINGS = {
    "mp4": f"-vf {_EVEN} -c:v libx264 -crf 18 -preset medium -pix_fmt yuv420p -movflags +faststart"
    " -c:a aac -b:a 192k",
    "webm": f"-vf {_EVEN} -c:v libvpx-vp9 -crf 32 -b:v 0 -deadline good -cpu-used 4 -row-mt 1"
    " -pix_fmt yuv420p -c:a libopus -b:a 128k",
    "gif": "-an -filter_complex fps=15,scale='min(640,iw)':-2:flags=lanczos,split[a][b];"
    "[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=bayer:bayer_scale=4 -loop 0",
}


class Conversions:
    """Makes each conversion once; runs in the server's event loop."""

    def __init__(self) -> None:
        self._one_by_one = asyncio.Semaphore(1)

    async def convert(self, source: Path, kind: str, seconds: float) -> AsyncGenerator[float]:
        """Make ``converted(source, kind)`` unless it exists; yield the progress in [0, 1].

        Closing the generator ends the conversion.

        Args:
            source: the film's file.
            kind: one of ``FORMATS``.
            seconds: length of the film.

        Raises:
            AssemblyError: ffmpeg could not convert it.
        """
        target = converted(source, kind)
        async with self._one_by_one:
            if not target.is_file():
                part = target.with_suffix(".part")
                try:
                    async with aclosing(_convert(source, kind, part)) as progress:
                        async for written in progress:
                            yield min(0.99, written / max(seconds, 0.01))
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
        yield 1.0


def converted(source: Path, kind: str) -> Path:
    """Return the path of a film's conversion to a format."""
    return source.with_suffix(f".{kind}")


def _convert(source: Path, kind: str, part: Path) -> AsyncGenerator[float]:
    encoding = _ENCODINGS[kind].split()
    arguments = [*ffmpeg.film_input(source), *encoding, *ffmpeg.output(part, kind)]
    failure = AssemblyError(
        "the film could not be converted", remedy="download it in its own format instead"
    )
    return ffmpeg.run_with_progress(arguments, failure)
