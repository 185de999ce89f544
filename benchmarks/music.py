"""Composes a minute of music, prints what is measured of it, and draws its notes and its sound.

``python -m benchmarks.music docs/music.png``: above the piano roll, below the spectrogram.
"""

import sys
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.music import Score, compose, length, loudness, render
from engine.music.instruments import RATE

SCENES = (
    ("a calm lake at dawn", 16.0),
    ("a storm over the mountains at night", 14.0),
    ("snow falling on a city street", 12.5),
    ("sunny meadow with flowers", 17.5),
)
WIDTH, LOW, HIGH, ROW = 1_560, 30, 100, 6  # pixels, MIDI pitches, pixels of a pitch
COLOURS = {  # blue, green, red
    "pad": (216, 190, 150),
    "echo": (190, 190, 240),
    "arpeggio": (110, 180, 90),
    "bass": (150, 80, 60),
    "drums": (120, 120, 120),
    "melody": (40, 40, 220),
}
NAMES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
Picture = NDArray[np.uint8]


def roll(score: Score) -> Picture:
    """Draw the notes: time to the right, pitch upwards, what is louder darker."""
    picture = np.full(((HIGH - LOW) * ROW + 24, WIDTH, 3), 255, np.uint8)
    scale = WIDTH / score.seconds
    for section in score.sections:
        for index, bar in enumerate(section.bars):
            place = round(bar.start * scale)
            cv2.line(picture, (place, 0), (place, len(picture)), (90 if not index else 225,) * 3)
        key, tempo = section.key, 60 / section.bars[0].beat
        about = f"{NAMES[key.tonic]} {key.mode}, {tempo:.0f} BPM"
        place = round(section.bars[0].start * scale) + 4
        cv2.putText(picture, about, (place, len(picture) - 8), 0, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    for part, colour in COLOURS.items():
        for note in (note for note in score.notes if note.part == part):
            seconds = 0.1 if part == "drums" else note.seconds
            first, last = (round(at * scale) for at in (note.start, note.start + seconds))
            row = (HIGH - note.pitch) * ROW
            shade = 255 - (255 - np.array(colour)) * (0.3 + 0.7 * note.velocity)
            corner = max(first + 1, last - 1), row + ROW - 2
            cv2.rectangle(picture, (first, row), corner, tuple(map(int, shade)), -1)
    return picture


def spectrogram(sound: NDArray[np.float32]) -> Picture:
    """Draw the sound: time to the right, 40 Hz to 16 kHz upwards, 80 dB from dark to bright."""
    window, rows = 8_192, 300
    starts = np.linspace(0, len(sound) - window, WIDTH).astype(int)
    parts = sound.mean(axis=1)[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(parts)) ** 2
    bins = np.geomspace(40, 16_000, rows) / RATE * window
    level = 10 * np.log10(power[:, bins.astype(int)].T[::-1] + 1e-9)
    shade = np.clip((level - level.max() + 80) / 80, 0, 1)
    return np.asarray(cv2.applyColorMap((255 * shade).astype(np.uint8), cv2.COLORMAP_INFERNO))


def main() -> None:
    """Compose, measure, draw."""
    begun = time.process_time()
    score = compose(SCENES, seed=3)
    composed = time.process_time()
    sound = np.zeros((length(score), 2), np.float32)
    render(score, sound)
    spent = time.process_time() - composed
    print(f"composed in {composed - begun:.2f} s, played in {spent:.2f} s of processor time")
    print(f"{score.seconds:.0f} s of music: {spent / score.seconds:.3f} of its own time")
    print(f"{loudness.loudness(sound):.2f} LUFS, {loudness.true_peak(sound):.2f} dBTP")
    for path in sys.argv[1:]:
        cv2.imwrite(path, np.concatenate([roll(score), spectrogram(sound)]))


if __name__ == "__main__":
    main()
