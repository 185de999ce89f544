"""Writes a film in parts beside the output, so that a second start resumes where the first stopped.

Memory stays constant however long the film. Knows nothing about how frames are drawn.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Protocol

from engine.errors import StorageError
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import PICTURE_OUTPUTS, PartWriter, Source, join, write_pictures

# How many pictures before a changed one may be drawn otherwise: held ones wait for the next.
SHARED_PICTURES = 5
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
    suffix = output.suffix.lower()
    _write_parts(film, work, suffix, progress)
    parts = sorted(work.glob("part-?????.mp4"))
    if suffix in PICTURE_OUTPUTS:
        write_pictures(parts, output)
    else:
        join(parts, film.source, output)
    shutil.rmtree(work)


def _work_folder(film: PartedFilm, output: Path) -> Path:
    """The folder of finished parts; of an older one what belongs to other work is removed."""
    work = output.with_name(output.name + ".parts")
    facts = {**_all_facts(film), "suffix": output.suffix.lower(), "stamps": _stamps(film.source)}
    note = work / "work.json"
    if work.exists() and not note.is_file():
        raise StorageError(
            f"{work.name} exists and was not made by this command", remedy="move it away"
        )
    try:
        if work.exists():
            _remove_parts(work, _usable(film, facts, _read(note)))
        work.mkdir(exist_ok=True)
        note.write_text(json.dumps(facts, sort_keys=True))
    except OSError as error:
        raise StorageError(f"{work.name} cannot be written ({error.strerror})") from error
    return work


def _read(note: Path) -> dict[str, object]:
    """What an earlier run noted of its work; nothing where it was interrupted at that."""
    try:
        found = json.loads(note.read_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _usable(film: PartedFilm, facts: dict[str, object], earlier: dict[str, object]) -> int:
    """How many parts of an earlier run belong to this one.

    A picture that changed, as one that was mended, changes the parts in which it or the pictures
    just before it are shown.
    """
    old, new = earlier.pop("stamps", None), list(_stamps(film.source))
    if not isinstance(old, list) or {**facts, "stamps": None} != {**earlier, "stamps": None}:
        return 0
    pairs = zip(old, new, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if same == len(old) == len(new):
        return -(-film.count // PART_FRAMES)
    if not film.source.pictures or same <= SHARED_PICTURES:
        return 0
    shown = film.source.times[same - SHARED_PICTURES] - film.source.times[0]
    return int(shown * film.rate) // PART_FRAMES


def _remove_parts(work: Path, kept: int) -> None:
    for part in work.glob("part-?????.mp4"):
        if int(part.stem[-5:]) >= kept:
            part.unlink()


def _stamps(source: Source) -> list[str]:
    """What changes whenever a file of the source does."""
    return [
        repr((file.name, file.stat().st_size, file.stat().st_mtime_ns))
        for file in source.pictures or [source.path]
    ]


def _all_facts(film: PartedFilm) -> dict[str, object]:
    return {
        **film.facts(),
        "rate": str(film.rate),
        "crf": film.crf,
        "signal": repr(film.source.signal),
        "filters": film.source.filters,
        "background": list(film.source.background),
        "part": PART_FRAMES,
    }


def _write_parts(
    film: PartedFilm, work: Path, suffix: str, progress: Callable[[int], None]
) -> None:
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
                part = PartWriter(path, film.size, film.rate, film.crf, shape, signal, suffix)
                writer = stack.enter_context(part)
            assert writer is not None
            writer.write(frame)
            progress(index + 1)
