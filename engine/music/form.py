"""Divides a piece into bars, so that every scene begins on a downbeat. It knows no notes."""

import math
from collections.abc import Sequence

from engine.music.mood import Mood
from engine.music.score import Bar

SLOWEST, FASTEST = 62.0, 104.0  # beats per minute at energies of 0 and 1
SPREAD = 0.12  # how far the tempo may be from that of the mood, as a share
UNEVEN = 0.03  # a change of tempo that costs as much as a scene without whole phrases
BEATS, PHRASE = 4, 16  # of a bar, of a phrase of four bars


def bars(lengths: Sequence[float], moods: Sequence[Mood]) -> list[tuple[Bar, ...]]:
    """Return the bars of each scene.

    The tempo is nearly the same throughout: a scene has a whole number of beats, and their length
    is adapted to it. Short bars stand at the end of a scene.

    Args:
        lengths: seconds of each scene, above 0.
        moods: of each scene.
    """
    total = sum(lengths)
    energy = sum(mood.energy * each for mood, each in zip(moods, lengths, strict=True)) / total
    middle = SLOWEST + (FASTEST - SLOWEST) * energy
    tempos = [middle * (1 - SPREAD + 2 * SPREAD * step / 96) for step in range(97)]

    def cost(tempo: float) -> float:
        each = (_beats(seconds, 60 / tempo)[0] * seconds for seconds in lengths)
        return sum(each) / total + abs(math.log(tempo / middle))

    beat = 60 / min(tempos, key=cost)
    start, found = 0.0, []
    for seconds in lengths:
        count = _beats(seconds, beat)[1]
        found.append(_bars(start, count, seconds / count))
        start += seconds
    return found


def _beats(seconds: float, beat: float) -> tuple[float, int]:
    """Return the best number of beats for a scene, behind what it costs."""
    near = max(1, round(seconds / beat))
    return min((_cost(count, seconds, beat), count) for count in range(max(1, near - 3), near + 4))


def _cost(count: int, seconds: float, beat: float) -> float:
    """Return what a number of beats costs: uneven tempo, broken bars, broken phrases."""
    uneven = math.log(seconds / count / beat) / UNEVEN
    broken = {0: 0.0, 2: 1.5}.get(count % BEATS, 3.0) if count > BEATS else 0.0
    return uneven**2 + broken + (0.5 if count % PHRASE else 0.0)


def _bars(start: float, count: int, beat: float) -> tuple[Bar, ...]:
    whole, rest = divmod(count, BEATS)
    sizes = [BEATS] * whole
    if rest == 1 and whole:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    found, done = [], 0
    for size in sizes:
        found.append(Bar(start + done * beat, size, beat))
        done += size
    return tuple(found)
