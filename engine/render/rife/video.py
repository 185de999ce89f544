"""Interpolates a whole film in constant memory.

Knows nothing about command lines, prompts or jobs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from engine.errors import DeviceMemoryError, InvalidParameterError
from engine.render.device import memory
from engine.render.rife.interpolator import Interpolator
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import Source
from engine.render.video.parts import write_film

# Rates that films really have; a measured rate this close to one of them is that one.
USUAL_RATES = [
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
    *(Fraction(rate) for rate in (8, 10, 12, 15, 16, 18, 20, 23, 24, 25, 30, 48, 50, 60, 100, 120)),
]
RATE_TOLERANCE = Fraction(1, 3000)  # relative; 24 and 24000/1001 are 1/1001 apart
TIME_ROUNDING = Fraction(1, 1000)  # seconds; of Matroska
# Of the mean interval: how far intervals of a constant rate may be off.
INTERVAL_TOLERANCE = Fraction(1, 4)
# Outputs this close to an input, as a share of the interval between inputs and of that between
# outputs, are that input: containers round times to milliseconds.
SNAP_INPUT_SHARE, SNAP_OUTPUT_SHARE = 0.02, 0.25


EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda position: position,
    "smooth": lambda position: position * position * (3 - 2 * position),
}


@dataclass(frozen=True)
class Pace:
    """How motion runs from one frame to the next: maps a moment to the position to draw.

    Networks change little close to their frames, so evenly spread positions seem to linger there
    when the frames are far apart; an inset skips these stretches. The frames themselves stay.

    Attributes:
        inset: share of the gap left out at both ends, 0 to below 0.5.
        easing: ``linear``, or ``smooth`` for a rest at each frame.

    Raises:
        InvalidParameterError: a value is not as above.
    """

    inset: float = 0.0
    easing: str = "linear"

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.inset < 0.5:
            problem = f"{self.inset} is not at least 0 and below 0.5"
            raise InvalidParameterError("inset", problem, "try 0.1")
        if self.easing not in EASINGS:
            problem = f"there is no easing {self.easing[:40]!r}"
            raise InvalidParameterError("easing", problem, f"use one of {', '.join(EASINGS)}")

    def __call__(self, moment: float) -> float:
        """Return the position to draw for a moment strictly between two frames, 0 and 1."""
        return self.inset + (1 - 2 * self.inset) * EASINGS[self.easing](moment)


def nominal_rate(times: Sequence[Fraction], last: Fraction | None = None) -> Fraction:
    """Frames per second of an input; of a variable one, that of its usual short interval.

    Args:
        times: when its frames are shown, in seconds.
        last: seconds for which the last one is; a single frame's rate follows from it.
    """
    steps = [later - earlier for earlier, later in pairwise(times)]
    if not steps:
        return usual(1 / last) if last else Fraction(25)
    mean = (times[-1] - times[0]) / len(steps)
    if all(abs(step - mean) <= INTERVAL_TOLERANCE * mean for step in steps):
        return usual(1 / mean, TIME_ROUNDING / (times[-1] - times[0]))
    return usual(1 / sorted(steps)[len(steps) // 2])


def usual(rate: Fraction, tolerance: Fraction = RATE_TOLERANCE) -> Fraction:
    """The usual rate next to a measured one, or the measured one, rounded to 1/1000.

    Args:
        rate: frames per second.
        tolerance: relative, of the measurement; never less than ``RATE_TOLERANCE``.
    """
    nearest = min(USUAL_RATES, key=lambda known: abs(known - rate))
    if abs(nearest - rate) <= max(tolerance, RATE_TOLERANCE) * rate:
        return nearest
    return Fraction(round(rate * 1000), 1000)


def frame_count(times: Sequence[Fraction], rate: Fraction, last: Fraction | None = None) -> int:
    """Output frames, such that the film is as long as before; the last frame stays its time."""
    tail = last or 1 / nominal_rate(times)
    return max(1, round((times[-1] + tail - times[0]) * rate))


class Schedule:
    """Hands out the output frames of one stretch of input after the other."""

    def __init__(self, start: Fraction, rate: Fraction, count: int) -> None:
        self.start, self.rate, self.count = start, rate, count
        self.next = 0

    def between(self, earlier: Fraction, later: Fraction) -> list[float]:
        """Positions in [0, 1) of the outputs not handed out yet that lie before ``later``."""
        span, positions = later - earlier, []
        near = (
            min(SNAP_INPUT_SHARE, SNAP_OUTPUT_SHARE / float(self.rate * span)) if span > 0 else 0.0
        )
        while span > 0 and self.next < self.count:
            position = float((self.start + self.next / self.rate - earlier) / span)
            if position >= 1 - near:
                break
            positions.append(position if position > near else 0.0)
            self.next += 1
        return positions

    def rest(self) -> int:
        """How many outputs are left; they show the last frame."""
        left, self.next = self.count - self.next, self.count
        return left


# Bytes: 7680x4320 took 7.2 GiB, whichever the network.
PROCESS_BYTES, BYTES_PER_PIXEL = 700 << 20, 230
# A frame shown up to this often more counts as slow motion, not as a still.
MAX_SLOW_MOTION_REPEATS = 3


@dataclass(frozen=True)
class Retiming:
    """What is to be drawn, and how.

    Attributes:
        source: the film or pictures.
        rate: output frames per second.
        pace: how motion runs inside a gap.
        fades: whether scene cuts become cross-fades; otherwise the last frame is repeated.
        smooths: whether motion is spread over frames that are shown more than once.
        crf: quality of H.264, 0 to 51.
    """

    source: Source
    rate: Fraction
    interpolator: Interpolator
    pace: Pace
    fades: bool
    smooths: bool
    crf: int

    @property
    def count(self) -> int:
        """Output frames."""
        return frame_count(self.source.times, self.rate, self.source.last)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the output frames."""
        return self.source.width, self.source.height

    def facts(self) -> dict[str, object]:
        """Return everything that determines the frames beside the source and the rate."""
        return {
            "interpolator": self.interpolator.identity,
            "pace": repr(self.pace),
            "cuts": self.fades,
            "duplicates": self.smooths,
        }

    def frames(self, skipped: int) -> Iterator[Frame]:
        """Draw the output frames in order, without the first ``skipped`` of them."""
        schedule = Schedule(self.source.times[0], self.rate, self.count)
        last: Frame | None = None
        for first, start, second, end in self._stretches():
            last = second
            positions = schedule.between(start, end)
            done = min(skipped, len(positions))
            skipped -= done
            yield from self._draw(first, second, positions[done:])
        assert last is not None
        yield from (last for _ in range(schedule.rest() - skipped))

    def _stretches(self) -> Iterator[tuple[Frame, Fraction, Frame, Fraction]]:
        """Neighbouring distinct frames and their times; stills come as a frame and itself."""
        frames = zip(self.source.frames(), self.source.times, strict=False)
        first = next(frames, None)
        if first is None:
            raise InvalidParameterError("input", "no frame could be decoded", "check the file")
        anchor, since = first
        repeats: list[Fraction] = []
        still = False
        for frame, moment in frames:
            if self.interpolator.judge(anchor, frame).mode == "copy":
                repeats.append(moment)
                still = still or not self.smooths or len(repeats) > MAX_SLOW_MOTION_REPEATS
                continue
            if still:  # it rested, and moves only from its last repetition on
                yield anchor, since, anchor, repeats[-1]
                since = repeats[-1]
            yield anchor, since, frame, moment
            anchor, since, repeats, still = frame, moment, [], False
        yield anchor, since, anchor, repeats[-1] if repeats else since

    def _draw(self, first: Frame, second: Frame, positions: list[float]) -> Iterator[Frame]:
        inner = [position for position in positions if position > 0]
        yield from (first for _ in positions[len(inner) :])
        if not inner:
            return
        if first is second or (not self.fades and self._is_cut(first, second)):
            yield from (first for _ in inner)
        else:
            yield from self.interpolator.between(first, second, list(map(self.pace, inner)))

    def _is_cut(self, first: Frame, second: Frame) -> bool:
        return self.interpolator.judge(first, second).mode == "crossfade"


def interpolate_film(film: Retiming, output: Path, progress: Callable[[int], None]) -> None:
    """Write the film with its source's sound; ``progress`` is called with the frames done.

    Raises:
        InvalidParameterError: the source cannot be decoded after all.
        DeviceMemoryError: a frame is too large for this machine's memory.
        AssemblyError: the encoder failed.
        StorageError: the output cannot be written.
    """
    if film.interpolator.device.type == "cpu":  # a GPU reports by itself that its memory is full
        check_room(film.source.width, film.source.height, memory("cpu")[0])
    write_film(film, output, progress)


def check_room(width: int, height: int, free: int) -> None:
    """Raise DeviceMemoryError if frames this large would exceed the memory.

    Args:
        width: of the frames, in pixels.
        height: likewise.
        free: bytes of memory that are free.
    """
    need = PROCESS_BYTES + BYTES_PER_PIXEL * width * height
    if need > free:
        problem = f"frames of {width}x{height} take about {need / 1e9:.1f} GB of memory"
        raise DeviceMemoryError(f"{problem}, {free / 1e9:.1f} GB are free")
