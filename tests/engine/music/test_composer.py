"""The notes of a piece: its form follows the scenes, its harmony and melody follow rules."""

import itertools

import pytest

from engine.music.composer import compose
from engine.music.mood import Mood, mood_of
from engine.music.score import Bar, Note, Score

FILM = (
    ("a calm lake at dawn", 16.0),
    ("a storm over the mountains at night", 14.0),
    ("snow falling on a city street", 12.5),
    ("sunny meadow with flowers", 17.5),
)
AWKWARD = (
    (("x", 1 / 60),),
    (("a cat", 0.1),) * 64,
    (("a cat", 120.0), ("a storm", 0.1), ("a dog", 3.3)),
    (("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 1.5)),
    (("slow river", 2.4), ("fast racing car", 7.7)),
)
SEEDS = range(12)


def of(score: Score, part: str) -> list[Note]:
    return [note for note in score.notes if note.part == part]


def melodic(score: Score, bar: Bar) -> list[Note]:
    """Return the notes that begin in a bar, without drums and echoes of the bar before."""
    notes = (note for note in score.notes if note.part not in ("drums", "echo"))
    end = bar.start + bar.seconds
    return [note for note in notes if bar.start - 1e-6 <= note.start < end - 1e-6]


@pytest.mark.parametrize(
    ("prompt", "glad", "lively"),
    [
        ("a sunny meadow in spring, children dancing", True, True),
        ("a quiet garden at sunrise", True, False),
        ("thunder and lightning over a battle", False, True),
        ("rain on an abandoned house at night", False, False),
    ],
)
def test_words_give_the_mood(prompt: str, glad: bool, lively: bool) -> None:
    mood = mood_of(prompt)
    assert (mood.valence > 0) == glad
    assert (mood.energy > Mood().energy) == lively


@pytest.mark.parametrize("prompt", ["", "zxqv", "ein Haus am Bach", "\u6e56"])
def test_unknown_words_are_neutral(prompt: str) -> None:
    assert mood_of(prompt) == Mood()


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("film", [FILM, *AWKWARD])
def test_every_scene_begins_on_a_downbeat(film: tuple[tuple[str, float], ...], loops: bool) -> None:
    """Bars fill the scenes without a gap, and notes stay within the piece."""
    score = compose(film, loops=loops, seed=1)
    starts = [0.0, *itertools.accumulate(seconds for _, seconds in film)]
    assert [section.bars[0].start for section in score.sections] == pytest.approx(starts[:-1])
    bars = [bar for section in score.sections for bar in section.bars]
    for bar, following in itertools.pairwise(bars):
        assert bar.start + bar.seconds == pytest.approx(following.start)
    assert bars[-1].start + bars[-1].seconds == pytest.approx(starts[-1])
    downbeats = {round(note.start, 4) for note in score.notes if note.part == "pad"}
    assert {round(bar.start, 4) for bar in bars} == downbeats
    assert all(0 <= note.start < score.seconds for note in score.notes)
    assert all(0 < note.velocity <= 1 and note.seconds > 0 for note in score.notes)


def test_the_tempo_is_nearly_the_same_throughout() -> None:
    score = compose(FILM)
    beats = [section.bars[0].beat for section in score.sections]
    assert max(beats) / min(beats) < 1.06


def test_moods_choose_modes_within_one_scale() -> None:
    score = compose(FILM, seed=2)
    assert [section.key.minor for section in score.sections] == [False, True, True, False]
    assert len({section.key.parent for section in score.sections}) == 1
    for section in score.sections:
        scale = {section.key.pitch(step) % 12 for step in range(7)}
        leading = {(section.key.tonic - 1) % 12}  # of a minor key's dominant
        for bar in section.bars[:-1]:  # the last one leads to the next key
            heard = {note.pitch % 12 for note in melodic(score, bar)}
            assert heard <= (scale | leading if section.key.minor else scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_voices_move_little_and_never_cluster(seed: int) -> None:
    """The pad's voices: less than three semitones on average, no two a semitone apart."""
    score = compose(FILM, seed=seed)
    bars = itertools.groupby(of(score, "pad"), lambda note: note.start)
    chords = [sorted(note.pitch for note in notes) for _, notes in bars]
    assert all(len(chord) == 4 for chord in chords)
    assert all(b - a >= 2 for chord in chords for a, b in itertools.pairwise(chord))
    moves = [
        abs(new - old)
        for one, two in itertools.pairwise(chords)
        for old, new in zip(one, two, strict=True)
    ]
    assert sum(moves) / len(moves) < 3
    assert max(moves) <= 9
    outer = [(chord[0], chord[-1]) for chord in chords]
    parallel = [
        (two[1] - two[0]) % 12 in (0, 7)
        for one, two in itertools.pairwise(outer)
        if (one[1] - one[0]) % 12 == (two[1] - two[0]) % 12 and one[0] != two[0]
    ]
    assert not any(parallel)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_melody_can_be_sung(seed: int) -> None:
    """Its range is below two octaves, it mostly steps, and long notes do not rub with the pad."""
    score = compose(FILM, seed=seed)
    tones, pads = of(score, "melody"), of(score, "pad")
    pitches = [note.pitch for note in tones]
    assert max(pitches) - min(pitches) <= 22
    leaps = [abs(b - a) for a, b in itertools.pairwise(pitches)]
    assert max(leaps) <= 12
    assert sum(leap <= 4 for leap in leaps) > len(leaps) / 2
    for tone in tones:
        under = [
            note for note in pads if note.start <= tone.start + 1e-6 < note.start + note.seconds
        ]
        if tone.seconds > 1.2:
            assert not {(tone.pitch - note.pitch) % 12 for note in under} & {1}


def test_a_motif_returns() -> None:
    """The rhythm of the first bar of a melody is that of the third."""
    score = compose((("a sunny beach", 40.0),), seed=5)
    bars = score.sections[0].bars
    rhythms = [
        tuple(
            round((note.start - bar.start) / bar.beat, 2)
            for note in of(score, "melody")
            if bar.start - 1e-6 <= note.start < bar.start + bar.seconds - 1e-6
        )
        for bar in bars
    ]
    played = [index for index in range(0, len(bars) - 3, 4) if rhythms[index]]
    assert played
    assert all(rhythms[index] == rhythms[index + 2] for index in played)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_piece_ends_at_home(seed: int) -> None:
    """Its last bar has the tonic in the bass, under its chord; the melody ends on it too."""
    score = compose(FILM, seed=seed)
    key, last = score.sections[-1].key, score.sections[-1].bars[-1]
    ending = [note for note in score.notes if note.start >= last.start - 1e-6]
    classes = {note.pitch % 12 for note in ending if note.part in ("pad", "bass")}
    assert classes == {key.pitch(step) % 12 for step in (0, 2, 4)}
    assert [note.pitch % 12 for note in ending if note.part == "bass"] == [key.tonic]
    assert of(score, "melody")[-1].pitch % 12 == key.tonic


def test_seeds_give_other_pieces_and_one_seed_the_same() -> None:
    pieces = {compose(FILM, seed=seed).notes for seed in SEEDS}
    assert len(pieces) == len(SEEDS)
    assert compose(FILM, seed=3) == compose(FILM, seed=3)
