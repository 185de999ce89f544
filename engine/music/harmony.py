"""Chooses chords and leads their voices. It knows keys and bars, no instruments."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from engine.music.score import DEGREES, Key, Mode

# Roots of four bars, in steps above the tonic. The first begins at home.
PROGRESSIONS: dict[Mode, tuple[tuple[int, int, int, int], ...]] = {
    "ionian": ((0, 5, 3, 4), (0, 3, 5, 4), (0, 2, 3, 4), (0, 4, 5, 3), (0, 3, 0, 4)),
    "lydian": ((0, 1, 0, 1), (0, 1, 5, 4), (0, 4, 1, 4), (0, 5, 1, 4)),
    "dorian": ((0, 3, 0, 6), (0, 2, 3, 0), (0, 3, 0, 4), (0, 6, 3, 0)),
    "aeolian": ((0, 5, 3, 4), (0, 3, 0, 4), (0, 5, 2, 6), (0, 2, 5, 4), (0, 3, 5, 4)),
}
DOMINANT = 4  # leads home; in minor its third is raised
BEFORE_DOMINANT: dict[Mode, int] = {"ionian": 3, "lydian": 1, "dorian": 3, "aeolian": 3}
LEADING = 6  # the step that is raised, a semitone below the tonic
LOWEST, HIGHEST, VOICES = 50, 74, 4  # of the pad, in MIDI pitches
CENTRE = 61.0
PERFECT = (0, 7)  # semitones, octaves aside, in which voices do not move in parallel


@dataclass(frozen=True)
class Chord:
    """A chord: its key, its root in steps above the tonic, its tones likewise."""

    key: Key
    root: int
    steps: tuple[int, ...]

    @property
    def classes(self) -> tuple[int, ...]:
        """Its pitch classes, the root's first."""
        return tuple(self.pitch(step) % 12 for step in self.steps)

    def pitch(self, step: int) -> int:
        """Return the MIDI pitch of a step above the tonic while the chord sounds."""
        raised = self.key.minor and self.root == DOMINANT and step % DEGREES == LEADING
        return self.key.pitch(step) + raised


def chord(key: Key, root: int, colour: int = 0) -> Chord:
    """Return the triad on a step of the scale; ``colour`` 7 or 9 adds that interval."""
    steps = [root, root + 2, root + 4]
    return Chord(key, root, (*steps, root + colour - 1) if colour else tuple(steps))


def phrase(key: Key, count: int, rng: Random, wonder: float, plan: Sequence[int]) -> list[Chord]:
    """Return the chords of a phrase.

    Args:
        key: of the section.
        count: of its bars, 1 to 4.
        rng: decides colours.
        wonder: 0 to 1; colours are as frequent.
        plan: four roots, of which a shorter phrase takes the last.
    """
    found = []
    for root in plan[4 - count :]:
        colour = 9 if _whole_tone(key, root) else 0
        if key.pitch(root + 6) - key.pitch(root) == 11 and root:
            colour = rng.choice((colour, 7))
        found.append(chord(key, root, colour if rng.random() < 0.3 + 0.5 * wonder else 0))
    return found


def _whole_tone(key: Key, root: int) -> bool:
    """Tell whether the ninth of a chord is a major one."""
    return key.pitch(root + 1) - key.pitch(root) == 2


def voiced(chords: Sequence[Chord], bass: Sequence[int]) -> list[tuple[int, ...]]:
    """Return four ascending pitches for each chord, that move as little as they can.

    Args:
        chords: in order.
        bass: the pitch below each, with which the highest voice must not move in parallel.
    """
    found: list[tuple[int, ...]] = []
    for index, each in enumerate(chords):
        before = found[-1] if found else None
        lows = (bass[index - 1], bass[index]) if index else (0, bass[0])
        best = min(_voicings(each), key=lambda one: (_motion(before, one, lows), one))
        found.append(best)
    return found


def _voicings(each: Chord) -> list[tuple[int, ...]]:
    wanted = set(each.classes)
    pitches = [pitch for pitch in range(LOWEST, HIGHEST + 1) if pitch % 12 in wanted]
    found = []
    for one in itertools.combinations(pitches, VOICES):
        gaps = [high - low for low, high in itertools.pairwise(one)]
        complete = {pitch % 12 for pitch in one} == wanted
        if complete and min(gaps) >= 2 and max(gaps) <= 9 and gaps[0] >= 3:
            found.append(one)
    return found


def _motion(before: tuple[int, ...] | None, one: tuple[int, ...], lows: tuple[int, int]) -> float:
    """Return what it costs to move to a voicing: distance, parallels, a place off the centre."""
    off = abs(sum(one) / VOICES - CENTRE)
    if before is None:
        return off
    moved = [new - old for old, new in zip(before, one, strict=True)]
    cost = sum(abs(each) for each in moved) + 2.0 * max(abs(each) for each in moved) + 0.6 * off
    old, new = (lows[0], *before), (lows[1], *one)
    for low, high in itertools.combinations(range(VOICES + 1), 2):
        interval = (old[high] - old[low]) % 12
        same = interval == (new[high] - new[low]) % 12
        both = new[low] != old[low] and new[high] != old[high]
        if interval in PERFECT and same and both:
            cost += 60.0 if low else 10.0
    return cost


def basses(chords: Sequence[Chord], lowest: int = 34, highest: int = 47) -> list[int]:
    """Return the root of each chord as a bass pitch, near the one before it."""
    found: list[int] = []
    for each in chords:
        root = each.classes[0]
        choices = [pitch for pitch in range(lowest, highest + 1) if pitch % 12 == root]
        near = found[-1] if found else 40
        found.append(min(choices, key=lambda pitch: abs(pitch - near)))
    return found
