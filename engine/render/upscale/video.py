"""Enlarges a whole film in constant memory; as it is, or while it gets more frames.

Knows nothing about command lines, prompts or jobs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path

from engine.errors import DeviceMemoryError, InvalidParameterError
from engine.models.upscalers import enlarged_size
from engine.render.device import memory
from engine.render.rife.interpolator import to_eight_bits
from engine.render.rife.video import Schedule, frame_count
from engine.render.upscale import moving
from engine.render.upscale.upscaler import Upscaler
from engine.render.video import parts
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import Source
from engine.render.video.parts import PartedFilm

# Bytes of an enlarged pixel, with the encoder; and of the rest.
PROCESS_BYTES, BYTES_PER_PIXEL = 900 << 20, 150


@dataclass(frozen=True)
class Unchanged:
    """A film as its source shows it, at a constant rate.

    Attributes:
        source: the film or pictures.
        rate: frames per second.
        crf: quality of H.264, 0 to 51.
    """

    source: Source
    rate: Fraction
    crf: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its frames."""
        return self.source.width, self.source.height

    @property
    def count(self) -> int:
        """How many frames it has."""
        return frame_count(self.source.times, self.rate, self.source.last)

    def facts(self) -> dict[str, object]:
        """Return everything that determines the frames beside the source and the rate."""
        return {}

    def frames(self, skipped: int) -> Iterator[Frame]:
        """Show each frame for its time, without the first ``skipped`` of them."""
        return islice(self._shown(), skipped, None)

    def _shown(self) -> Iterator[Frame]:
        schedule = Schedule(self.source.times[0], self.rate, self.count)
        frames, last = self.source.frames(), None
        for (start, end), frame in zip(pairwise(self.source.times), frames, strict=False):
            yield from (frame for _ in schedule.between(start, end))
            last = frame
        last = next(frames, last)  # a damaged film may lack its last frames
        if last is None:
            raise InvalidParameterError("input", "no frame could be decoded", "check the file")
        yield from (last for _ in range(schedule.rest()))


@dataclass(frozen=True)
class Enlarging:
    """A film whose frames are enlarged as they come.

    Attributes:
        film: draws the frames.
        upscaler: enlarges them.

    Raises:
        InvalidParameterError: the frames would become too large.
    """

    film: PartedFilm
    upscaler: Upscaler

    def __post_init__(self) -> None:
        """Check the size."""
        enlarged_size(*self.film.size, self.upscaler.factor)

    @property
    def source(self) -> Source:
        """Where its sound and the shape of its pixels come from."""
        return self.film.source

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its frames."""
        return enlarged_size(*self.film.size, self.upscaler.factor)

    @property
    def rate(self) -> Fraction:
        """Frames per second."""
        return self.film.rate

    @property
    def crf(self) -> int:
        """Quality of H.264, 0 to 51."""
        return self.film.crf

    @property
    def count(self) -> int:
        """How many frames it has."""
        return self.film.count

    def facts(self) -> dict[str, object]:
        """Return everything that determines the frames beside the source and the rate."""
        moved = 0 if self.upscaler.quick else moving.ALGORITHM_VERSION
        return {**self.film.facts(), "upscaler": self.upscaler.identity, "moving": moved}

    def frames(self, skipped: int) -> Iterator[Frame]:
        """Draw the frames in order, without the first ``skipped`` of them.

        Each part begins with a keyframe, so that a part is the same wherever drawing began.
        """
        drawn = map(to_eight_bits, self.film.frames(skipped))
        while (first := next(drawn, None)) is not None:
            part = chain([first], islice(drawn, parts.PART_FRAMES - 1))
            yield from moving.enlarge_frames(part, self.upscaler)


def enlarge_film(film: Enlarging, output: Path, progress: Callable[[int], None]) -> None:
    """Write the film with its source's sound; ``progress`` is called with the frames done.

    Raises:
        InvalidParameterError: the source cannot be decoded after all.
        DeviceMemoryError: a frame is too large for this machine's memory.
        AssemblyError: the encoder failed.
        StorageError: the output cannot be written.
    """
    check_room(*film.size, memory("cpu")[0])
    parts.write_film(film, output, progress)


def check_room(width: int, height: int, free: int) -> None:
    """Raise DeviceMemoryError if frames this large would exceed the memory.

    Args:
        width: of the enlarged frames, in pixels.
        height: likewise.
        free: bytes of memory that are free.
    """
    need = PROCESS_BYTES + BYTES_PER_PIXEL * width * height
    if need > free:
        problem = f"enlarging to {width}x{height} takes about {need / 1e9:.1f} GB of memory"
        raise DeviceMemoryError(f"{problem}, {free / 1e9:.1f} GB are free")
