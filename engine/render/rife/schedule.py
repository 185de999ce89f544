"""Which output frame lies where between which input frames. Pure arithmetic on times.

Times are exact fractions of a second. Knows nothing about files, pixels or networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from engine.errors import InvalidParameterError

# Rates that films really have; a measured rate this close to one of them is that one.
USUAL_RATES = [
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
    *(Fraction(rate) for rate in (8, 10, 12, 15, 16, 18, 20, 23, 24, 25, 30, 48, 50, 60, 100, 120)),
]
CLOSE = Fraction(1, 3000)  # relative; 24 and 24000/1001 are 1/1001 apart
STEADY = Fraction(1, 4)  # of the mean interval: how far intervals of a constant rate may be off
# Outputs this close to an input, as a share of the interval between inputs and of that between
# outputs, are that input: containers round times to milliseconds.
SNAP, SNAP_OUT = 0.02, 0.25


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


def nominal_rate(times: Sequence[Fraction]) -> Fraction:
    """Frames per second of an input; of a variable one, that of its usual short interval."""
    steps = [later - earlier for earlier, later in pairwise(times)]
    if not steps:
        return Fraction(25)
    mean = (times[-1] - times[0]) / len(steps)
    if all(abs(step - mean) <= STEADY * mean for step in steps):
        return usual(1 / mean)
    return usual(1 / sorted(steps)[len(steps) // 2])


def usual(rate: Fraction) -> Fraction:
    """The usual rate next to a measured one, or the measured one, rounded to 1/1000."""
    nearest = min(USUAL_RATES, key=lambda known: abs(known - rate))
    if abs(nearest - rate) <= CLOSE * rate:
        return nearest
    return Fraction(round(rate * 1000), 1000)


def frame_count(times: Sequence[Fraction], rate: Fraction) -> int:
    """Output frames, such that the film is as long as before; the last frame stays its time."""
    tail = 1 / nominal_rate(times)
    return max(1, round((times[-1] + tail - times[0]) * rate))


class Schedule:
    """Hands out the output frames of one stretch of input after the other."""

    def __init__(self, start: Fraction, rate: Fraction, count: int) -> None:
        self.start, self.rate, self.count = start, rate, count
        self.next = 0

    def between(self, earlier: Fraction, later: Fraction) -> list[float]:
        """Positions in [0, 1) of the outputs not handed out yet that lie before ``later``."""
        span, positions = later - earlier, []
        near = min(SNAP, SNAP_OUT / float(self.rate * span)) if span > 0 else 0.0
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
