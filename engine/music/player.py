"""Plays a score: notes, room, loudness. It knows no prompts and no files.

It works in blocks, so that its memory depends on the output only, which may be a mapped file.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.music import loudness
from engine.music.instruments import INSTRUMENTS, LONGEST, RATE, play
from engine.music.score import Note, Score

TARGET = -14.0  # LUFS
CEILING = -1.5  # dBTP; what encodes the music may add half a decibel
BLOCK = 2**17  # samples, 2.7 s
ROOM_SECONDS = 2.2  # of the reverberation
RELEASE = 2.0  # seconds, more than any instrument's
TURNS = 8  # of a short loop that are played before it; more change nothing that is heard
FADE = 1.6  # seconds, at most, in which a piece that ends fades out


def length(score: Score) -> int:
    """Return the number of samples of a piece."""
    return max(1, round(score.seconds * RATE))


def render(
    score: Score, sound: NDArray[np.float32], check: Callable[[], None] = lambda: None
) -> None:
    """Play a piece: 48 kHz, -14 LUFS, no true peak above -1 dBTP.

    Args:
        score: the piece.
        sound: is filled; float32 ``(length(score), 2)``.
        check: is called for each block; may raise, to stop.
    """
    done = 0
    for block in _blocks(score, len(sound)):
        check()
        sound[done : done + len(block)] = block
        done += len(block)
    if not score.loops:
        fade = min(len(sound), round(min(FADE, score.seconds / 4) * RATE))
        sound[len(sound) - fade :] *= np.cos(np.linspace(0, np.pi / 2, fade))[:, None] ** 2
    loudness.normalise(sound, TARGET, CEILING, loops=score.loops, check=check)


def _blocks(score: Score, count: int) -> Iterator[NDArray[np.float32]]:
    """Yield the piece in blocks ``(length, 2)``.

    One that loops is played from before its beginning, so that what is heard there of its end is
    heard from the first sample on.
    """
    before = 0
    if score.loops:
        longest = max(min(note.seconds, LONGEST) for note in score.notes)
        tail = round((longest + RELEASE + ROOM_SECONDS) * RATE)
        before = -(-min(tail, TURNS * count) // BLOCK)
    notes = _repeated(score, count, before * BLOCK)
    reach = BLOCK + round((LONGEST + RELEASE) * RATE)
    dry, sent = np.zeros((2, reach), np.float32), np.zeros((2, reach), np.float32)
    room = _Room()
    waiting = next(notes, None)
    for first in range(-before * BLOCK, count, BLOCK):
        while waiting and waiting[0] < first + BLOCK:
            _add(dry, sent, waiting[1], waiting[0] - first)
            waiting = next(notes, None)
        block = dry[:, :BLOCK] + room.heard(sent[:, :BLOCK])
        for line in (dry, sent):
            line[:, :-BLOCK] = line[:, BLOCK:]
            line[:, -BLOCK:] = 0
        if first >= 0:
            yield block.T[: count - first]


def _repeated(score: Score, count: int, before: int) -> Iterator[tuple[int, Note]]:
    """Yield notes and the sample at which each begins, from ``before`` samples before the piece."""
    for turn in range(min(TURNS, -(-before // count)), -1, -1):
        for note in score.notes:
            start = round(note.start * RATE) - turn * count
            if start >= -before:
                yield start, note


def _add(dry: NDArray[np.float32], sent: NDArray[np.float32], note: Note, place: int) -> None:
    played = play(note.instrument, note.pitch, note.seconds, note.start)
    angle = (note.pan + 1) * np.pi / 4
    sides = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)
    sides = sides * np.float32(note.velocity**1.3 * 2**0.5)
    panned = played * sides
    end = place + panned.shape[1]
    dry[:, place:end] += panned
    panned *= np.float32(INSTRUMENTS[note.instrument].room)
    sent[:, place:end] += panned


class _Room:
    """A reverberation: noise that decays, the high frequencies first; convolved in blocks."""

    def __init__(self) -> None:
        count = round(ROOM_SECONDS * RATE)
        times = np.arange(count) / RATE
        rng = np.random.default_rng(1)
        response = np.zeros((2, count))
        for low, high, half in ((120, 600, 0.24), (600, 2_500, 0.2), (2_500, 9_000, 0.1)):
            spectrum = np.fft.rfft(rng.standard_normal((2, count)))
            hertz = np.fft.rfftfreq(count, 1 / RATE)
            spectrum *= 1 / (1 + (low / np.maximum(hertz, 1)) ** 4) / (1 + (hertz / high) ** 4)
            response += np.fft.irfft(spectrum, count) * np.exp2(-times / half)
        early = round(0.018 * RATE)  # before the first reflection
        response = np.roll(response, early, axis=1)
        response[:, :early] = 0
        response[:, early:] *= np.minimum(1, (times[: count - early] + 0.004) / 0.02)
        response *= np.clip((ROOM_SECONDS - times) / 0.3, 0, 1)
        response /= np.sqrt((response**2).sum(axis=1, keepdims=True))
        self._size = 2 ** int(np.ceil(np.log2(BLOCK + count)))
        self._response = np.fft.rfft(response, self._size).astype(np.complex64)
        self._rest = np.zeros((2, self._size - BLOCK), np.float32)

    def heard(self, sent: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is heard of a block, and of those before it."""
        whole = np.fft.irfft(np.fft.rfft(sent, self._size) * self._response, self._size)
        whole[:, : self._rest.shape[1]] += self._rest
        self._rest = whole[:, BLOCK:].copy()
        return whole[:, :BLOCK].astype(np.float32)
