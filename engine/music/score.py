"""The values of a piece of music: keys, bars, sections, notes. It knows no sound and no words."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["ionian", "dorian", "lydian", "aeolian"]
MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones of the scale that all modes of a piece share
CENTRES: dict[Mode, int] = {"ionian": 0, "dorian": 1, "lydian": 3, "aeolian": 5}  # steps of it
DEGREES = 7


@dataclass(frozen=True)
class Key:
    """A tonal centre within a major scale.

    Attributes:
        parent: pitch class (0 is C) on which the major scale begins.
        mode: which step of that scale is the tonic.
    """

    parent: int
    mode: Mode

    @property
    def tonic(self) -> int:
        """Pitch class of the tonic."""
        return self.pitch(0) % 12

    @property
    def minor(self) -> bool:
        """Whether the third above the tonic is minor."""
        return self.pitch(2) - self.pitch(0) == 3

    def pitch(self, step: int) -> int:
        """Return the MIDI pitch of a step above the tonic of the lowest octave."""
        octave, place = divmod(CENTRES[self.mode] + step, DEGREES)
        return self.parent + MAJOR[place] + 12 * octave


@dataclass(frozen=True)
class Bar:
    """A bar: seconds at which it begins, its beats, seconds of each beat."""

    start: float
    beats: int
    beat: float

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.beats * self.beat

    def at(self, beat: float) -> float:
        """Return the seconds from the beginning of the piece to a beat of this bar, from 0."""
        return self.start + beat * self.beat


@dataclass(frozen=True)
class Note:
    """A note of one instrument.

    Attributes:
        instrument: its name in ``engine.music.instruments``.
        pitch: MIDI number; 69 is 440 Hz.
        start: seconds from the beginning of the piece.
        seconds: until it is released.
        velocity: loudness, above 0, up to 1.
        pan: -1 is left, 1 is right.
        part: of the piece: pad, bass, arpeggio, melody, echo or drums.
    """

    instrument: str
    pitch: int
    start: float
    seconds: float
    velocity: float
    pan: float
    part: str


@dataclass(frozen=True)
class Section:
    """The music of one scene: its key, the bars that fill it, and how lively it is, 0 to 1."""

    key: Key
    bars: tuple[Bar, ...]
    energy: float


@dataclass(frozen=True)
class Score:
    """A whole piece.

    Attributes:
        seconds: its duration.
        loops: whether its end leads into its beginning.
        sections: one for each scene.
        notes: in order of time.
        seed: of its sounds' noise.
    """

    seconds: float
    loops: bool
    sections: tuple[Section, ...]
    notes: tuple[Note, ...]
    seed: int
