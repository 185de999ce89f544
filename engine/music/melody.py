"""Writes melodies: a motif that returns, is moved and answered, over phrases of four bars.

It knows keys, chords and bars, no instruments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from engine.music.harmony import Chord
from engine.music.score import Bar

Rhythm = tuple[tuple[float, float], ...]  # of a bar: beats at which notes begin, and their length
RHYTHMS: tuple[tuple[Rhythm, ...], ...] = (  # from still to lively
    (((0, 3), (3, 1)), ((0, 2), (2, 2)), ((0, 4),), ((1, 3),)),
    (((0, 2), (2, 1), (3, 1)), ((0, 1.5), (1.5, 0.5), (2, 2)), ((0, 1), (1, 1), (2, 2))),
    (
        ((0, 1), (1, 0.5), (1.5, 0.5), (2, 2)),
        ((0.5, 0.5), (1, 1), (2, 1.5), (3.5, 0.5)),
        ((0, 1.5), (1.5, 0.5), (2, 1), (3, 1)),
    ),
)
CADENCES: tuple[Rhythm, ...] = (((0, 3),), ((0, 1), (1, 2.5)), ((0, 1.5), (1.5, 2)))
SHAPES = (  # of a motif: steps of the scale above its first note
    (0, 1, 2, 1),
    (0, 2, 1, 0),
    (0, -1, 0, 2),
    (0, 2, 4, 3),
    (0, 1, -1, 0),
    (0, 3, 2, 1),
)
ARCH = (0, 2, 4, 1)  # how high the bars of a phrase begin, in steps of the scale
LONGEST_LEAP = 9  # semitones


@dataclass(frozen=True)
class Tone:
    """A note of the melody: its bar, the beat it begins at, its beats, its MIDI pitch."""

    bar: Bar
    beat: float
    beats: float
    pitch: int


@dataclass(frozen=True)
class Motif:
    """What a melody is made of: the rhythms of two bars and of a cadence, and its shape."""

    rhythms: tuple[Rhythm, Rhythm]
    cadence: Rhythm
    shape: tuple[int, ...]


def motif(energy: float, rng: Random) -> Motif:
    """Return a motif for an energy, 0 to 1."""
    lively = RHYTHMS[min(2, int(energy * 3))]
    first = rng.choice(lively)
    return Motif((first, rng.choice(lively)), rng.choice(CADENCES), rng.choice(SHAPES))


def phrase(
    idea: Motif,
    bars: Sequence[Bar],
    chords: Sequence[Chord],
    voices: Sequence[tuple[int, ...]],
    centre: int,
    before: int | None,
    *,
    answer: bool,
    home: bool,
) -> list[Tone]:
    """Return the melody of a phrase of one to four bars.

    Args:
        idea: what it is made of.
        bars: of the phrase.
        chords: of each bar.
        voices: pitches of the pad in each bar, with which long notes must not clash.
        centre: MIDI pitch around which it moves.
        before: the last pitch of the phrase before; None at the beginning.
        answer: whether the motif is turned upside down in the second half.
        home: whether it ends on the tonic.
    """
    tones: list[Tone] = []
    for index, (bar, harmony, pad) in enumerate(zip(bars, chords, voices, strict=True)):
        closes = index == len(bars) - 1
        rhythm = idea.cadence if closes else idea.rhythms[index % 2]
        scale = _scale(harmony, centre)
        anchor = _nearest(scale, centre - 3) + (0 if closes else ARCH[index % 4])
        turn = -1 if answer and index == 2 else 1
        fitting = [(beat, length) for beat, length in rhythm if beat < bar.beats]
        for place, (beat, length) in enumerate(fitting):
            shape = 0 if closes else turn * idea.shape[place % len(idea.shape)]
            wanted = scale[max(0, min(len(scale) - 1, anchor + shape))]
            length = min(length, bar.beats - beat)
            final = closes and place == len(fitting) - 1
            allowed = _allowed(scale, harmony, pad, firm=beat % 2 == 0 or length >= 1.5 or final)
            if final and home and harmony.key.tonic in harmony.classes:
                allowed = [pitch for pitch in scale if pitch % 12 == harmony.key.tonic]
            before = _chosen(allowed, wanted, before)
            tones.append(Tone(bar, beat, length, before))
    return tones


def _scale(harmony: Chord, centre: int) -> list[int]:
    pitches = (harmony.pitch(step) for step in range(80))
    return [pitch for pitch in pitches if centre - 10 <= pitch <= centre + 12]


def _nearest(scale: Sequence[int], pitch: int) -> int:
    return min(range(len(scale)), key=lambda index: abs(scale[index] - pitch))


def _allowed(
    scale: Sequence[int], harmony: Chord, pad: Sequence[int], *, firm: bool
) -> Sequence[int]:
    """Return the pitches for a note; firm ones are of the chord and no semitone off the pad."""
    if not firm:
        return scale
    near = {(pitch + side) % 12 for pitch in pad for side in (-1, 1)}
    own = [pitch for pitch in scale if pitch % 12 in harmony.classes]
    return [pitch for pitch in own if pitch % 12 not in near] or own


def _chosen(allowed: Sequence[int], wanted: int, before: int | None) -> int:
    """Return the allowed pitch nearest to the wanted one that is no long leap."""

    def cost(pitch: int) -> float:
        if before is None:
            return abs(pitch - wanted)
        leap = abs(pitch - before)
        return abs(pitch - wanted) + (1.5 if leap == 0 else 0) + 4 * max(0, leap - LONGEST_LEAP)

    return min(allowed, key=cost)
