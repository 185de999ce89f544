"""Composes the music of a film from its prompts: deterministic, offline, in milliseconds.

It decides keys, chords, melody and instruments; ``form`` has decided the bars. It knows no sound.
"""

import math
from collections.abc import Sequence
from random import Random

from engine.music import form, harmony, melody
from engine.music.harmony import Chord
from engine.music.melody import Motif, Tone
from engine.music.mood import Mood, mood_of
from engine.music.score import Bar, Key, Mode, Note, Score, Section

PARENTS = (0, 2, 3, 5, 7, 9, 10)  # pitch classes of C, D, Eb, F, G, A and Bb major
PHRASE = 4  # bars
SHORT = 1.1  # seconds; a bar as short repeats no chord and has no melody
LEADS = {  # instrument → groups of words that ask for it
    "bell": ("night", "cold", "wonder", "dread"),
    "flute": ("forest", "dawn", "high", "sad", "dusk", "dry"),
    "keys": ("city", "wet", "fast", "calm"),
    "harp": ("sea", "joy", "day"),
}
ARPEGGIOS = {
    "harp": ("forest", "dawn", "sea", "calm", "dusk", "sad", "high", "dry"),
    "bell": ("cold", "wonder", "joy"),
    "keys": ("city", "wet", "night", "fast", "day", "wild", "dread"),
}
PADS = {
    "strings": ("day", "sea", "joy", "high", "wild", "sad", "fast", "dawn"),
    "choir": ("wonder", "dusk", "night", "dread", "cold"),
    "warm": ("calm", "city", "wet", "forest", "dry"),
}
CENTRES = {"bell": 79, "flute": 76, "keys": 74, "harp": 74}  # of the melody, in MIDI pitches


def compose(scenes: Sequence[tuple[str, float]], *, loops: bool = False, seed: int = 0) -> Score:
    """Compose a piece; the same arguments give the same piece.

    Args:
        scenes: prompt and seconds of each, in order; seconds above 0.
        loops: whether its end leads into its beginning.
        seed: picks one of many pieces.
    """
    moods = [mood_of(prompt) for prompt, _ in scenes]
    lengths = [seconds for _, seconds in scenes]
    bars = form.bars(lengths, moods)
    parent = Random(f"{seed}/key").choice(PARENTS)
    sections = tuple(
        Section(Key(parent, _mode(mood, seed)), of, mood.energy)
        for mood, of in zip(moods, bars, strict=True)
    )
    seconds = sum(lengths)
    notes = _Arrangement(sections, moods, seconds, seed, loops=loops).notes()
    ordered = sorted(notes, key=lambda note: (note.start, note.part, note.pitch))
    return Score(seconds, loops, sections, tuple(ordered), seed)


def _mode(mood: Mood, seed: int) -> Mode:
    if mood.valence <= -0.25:
        return "aeolian"
    if mood.wonder >= 0.6:
        return "lydian"
    if mood.valence >= 0.15:
        return "ionian"
    return "dorian" if mood.valence < 0 or seed % 2 else "ionian"


class _Arrangement:
    """Gives every bar its notes.

    Args:
        sections: of the piece.
        moods: of each section.
        seconds: of the piece.
        seed: of its choices.
        loops: whether its end leads into its beginning.
    """

    def __init__(
        self,
        sections: Sequence[Section],
        moods: Sequence[Mood],
        seconds: float,
        seed: int,
        *,
        loops: bool,
    ) -> None:
        self._sections, self._moods = sections, moods
        self._seconds, self._seed, self._loops = seconds, seed, loops
        groups = [group for mood in moods for group in mood.groups]
        self._lead, self._arpeggio, self._pad = (
            _instrument(table, groups, Random(f"{seed}/{name}"))
            for name, table in (("lead", LEADS), ("arpeggio", ARPEGGIOS), ("pad", PADS))
        )
        energy = sum(section.energy for section in sections) / len(sections)
        self._motif = melody.motif(energy, Random(f"{seed}/motif"))
        self._rng = Random(f"{seed}/notes")

    def notes(self) -> list[Note]:
        """Return all notes."""
        bars = [bar for section in self._sections for bar in section.bars]
        chords = [each for index in range(len(self._sections)) for each in self._chords(index)]
        bass = harmony.basses(chords)
        voices = harmony.voiced(chords, bass)
        found: list[Note] = []
        place = 0
        last: int | None = None
        for number, section in enumerate(self._sections):
            for first in range(0, len(section.bars), PHRASE):
                part = slice(place + first, place + min(first + PHRASE, len(section.bars)))
                found += self._accompanied(number, bars[part], voices[part], bass[part], part.start)
                tones = self._melody(number, first, bars[part], chords[part], voices[part], last)
                found += self._played(tones)
                last = tones[-1].pitch if tones else last
            place += len(section.bars)
        return found

    def _chords(self, number: int) -> list[Chord]:
        """Return the chords of a section; its last bars lead to what follows."""
        section, wonder = self._sections[number], self._moods[number].wonder
        rng = Random(f"{self._seed}/chords/{section.key.mode}")  # a mood that returns has its own
        plans = rng.sample(harmony.PROGRESSIONS[section.key.mode], 2)
        found: list[Chord] = []
        for index, first in enumerate(range(0, len(section.bars), PHRASE)):
            count = min(PHRASE, len(section.bars) - first)
            plan: tuple[int, ...] = plans[0] if index % 4 != 2 else plans[1]
            if not first and count < PHRASE:  # a section begins at home
                plan = (0,) * (5 - count) + plan[5 - count :]
            found += harmony.phrase(section.key, count, rng, wonder, plan)
        if number == len(self._sections) - 1 and not self._loops:
            return self._closed(found, section.key)
        following = self._sections[(number + 1) % len(self._sections)].key
        if len(found) > 1:
            found[-1] = harmony.chord(following, harmony.DOMINANT)
        return found

    def _closed(self, chords: list[Chord], key: Key) -> list[Chord]:
        """Return a last section's chords with a full cadence, as far as it leaves the first."""
        whole = [harmony.BEFORE_DOMINANT[key.mode], harmony.DOMINANT, 0]
        ending = whole[-max(1, min(3, len(chords) - 1)) :]
        kept = chords[: len(chords) - len(ending)]
        return [*kept, *(harmony.chord(key, root) for root in ending)]

    def _level(self, bar: Bar, energy: float) -> float:
        """Return how loud a bar is played: an arc over the piece, a swell in each section."""
        share = bar.start / self._seconds
        arc = math.sin(math.pi * share) if self._loops else math.sin(math.pi * share**0.8) ** 0.7
        return min(1.0, 0.55 + 0.25 * energy + 0.2 * arc)

    def _accompanied(
        self,
        number: int,
        bars: Sequence[Bar],
        voices: Sequence[tuple[int, ...]],
        bass: Sequence[int],
        place: int,
    ) -> list[Note]:
        """Return pad, bass, arpeggio and drums of a phrase."""
        section = self._sections[number]
        found: list[Note] = []
        for index, bar in enumerate(bars):
            level, ends = self._level(bar, section.energy), self._ends(bar)
            chord = zip(voices[index], (-0.5, 0.3, -0.2, 0.5), strict=True)
            found += [
                Note(self._pad, pitch, bar.start, bar.seconds, 0.8 * level, pan, "pad")
                for pitch, pan in chord
            ]
            found += self._bass(bar, bass[index], section.energy, level, ends=ends)
            if bar.seconds >= SHORT:
                found += self._broken(bar, voices[index], section.energy, level, ends=ends)
                # an introduction without drums, where there is time for one
                if section.energy > 0.5 and not ends and (place + index >= PHRASE or number):
                    found += self._drums(bar, section.energy, level, fill=index == PHRASE - 1)
        return found

    def _ends(self, bar: Bar) -> bool:
        """Tell whether a bar is the last one of a piece that ends."""
        return not self._loops and bar.start + bar.seconds > self._seconds - 1e-6

    def _bass(self, bar: Bar, pitch: int, energy: float, level: float, *, ends: bool) -> list[Note]:
        if ends or energy < 0.3 or bar.beats < PHRASE:
            return [Note("bass", pitch, bar.start, bar.seconds, 0.9 * level, 0.0, "bass")]
        second = 2.5 if energy > 0.55 else 2.0
        fifth = pitch + 7 if pitch < 40 and energy > 0.55 else pitch
        return [
            Note("bass", pitch, bar.start, second * bar.beat * 0.95, level, 0.0, "bass"),
            Note(
                "bass",
                fifth,
                bar.at(second),
                (bar.beats - second) * bar.beat * 0.95,
                0.75 * level,
                0.0,
                "bass",
            ),
        ]

    def _broken(
        self, bar: Bar, voices: Sequence[int], energy: float, level: float, *, ends: bool
    ) -> list[Note]:
        """Return the chord, one tone after another; rolled where the piece ends."""
        tones = [*(pitch + 12 for pitch in voices), voices[0] + 24]
        step = 1.0 if energy < 0.25 else 0.5
        if ends:
            roll = min(0.12, bar.seconds / 10)
            places = [(index * roll / bar.beat, pitch) for index, pitch in enumerate(tones)]
        else:
            order = (0, 2, 1, 3, 4, 3, 1, 2) if energy < 0.6 else (0, 1, 2, 3, 4, 3, 2, 1)
            count = int(bar.beats / step)
            places = [(index * step, tones[order[index % 8]]) for index in range(count)]
        found = []
        for beat, pitch in places:
            accent = 1.0 if beat % 2 == 0 else 0.72 if beat % 1 == 0 else 0.58
            if not ends and beat % 1 and self._rng.random() < 0.12:
                continue
            loud = level * accent * (0.5 + 0.1 * self._rng.random())
            pan = max(-0.7, min(0.7, (pitch - 72) / 16))
            start, length = bar.at(beat), 2 * step * bar.beat
            found.append(Note(self._arpeggio, pitch, start, length, loud, pan, "arpeggio"))
        return found

    def _drums(self, bar: Bar, energy: float, level: float, *, fill: bool) -> list[Note]:
        hits = [("kick", float(beat), 0.8) for beat in range(0, bar.beats, 2)]
        hits += [("shaker", beat / 2, 0.5 if beat % 2 else 0.35) for beat in range(bar.beats * 2)]
        if energy > 0.65:
            hits += [("snare", beat, 0.55) for beat in range(1, bar.beats, 2)]
        if fill and energy > 0.65:
            hits += [("snare", bar.beats - 0.5, 0.4), ("kick", bar.beats - 1.5, 0.5)]
        return [
            Note(
                name,
                {"kick": 36, "snare": 38, "shaker": 70}[name],
                bar.at(beat),
                0.3,
                loud * level,
                0.25 if name == "shaker" else 0.0,
                "drums",
            )
            for name, beat, loud in hits
        ]

    def _melody(
        self,
        number: int,
        first: int,
        bars: Sequence[Bar],
        chords: Sequence[Chord],
        voices: Sequence[tuple[int, ...]],
        last: int | None,
    ) -> list[Tone]:
        """Return the melody of a phrase; a long piece begins without one."""
        section = self._sections[number]
        total = sum(len(each.bars) for each in self._sections)
        if bars[0].seconds < SHORT or (total > 3 * PHRASE and not number and not first):
            return []
        if bars[0].start + 1e-6 >= self._seconds - bars[0].seconds and not self._loops:
            return []
        closes = first + PHRASE >= len(section.bars)
        return melody.phrase(
            self._idea(section),
            bars,
            chords,
            voices,
            CENTRES[self._lead],
            last,
            answer=(first // PHRASE) % 2 == 1,
            home=closes,
        )

    def _idea(self, section: Section) -> Motif:
        """Return the motif, in other rhythms where a section is much livelier or calmer."""
        rng = Random(f"{self._seed}/rhythm/{int(section.energy * 3)}")
        other = melody.motif(section.energy, rng)
        return Motif(other.rhythms, other.cadence, self._motif.shape)

    def _played(self, tones: Sequence[Tone]) -> list[Note]:
        """Return the notes of a melody, and their echoes where the instrument rings."""
        found = []
        for tone in tones:
            energy = 0.5
            accent = 1.0 if tone.beat == 0 else 0.88 if tone.beat % 1 == 0 else 0.78
            high = (tone.pitch - CENTRES[self._lead]) / 60
            loud = min(1.0, self._level(tone.bar, energy) * (accent + high))
            start, length = tone.bar.at(tone.beat), tone.beats * tone.bar.beat
            found.append(Note(self._lead, tone.pitch, start, length, loud, 0.08, "melody"))
            for repeat in (1, 2) if self._lead != "flute" else ():
                late = start + 0.75 * repeat * tone.bar.beat
                if late + 0.3 < self._seconds:
                    pan = 0.6 * (-1) ** repeat
                    soft = loud * 0.3**repeat
                    found.append(Note(self._lead, tone.pitch, late, length, soft, pan, "echo"))
        return found


def _instrument(table: dict[str, tuple[str, ...]], groups: Sequence[str], rng: Random) -> str:
    """Return the instrument that most of the words ask for; the seed decides between equals."""
    merits = {
        name: sum(group in wanted for group in groups) + 0.5 * rng.random()
        for name, wanted in table.items()
    }
    return max(merits, key=lambda name: merits[name])
