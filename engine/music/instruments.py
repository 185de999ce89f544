"""A small synthesiser: pads, plucked strings, bells, keys, a flute, bass and soft drums.

Each instrument turns a pitch into samples; no recording is used. It knows no piece and no bars.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 48_000  # samples a second
Samples = NDArray[np.float32]  # (length,) or stereo (2, length)
TABLE = 2**17  # samples of a pad's table, which repeats without a seam
LONGEST = 16.0  # seconds of a note
Sound = Callable[[int, float, float], Samples]


@dataclass(frozen=True)
class Instrument:
    """How an instrument sounds.

    Attributes:
        gain: at a velocity of 1.
        room: share that is sent to the reverberation.
        release: seconds in which a note ends.
        sound: returns a note's samples for pitch, seconds (release included) and start.
    """

    gain: float
    room: float
    release: float
    sound: Sound


def frequency(pitch: int) -> float:
    """Return the frequency of a MIDI pitch in hertz."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def play(name: str, pitch: int, seconds: float, start: float) -> Samples:
    """Return a note with its release at a velocity of 1; ``(length,)`` or stereo."""
    instrument = INSTRUMENTS[name]
    held = min(seconds, LONGEST)
    sound = instrument.sound(pitch, held + instrument.release, start)
    length = min(sound.shape[-1], round((held + instrument.release) * RATE))
    fade = min(length, round(instrument.release * RATE))
    played = sound[..., :length] * np.float32(instrument.gain)
    played[..., length - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    return played


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * RATE)) / RATE


def _noise(count: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, count)


def _begun(sound: NDArray[np.float64], seconds: float) -> Samples:
    """Let a sound begin within a time, in seconds, instead of at once."""
    count = min(len(sound), max(1, round(seconds * RATE)))
    sound[:count] *= np.sin(np.linspace(0, np.pi / 2, count)) ** 2
    return sound.astype(np.float32)


def _pad(
    slope: float, cents: float, formants: tuple[tuple[float, float], ...], attack: float
) -> Sound:
    """Return an instrument of many voices.

    Its table is made from its spectrum (Nasca Octavian Paul's PADsynth, public domain): every
    harmonic is a band as wide as the voices are apart, with random phases.

    Args:
        slope: power of the harmonic's number by which it is weaker.
        cents: how far the voices are apart.
        formants: frequency and width in hertz of bands that are stronger, as of a vowel.
        attack: seconds.
    """

    @functools.lru_cache(maxsize=64)
    def table(pitch: int) -> NDArray[np.float32]:
        base = frequency(pitch)
        hertz = np.fft.rfftfreq(TABLE, 1 / RATE)
        spectrum = np.zeros(len(hertz))
        for number in range(1, min(40, int(9_000 / base)) + 1):
            middle = base * number
            width = middle * (2 ** (cents / 1200) - 1)
            strength = number**-slope * np.exp(-middle / 3_500)
            if formants:
                strength *= 0.15 + sum(
                    np.exp(-(((middle - each) / wide) ** 2)) for each, wide in formants
                )
            low, high = np.searchsorted(hertz, (middle - 4 * width, middle + 4 * width))
            band = np.exp(-(((hertz[low:high] - middle) / width) ** 2))
            spectrum[low:high] += strength * band / np.sqrt((band**2).sum())
        phases = np.random.default_rng(pitch).uniform(0, 2 * np.pi, len(hertz))
        wave = np.fft.irfft(spectrum * np.exp(1j * phases), TABLE)
        softened: NDArray[np.float32] = (wave / wave.std()).astype(np.float32)
        return softened

    def sound(pitch: int, seconds: float, start: float) -> Samples:
        count, wave = round(seconds * RATE), table(pitch)
        offset = round(start * 1_000) * 7_919
        parts = [
            np.resize(np.roll(wave, -(offset + side) % TABLE), count) for side in (0, TABLE // 2)
        ]
        played = np.stack(parts)
        rise = min(count, round(min(attack, seconds / 2) * RATE))
        played[:, :rise] *= np.sin(np.linspace(0, np.pi / 2, rise, dtype=np.float32)) ** 2
        return played

    return sound


@functools.lru_cache(maxsize=64)
def _plucked(pitch: int) -> Samples:
    """Return a plucked string: Karplus and Strong 1983, a period at a time, tuned by resampling."""
    base = frequency(pitch)
    period = int(RATE / base)
    burst = _noise(period, pitch)
    for _ in range(3):
        burst = 0.5 * (burst + np.roll(burst, 1))  # a soft finger
    wave = burst - burst.mean()
    count = round(min(4.0, 1.2 + 500 / base) * RATE)
    loss = 0.5 ** (1 / (base * 0.6))  # of a period; half of it is gone after 0.6 s
    periods = np.empty((count // period + 2, period))
    for row in periods:
        row[:] = wave
        wave = loss * (0.6 * wave + 0.4 * np.roll(wave, 1))
    string = periods.reshape(-1)
    # the mean of neighbours delays each period by 0.4 of a sample
    places = np.arange(count) * (base * (period + 0.4) / RATE)
    tuned = np.interp(places, np.arange(len(string)), string)
    return _begun(tuned / np.abs(tuned).max(), 0.002)


def _rung(
    partials: tuple[tuple[float, float, float], ...], seconds: float
) -> Callable[[int], Samples]:
    """Return an instrument of partials: frequency ratio, strength, half-life in seconds at C5."""

    @functools.lru_cache(maxsize=64)
    def ring(pitch: int) -> Samples:
        base, times = frequency(pitch), _times(seconds)
        slower = (523.25 / base) ** 0.5
        wave = np.zeros(len(times))
        for ratio, strength, half in partials:
            if base * ratio < RATE * 0.4:
                decay = np.exp2(-times / (half * slower))
                wave += strength * decay * np.sin(2 * np.pi * base * ratio * times)
        return _begun(wave, 0.003)

    return ring


@functools.lru_cache(maxsize=64)
def _keys(pitch: int) -> Samples:
    """Return an electric piano: frequency modulation that fades, and a struck tine."""
    base, times = frequency(pitch), _times(3.5)
    body = np.sin(
        2 * np.pi * base * times + 1.1 * np.exp(-times / 0.5) * np.sin(2 * np.pi * base * times)
    )
    tine = 0.12 * np.exp(-times / 0.08) * np.sin(2 * np.pi * min(base * 7, 9_000) * times)
    return _begun((body + tine) * np.exp2(-times / (0.7 * (300 / base) ** 0.4)), 0.004)


def _flute(pitch: int, seconds: float, _: float) -> Samples:
    base, times = frequency(pitch), _times(seconds)
    vibrato = 0.004 * np.clip((times - 0.25) / 0.4, 0, 1) * np.sin(2 * np.pi * 4.9 * times)
    phase = 2 * np.pi * base * (times + np.cumsum(vibrato) / RATE)
    wave = sum(
        strength * np.sin(number * phase)
        for number, strength in ((1, 1.0), (2, 0.28), (3, 0.12), (4, 0.04))
    )
    wave = wave * (0.85 + 0.15 * np.exp(-times / 0.15)) + 0.015 * _noise(len(times), pitch)
    return _begun(np.asarray(wave), 0.06)


@functools.lru_cache(maxsize=32)
def _bass(pitch: int) -> Samples:
    base, times = frequency(pitch), _times(8.0)
    wave = sum(
        strength * np.exp2(-times / half) * np.sin(2 * np.pi * base * number * times)
        for number, strength, half in ((1, 1.0, 2.5), (2, 0.45, 1.2), (3, 0.2, 0.6), (4, 0.1, 0.3))
    )
    return _begun(np.asarray(wave), 0.012)


@functools.lru_cache(maxsize=4)
def _kick(_: int) -> Samples:
    times = _times(0.4)
    phase = 2 * np.pi * (48 * times + 70 * 0.035 * (1 - np.exp(-times / 0.035)))
    return _begun(np.sin(phase) * np.exp(-times / 0.11), 0.002)


def _hissed(low: float, high: float, half: float, tone: float) -> Callable[[int], Samples]:
    """Return a drum of noise between two frequencies, in hertz, and some of a tone."""

    @functools.lru_cache(maxsize=4)
    def hit(pitch: int) -> Samples:
        times = _times(0.3)
        spectrum = np.fft.rfft(_noise(len(times), pitch))
        hertz = np.fft.rfftfreq(len(times), 1 / RATE)
        spectrum *= (hertz / (hertz + low)) ** 2 * np.exp(-((hertz / high) ** 2))
        wave = np.fft.irfft(spectrum, len(times))
        wave = wave / np.abs(wave).max() + tone * np.sin(2 * np.pi * 185 * times)
        return _begun(wave * np.exp2(-times / half), 0.004)

    return hit


def _fixed(sound: Callable[[int], Samples]) -> Sound:
    return lambda pitch, *_: sound(pitch)


BELL = ((1.0, 1.0, 0.9), (2.0, 0.35, 0.6), (2.76, 0.22, 0.35), (5.4, 0.1, 0.15), (0.5, 0.12, 1.2))
VOWEL = ((600.0, 250.0), (1_050.0, 300.0), (2_700.0, 600.0))
INSTRUMENTS = {
    "strings": Instrument(0.06, 0.35, 0.9, _pad(1.25, 22, (), 0.35)),
    "choir": Instrument(0.06, 0.5, 1.1, _pad(0.9, 26, VOWEL, 0.5)),
    "warm": Instrument(0.065, 0.35, 1.0, _pad(1.9, 16, (), 0.4)),
    "harp": Instrument(0.7, 0.35, 0.5, _fixed(_plucked)),
    "bell": Instrument(0.17, 0.5, 0.7, _fixed(_rung(BELL, 4.0))),
    "keys": Instrument(0.26, 0.3, 0.3, _fixed(_keys)),
    "flute": Instrument(0.14, 0.45, 0.12, _flute),
    "bass": Instrument(0.2, 0.06, 0.15, _fixed(_bass)),
    "kick": Instrument(0.4, 0.08, 0.05, _fixed(_kick)),
    "snare": Instrument(0.16, 0.35, 0.05, _fixed(_hissed(900, 6_000, 0.05, 0.4))),
    "shaker": Instrument(0.1, 0.2, 0.05, _fixed(_hissed(5_000, 12_000, 0.025, 0.0))),
}
