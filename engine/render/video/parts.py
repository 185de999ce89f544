"""Writes a film in parts beside the output, so that a second start resumes where the first stopped.

Memory stays constant however long the film. Knows nothing about how frames are drawn.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from engine.errors import StorageError
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import PartWriter, Source, join

PART_FRAMES = 240  # output frames in one part: what an interruption costs at most


class PartedFilm(Protocol):
    """A film that can be drawn from any part on."""

    @property
    def source(self) -> Source:
        """Where its sound and the shape of its pixels come from."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its frames."""

    @property
    def rate(self) -> Fraction:
        """Frames per second."""

    @property
    def crf(self) -> int:
        """Quality of H.264, 0 to 51."""

    @property
    def count(self) -> int:
        """How many frames it has."""

    def frames(self, skipped: int) -> Iterator[Frame]:
        """Draw the frames in order, without the first ``skipped`` of them."""

    def facts(self) -> dict[str, object]:
        """Return everything that determines its frames beside the source, as JSON values."""


def write_film(film: PartedFilm, output: Path, progress: Callable[[int], None]) -> None:
    """Write a film with its source's sound; ``progress`` is called with the frames done.

    Raises:
        InvalidParameterError: the source cannot be decoded after all.
        DeviceMemoryError: a frame is too large for this machine's memory.
        AssemblyError: the encoder failed.
        StorageError: the output cannot be written.
    """
    work = _work_folder(film, output)
    _write_parts(film, work, progress)
    join(sorted(work.glob("part-?????.mp4")), film.source, output)
    shutil.rmtree(work)


def _work_folder(film: PartedFilm, output: Path) -> Path:
    """The folder of finished parts; an older one of other work is emptied."""
    work = output.with_name(output.name + ".parts")
    facts = json.dumps(_all_facts(film), sort_keys=True)
    note = work / "work.json"
    if work.exists() and not note.is_file():
        raise StorageError(
            f"{work.name} exists and was not made by this command", remedy="move it away"
        )
    try:
        if work.exists() and note.read_text() != facts:
            shutil.rmtree(work)
        work.mkdir(exist_ok=True)
        note.write_text(facts)
    except OSError as error:
        raise StorageError(f"{work.name} cannot be written ({error.strerror})") from error
    return work


def _all_facts(film: PartedFilm) -> dict[str, object]:
    source = film.source
    files = source.pictures or [source.path]
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return {
        **film.facts(),
        "source": hashlib.sha256(repr(stamps).encode()).hexdigest(),
        "frames": len(source.times),
        "rate": str(film.rate),
        "crf": film.crf,
        "signal": repr(source.signal),
        "part": PART_FRAMES,
    }


def _write_parts(film: PartedFilm, work: Path, progress: Callable[[int], None]) -> None:
    """Draw the missing parts, one after the other."""
    finished = 0
    while (work / f"part-{finished:05}.mp4").exists():
        finished += 1
    start = min(finished * PART_FRAMES, film.count)
    progress(start)
    with ExitStack() as stack:
        writer: PartWriter | None = None
        for index, frame in enumerate(film.frames(start), start):
            if index % PART_FRAMES == 0:
                stack.close()
                path = work / f"part-{index // PART_FRAMES:05}.mp4"
                shape, signal = film.source.pixel_shape, film.source.signal
                part = PartWriter(path, film.size, film.rate, film.crf, shape, signal)
                writer = stack.enter_context(part)
            assert writer is not None
            writer.write(frame)
            progress(index + 1)
