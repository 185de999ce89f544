"""The sound of a piece, measured: by our own meter, by ffmpeg's, and against the notes."""

import functools
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.music import Score, compose, length, loudness, render
from engine.music.instruments import INSTRUMENTS, RATE, frequency, play

FILMS = (  # scenes, whether it loops
    ((("a calm lake at dawn", 8.0), ("a storm over mountains at night", 8.0)), False),
    ((("snow falling on a quiet village", 12.0),), True),
    ((("neon city street in the rain", 6.5), ("a fast train", 5.0), ("the sea", 7.3)), False),
    ((("a galaxy of stars", 5.0),), False),
    ((("a cat", 5.0),), True),
    ((("a sunny meadow with flowers, children dancing", 15.0),), False),
    ((("an abandoned house in fog", 9.0), ("a haunted grave", 9.0)), True),
    ((("desert dunes at sunset", 10.0), ("a festival", 6.0)), False),
    ((("a forest waterfall", 1.5), ("x", 0.4), ("a volcano", 9.0)), False),
    ((("a dragon", 9.0), ("a castle in the clouds", 9.0), ("a quiet garden", 9.0)), False),
)
# Krumhansl and Kessler 1982: how well pitch classes fit a key
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
Sound = NDArray[np.float32]


@functools.cache
def piece(index: int) -> tuple[Score, Sound]:
    scenes, loops = FILMS[index]
    return played(compose(scenes, loops=loops, seed=index))


def played(score: Score) -> tuple[Score, Sound]:
    sound = np.full((length(score), 2), np.nan, np.float32)
    render(score, sound)
    return score, sound


def measured_by_ffmpeg(sound: Sound, path: Path) -> tuple[float, float]:
    """Return loudness in LUFS and true peak in dBTP."""
    sound.tofile(path)
    raw = ("-f", "f32le", "-ar", str(RATE), "-ac", "2", "-i", str(path))
    meter = ("-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-")
    program = imageio_ffmpeg.get_ffmpeg_exe()
    ended = subprocess.run([program, *raw, *meter], capture_output=True, text=True, check=True)
    report = ended.stderr.rpartition("Summary:")[2]
    found = [re.search(rf"{name}: +(-?[\d.]+)", report) for name in ("I", "Peak")]
    assert found[0]
    assert found[1]
    return float(found[0][1]), float(found[1][1])


@pytest.mark.parametrize("index", range(len(FILMS)))
def test_a_piece_is_as_loud_as_it_should_be(index: int, tmp_path: Path) -> None:
    score, sound = piece(index)
    assert len(sound) == round(score.seconds * RATE)
    assert np.isfinite(sound).all()
    assert loudness.loudness(sound) == pytest.approx(-14.0, abs=0.1)
    assert loudness.true_peak(sound) <= -1.4
    loud, peak = measured_by_ffmpeg(sound, tmp_path / "sound")
    assert loud == pytest.approx(-14.0, abs=0.2)
    assert peak <= -1.3
    assert np.abs(sound).max() < 1.0


@pytest.mark.parametrize("index", range(len(FILMS)))
def test_no_silence_is_inside(index: int) -> None:
    """Each quarter of a second has sound, apart from the end that fades."""
    score, sound = piece(index)
    inner = sound if score.loops else sound[: -round(0.8 * RATE)]
    whole = inner[: len(inner) // 12_000 * 12_000].reshape(-1, 12_000, 2)
    levels = 10 * np.log10((whole**2).mean(axis=(1, 2)))
    assert levels.min() > -40


@pytest.mark.parametrize("index", [index for index, film in enumerate(FILMS) if not film[1]])
def test_an_ending_fades_to_nothing(index: int) -> None:
    _, sound = piece(index)
    assert np.abs(sound[-10:]).max() < 1e-4


@pytest.mark.parametrize("index", [index for index, film in enumerate(FILMS) if film[1]])
def test_a_loop_has_no_seam(index: int) -> None:
    """From the last sample to the first it steps and bends no more than elsewhere."""
    _, sound = piece(index)
    joined = np.concatenate([sound[-RATE:], sound[:RATE]]).astype(np.float64)
    for order in (1, 2, 3):
        steps = np.abs(np.diff(joined, order, axis=0)).max(axis=1)
        seam = steps[RATE - order - 2 : RATE + 2].max()
        assert seam <= np.quantile(np.abs(np.diff(sound, order, axis=0)), 0.9995)


def chroma(sound: Sound) -> NDArray[np.float64]:
    """Return the strength of each pitch class."""
    spectrum = np.abs(np.fft.rfft(sound.mean(axis=1) * np.hanning(len(sound)))) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    heard = (hertz > 60) & (hertz < 1_000)
    pitches = np.round(69 + 12 * np.log2(hertz[heard] / 440)).astype(int)
    energy = np.bincount(pitches, spectrum[heard], minlength=120)[:120] ** 0.5
    return np.asarray(energy.reshape(-1, 12).sum(axis=0))


def key_of(found: NDArray[np.float64]) -> tuple[int, bool]:
    """Return the tonic, and whether the key is minor."""
    fits = {
        (tonic, minor): np.corrcoef(found, np.roll(profile, tonic))[0, 1]
        for tonic in range(12)
        for minor, profile in ((False, MAJOR), (True, MINOR))
    }
    return max(fits, key=lambda key: fits[key])


@pytest.mark.parametrize("seed", [0, 2, 5])
@pytest.mark.parametrize("prompt", ["a happy sunny meadow", "a sad lonely house"])
def test_the_key_is_heard_as_composed(prompt: str, seed: int) -> None:
    score, sound = played(compose([(prompt, 26.0)], seed=seed))
    key = score.sections[0].key
    assert key_of(chroma(sound)) == (key.tonic, key.minor)


def test_a_seed_gives_the_same_samples_again_and_another_seed_others() -> None:
    scenes = [("a river", 3.0)]
    one, again, other = (played(compose(scenes, seed=seed))[1] for seed in (7, 7, 8))
    assert one.tobytes() == again.tobytes()
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("seconds", [1 / 60, 0.1, 0.39, 1.0])
@pytest.mark.parametrize("loops", [False, True])
def test_a_very_short_piece_has_sound(seconds: float, loops: bool) -> None:
    score, sound = played(compose([("dawn", seconds)], loops=loops))
    assert len(sound) == length(score)
    assert 0 < np.abs(sound).max() <= 10 ** (-1 / 20)


@pytest.mark.parametrize(
    "name", ["strings", "choir", "warm", "harp", "bell", "keys", "flute", "bass"]
)
def test_an_instrument_is_in_tune(name: str) -> None:
    """Its fundamental is within five cents, as the mean of a band where there are many voices."""
    pitch = 40 if name == "bass" else 69
    sound = np.atleast_2d(play(name, pitch, 2.0, 0.0))[0]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**19)) ** 2
    hertz = np.fft.rfftfreq(2**19, 1 / RATE)
    band = np.abs(hertz / frequency(pitch) - 1) < 0.03
    middle = (hertz[band] * spectrum[band]).sum() / spectrum[band].sum()
    assert abs(1200 * np.log2(middle / frequency(pitch))) < 5


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_note_begins_and_ends_without_a_click(name: str) -> None:
    sound = np.atleast_2d(play(name, 60, 0.4, 0.1))
    assert np.abs(sound[:, [0, -1]]).max() < 0.01 * np.abs(sound).max()


def test_the_meter_knows_the_standards_tone() -> None:
    """BS.1770: a sine of 997 Hz at full scale in one channel is -3.01 LUFS."""
    times = np.arange(5 * RATE) / RATE
    sound = np.zeros((len(times), 2), np.float32)
    sound[:, 0] = np.sin(2 * np.pi * 997 * times)
    assert loudness.loudness(sound) == pytest.approx(-3.01, abs=0.02)


def test_the_meter_finds_peaks_between_samples() -> None:
    """A sine of a quarter of the rate, an eighth of a turn off, is 3.01 dB above its samples."""
    times = np.arange(RATE)
    sine = 0.5 * np.sin(2 * np.pi * (times / 4 + 1 / 8)) * np.hanning(RATE)
    sound = np.stack([sine, sine], axis=1).astype(np.float32)
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-9.03, abs=0.01)
    assert loudness.true_peak(sound) == pytest.approx(-6.02, abs=0.05)
