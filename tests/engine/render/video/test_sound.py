"""Sound joined to pictures: as long as they are, in time with them, without touching them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.music.instruments import RATE
from engine.render.video.encode import join_film
from engine.render.video.ffmpeg import film_input, run
from engine.render.video.sound import Mix, encode_flac
from tests.engine.render.video.test_encode import RECIPE, segments_of


def clicks(frames: int, fps: int) -> NDArray[np.float32]:
    """Return a soundtrack with a short tone at the beginning of every eighth frame."""
    sound = np.zeros((round(frames / fps * RATE), 2), np.float32)
    tone = 0.5 * np.sin(2 * np.pi * 2_000 * np.arange(240) / RATE) * np.hanning(240)
    for frame in range(4, frames - 1, 8):
        start = round(frame / fps * RATE)
        sound[start : start + 240] += tone[: len(sound) - start, None].astype(np.float32)
    return sound


def decoded(film: Path) -> NDArray[np.float32]:
    raw = run([*film_input(film), "-map", "0:a:0", "-f", "f32le", "-ac", "2", "-"])
    return np.frombuffer(raw, np.float32).reshape(-1, 2)


def packets(film: Path) -> bytes:
    """Return each packet of the pictures: its times, its size and its MD5."""
    return run([*film_input(film), "-map", "0:v:0", "-c", "copy", "-f", "framemd5", "-"])


@pytest.mark.parametrize("fps", [8, 24, 25, 60])
@pytest.mark.parametrize("frames", [1, 29, 120])
def test_sound_and_pictures_are_together(tmp_path: Path, fps: int, frames: int) -> None:
    segments = segments_of(tmp_path, [frames], fps)
    sound = clicks(frames, fps)
    encode_flac(tmp_path / "s.flac", sound, RATE, tmp_path / "scratch")
    joined = dict(recipe_json=RECIPE, format="mp4", fps=fps, frames=frames)
    join_film(tmp_path / "still.mp4", segments, **joined)
    join_film(tmp_path / "film.mp4", segments, **joined, soundtrack=tmp_path / "s.flac")
    heard = decoded(tmp_path / "film.mp4")
    assert abs(len(heard) - frames / fps * RATE) < RATE / fps
    shared = min(len(heard), len(sound))
    if frames > 8:
        size = 2 * shared
        product = np.fft.rfft(heard[:shared, 0], size) * np.fft.rfft(sound[:shared, 0], size).conj()
        offset = int(np.fft.irfft(product, size).argmax())
        assert min(offset, size - offset) <= RATE / 1_000
        assert np.abs(heard[:shared] - sound[:shared]).mean() < 0.01
    assert packets(tmp_path / "film.mp4") == packets(tmp_path / "still.mp4")


def test_volume_and_fades_are_those_asked_for(tmp_path: Path) -> None:
    sound = 0.4 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
    stereo = np.repeat(sound[:, None], 2, axis=1).astype(np.float32)
    encode_flac(tmp_path / "s.flac", stereo, RATE, tmp_path / "scratch")
    segments = segments_of(tmp_path, [96], 24)

    def levels(mix: Mix) -> NDArray[np.float32]:
        """Return the loudest sample of each half second."""
        join_film(
            tmp_path / "film.mp4",
            segments,
            **dict(recipe_json=RECIPE, format="mp4", fps=24),
            soundtrack=tmp_path / "s.flac",
            mix=mix,
        )
        heard = decoded(tmp_path / "film.mp4")[: 4 * RATE, 0]
        return np.abs(heard).reshape(8, -1).max(axis=1) / 0.4

    assert levels(Mix()) == pytest.approx(1, abs=0.05)
    assert levels(Mix(volume=0.5)) == pytest.approx(0.5, abs=0.03)
    assert levels(Mix(volume=0))[1:] == pytest.approx(0, abs=1e-3)
    faded = levels(Mix(fade_in=2, fade_out=1))
    assert list(faded[:4]) == sorted(faded[:4])
    assert faded[0] < 0.6
    assert faded[4:6] == pytest.approx(1, abs=0.05)
    assert faded[7] < faded[6] + 0.02
    assert np.abs(decoded(tmp_path / "film.mp4")[3 * RATE + RATE * 9 // 10 : 4 * RATE]).max() < 0.1
    assert levels(Mix(fade_in=30, fade_out=30)).max() < 0.6  # both as long as the film


def test_a_flac_keeps_the_samples(tmp_path: Path) -> None:
    sound = clicks(48, 24)
    for name in "ab":
        encode_flac(tmp_path / name, sound, RATE, tmp_path / "scratch")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    heard = decoded(tmp_path / "a")
    assert len(heard) == len(sound)
    assert np.abs(heard - sound).max() < 2 / 2**15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_film_with_sound_has_the_same_bytes_again(tmp_path: Path) -> None:
    segments = segments_of(tmp_path, [12], 24)
    encode_flac(tmp_path / "s.flac", clicks(12, 24), RATE, tmp_path / "scratch")
    films = [tmp_path / f"{name}.mp4" for name in "abc"]
    for film in films:
        join_film(
            film, segments, recipe_json=RECIPE, format="mp4", fps=24, soundtrack=tmp_path / "s.flac"
        )
    made = [film.read_bytes() for film in films]
    assert all(one == two for one, two in itertools.pairwise(made))
