"""Numbered frames through segments and films: each carries its number as a bar code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import AssemblyError, StorageError
from engine.film.recipe import Format
from engine.render.video import encode, ffmpeg, gif
from engine.render.video.encode import encode_segment, join_film, read_recipe
from engine.render.video.ffmpeg import Frame, probe, read_frames

BITS, BAR = 10, 8
WIDTH, HEIGHT = 96, 64
RECIPE = '{"scenes":[{"prompt":"dawn over the sea"}]}'
HOSTILE = [
    "quotes ' \" and \\ backslash \\\\ twice",
    "line\nbreak\n\nand\r\ncarriage return\r",
    "a=b;c#d\n;FFMETADATA1\ntitle=stolen\n[STREAM]",
    "ünïcödé 漢字 🌅 \u202e right to left \u2028",
    " leading and trailing ",
    "%d %s $(touch x) `id` | & > file ../..",
    "\x01\x1f\x7f\t",
    "x" * 200_000,  # more than one argument of a command may hold
]


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    frame = np.full((height, width, 3), 100, np.uint8)
    for bit in range(BITS):
        frame[:, bit * BAR : (bit + 1) * BAR] = 220 if number >> bit & 1 else 30
    return frame


def number_of(frame: Frame) -> int:
    bars = [frame[:, bit * BAR + 2 : (bit + 1) * BAR - 2].mean() for bit in range(BITS)]
    return sum((bar > 125) << bit for bit, bar in enumerate(bars))


def segments_of(folder: Path, lengths: list[int], fps: int) -> list[Path]:
    """Encode segments of consecutive numbers."""
    paths, start = [], 0
    for index, length in enumerate(lengths):
        path = folder / f"segment {index}'s.mp4"
        frames = (numbered(number) for number in range(start, start + length))
        assert encode_segment(path, frames, fps=fps, width=WIDTH, height=HEIGHT) == length
        paths.append(path)
        start += length
    return paths


def film_of(folder: Path, lengths: list[int], fps: int, format: Format = "mp4") -> Path:
    film = folder / f"film.{format}"
    segments = segments_of(folder, lengths, fps)
    join_film(film, segments, recipe_json=RECIPE, format=format, fps=fps)
    return film


# --- Order, number and time of frames ---


@pytest.mark.parametrize("fps", [8, 10, 12, 15, 16, 23, 24, 25, 30, 48, 50, 60])
def test_every_frame_occurs_once_and_in_order(tmp_path: Path, fps: int) -> None:
    lengths = [8, 8, 7, 1, 8, 3]
    film = film_of(tmp_path, lengths, fps)
    assert [number_of(frame) for frame in read_frames(film)] == list(range(sum(lengths)))
    assert probe(film) == (sum(lengths), Fraction(sum(lengths), fps), WIDTH, HEIGHT)


def test_ninety_six_frames_at_24_fps_last_four_seconds_exactly(tmp_path: Path) -> None:
    film = film_of(tmp_path, [8] * 12, 24)
    assert probe(film).seconds == 4
    assert _container_seconds(film) == "00:00:04.00"
    assert probe(film).frame_rate == 24


def test_time_does_not_drift_over_many_segments(tmp_path: Path) -> None:
    """A third of a millisecond in 60 s would already move a frame by a tick."""
    segments = segments_of(tmp_path, [7], 30) * 250
    film = tmp_path / "long.mp4"
    joined = join_film(film, segments, recipe_json=RECIPE, format="mp4", fps=30, frames=1750)
    assert joined == (1750, Fraction(1750, 30), WIDTH, HEIGHT)
    assert _tick_steps(film) == {encode.TICKS_PER_FRAME}


def test_one_frame_is_a_film(tmp_path: Path) -> None:
    assert probe(film_of(tmp_path, [1], 24)).frames == 1


def test_missing_frames_are_noticed(tmp_path: Path) -> None:
    segments = segments_of(tmp_path, [5], 24)
    with pytest.raises(AssemblyError, match="10 frames at 24 fps were to be"):
        join_film(tmp_path / "film", segments, recipe_json="", format="mp4", fps=24, frames=10)
    assert not (tmp_path / "film").exists()


# --- What players need ---


def test_the_film_is_what_browsers_play(tmp_path: Path) -> None:
    said = _described(film_of(tmp_path, [4, 4], 24))
    assert "h264" in said
    assert "yuv420p(tv, bt709" in said
    assert f"{WIDTH}x{HEIGHT}" in said
    assert "24 fps" in said


def test_the_index_precedes_the_pictures(tmp_path: Path) -> None:
    data = film_of(tmp_path, [4, 4], 24).read_bytes()
    assert -1 < data.find(b"moov") < data.find(b"mdat")


def test_colours_come_back(tmp_path: Path) -> None:
    """Flat colours within rounding: a wrong matrix or range is off by ten and more."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [20, 130, 90]])
    frame = np.repeat(np.repeat(colours.astype(np.uint8)[None], 64, 0), 16, 1)
    encode_segment(tmp_path / "s", [frame] * 3, fps=24, width=80, height=64)
    result = next(read_frames(tmp_path / "s"))[32, 8::16].astype(int)
    assert np.abs(result - colours).max() <= 4


def test_a_segment_refers_to_no_earlier_frames(tmp_path: Path) -> None:
    """The second half of a film decodes by itself."""
    second = segments_of(tmp_path, [6, 6], 24)[1]
    assert [number_of(frame) for frame in read_frames(second)] == list(range(6, 12))


def textured(number: int) -> Frame:
    """Return a picture that changes slowly all over, with a fine grain that rests."""
    y, x = np.mgrid[:192, :256].astype(np.float32)
    waves = 120 + 60 * np.sin(x / 90 + number / 200), 100 + 50 * np.cos(y / 70 + number / 200)
    grain = np.random.default_rng(1).normal(size=(192, 256, 3)).astype(np.float32)
    grain = 120 * cv2.GaussianBlur(grain, (0, 0), 3)
    picture = np.stack([*waves, 140 + 40 * np.sin((x + y) / 120 + number / 200)], -1) + grain
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_where_segments_meet_the_codec_s_noise_hardly_twitches(tmp_path: Path) -> None:
    """In L*a*b*: 0.2 is motion; the encoder's own way at much the same size makes 1.5 of it."""
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, first in zip(paths, (0, 6), strict=True):
        frames = (textured(number) for number in range(first, first + 6))
        encode_segment(path, frames, fps=24, width=256, height=192)
    one, two = ([*read_frames(path)] for path in paths)
    meet = [cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for x in (one[-1], two[0])]
    assert np.linalg.norm(meet[1] - meet[0], axis=-1).mean() < 1.1


# --- The same frames give the same bytes ---


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, format: Format) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    first, second = (film_of(folder, [5, 6], 24, format).read_bytes() for folder in folders)
    assert first == second


def test_enlarged_frames_give_the_same_bytes_whatever_threads_do(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    noise = draw.integers(0, 256, (720, 1280, 3), np.uint8)
    frames = [np.roll(noise // 4 + 90, 3 * step, axis=1) for step in range(12)]
    sizes = {"fps": 24, "width": 1280, "height": 720, "quick": True}
    paths = tmp_path / "one.mp4", tmp_path / "two.mp4"
    for path in paths:
        assert encode_segment(path, frames, **sizes) == 12
    assert paths[0].read_bytes() == paths[1].read_bytes()
    film = join_film(tmp_path / "film.mp4", paths, recipe_json=RECIPE, format="mp4", fps=24)
    assert (film.frames, film.width, film.height) == (24, 1280, 720)


# --- The recipe travels in the file ---


@pytest.mark.parametrize("format", ["mp4", "gif"])
@pytest.mark.parametrize("text", [RECIPE, *HOSTILE], ids=lambda text: text[:12])
def test_any_text_comes_back(tmp_path: Path, text: str, format: Format) -> None:
    segment = tmp_path / "segment"
    encode_segment(segment, [numbered(1)], fps=24, width=WIDTH, height=HEIGHT)
    join_film(tmp_path / "film", [segment], recipe_json=text, format=format, fps=24)
    assert read_recipe(tmp_path / "film") == text


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_texts_that_nobody_thought_of_come_back(tmp_path: Path, text: str) -> None:
    segment = tmp_path / "segment"
    if not segment.exists():
        encode_segment(segment, [numbered(1)], fps=24, width=WIDTH, height=HEIGHT)
    said = json.dumps({"prompt": text}, ensure_ascii=False)  # ffmpeg adds to a last backslash
    join_film(tmp_path / "film", [segment], recipe_json=said, format="mp4", fps=24)
    assert read_recipe(tmp_path / "film") == said


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_the_zero_character_is_refused(tmp_path: Path, format: Format) -> None:
    segments = segments_of(tmp_path, [1], 24)
    with pytest.raises(AssemblyError, match=r"U\+0000"):
        join_film(tmp_path / "film", segments, recipe_json="a\0b", format=format, fps=24)


def test_a_film_without_a_recipe_has_none(tmp_path: Path) -> None:
    assert read_recipe(segments_of(tmp_path, [1], 24)[0]) is None


@pytest.mark.parametrize("content", [b"", b"no film", b"GIF89a", b"GIF89a" + bytes(20)])
def test_files_that_are_no_films_are_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    if content.startswith(b"GIF"):
        assert read_recipe(path) is None
    else:
        with pytest.raises(AssemblyError):
            read_recipe(path)
    with pytest.raises(AssemblyError):
        probe(path)


# --- GIF ---


@pytest.mark.parametrize("fps", [8, 12, 15, 24, 25, 30, 60])
def test_a_gif_shows_evenly_spaced_frames_for_as_long(tmp_path: Path, fps: int) -> None:
    film = film_of(tmp_path, [24, 24], fps, "gif")
    every = -(-fps // gif.MAX_FPS)
    assert [number_of(frame) for frame in read_frames(film)] == list(range(0, 48, every))
    assert float(probe(film).seconds) == pytest.approx(48 / fps, abs=0.02 + every / fps)


def test_a_gif_is_small_and_keeps_its_shape(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 384, 512, 3), np.uint8)
    encode_segment(tmp_path / "s", noise, fps=15, width=512, height=384)
    film = tmp_path / "film"
    joined = join_film(film, [tmp_path / "s"], recipe_json=RECIPE, format="gif", fps=15)
    assert (joined.width, joined.height) == (320, 240)
    assert b"NETSCAPE2.0\x03\x01\x00\x00\x00" in film.read_bytes()  # loops for ever


def test_a_gif_that_is_too_large_is_drawn_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 48, 320, 3), np.uint8)
    encode_segment(tmp_path / "s", noise, fps=15, width=320, height=48)
    full = join_film(tmp_path / "a", [tmp_path / "s"], recipe_json="", format="gif", fps=15)
    limit = (tmp_path / "a").stat().st_size // 3
    monkeypatch.setattr(gif, "MAX_BYTES", limit)
    capped = join_film(tmp_path / "b", [tmp_path / "s"], recipe_json="", format="gif", fps=15)
    assert (tmp_path / "b").stat().st_size <= limit
    assert capped.width < full.width
    assert capped.frames < full.frames
    monkeypatch.setattr(gif, "MAX_BYTES", 100)
    with pytest.raises(AssemblyError, match="as a GIF") as caught:
        join_film(tmp_path / "c", [tmp_path / "s"], recipe_json="", format="gif", fps=15)
    assert "mp4" in caught.value.remedy


# --- Failures ---


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((HEIGHT, WIDTH), np.uint8),
        np.zeros((HEIGHT, WIDTH, 4), np.uint8),
        np.zeros((WIDTH, HEIGHT, 3), np.uint8),
        np.zeros((HEIGHT, WIDTH, 3), np.float32),
    ],
    ids=["grey", "alpha", "turned", "float"],
)
def test_a_frame_of_another_shape_is_refused(tmp_path: Path, frame: Frame) -> None:
    path = tmp_path / "s"
    with pytest.raises(AssemblyError, match="a frame is"):
        encode_segment(path, [numbered(0), frame], fps=24, width=WIDTH, height=HEIGHT)
    assert not path.exists()


def test_views_that_are_not_contiguous_are_encoded_rightly(tmp_path: Path) -> None:
    flipped = numbered(5)[:, ::-1]
    encode_segment(tmp_path / "s", [flipped], fps=24, width=WIDTH, height=HEIGHT)
    assert number_of(next(read_frames(tmp_path / "s"))[:, ::-1]) == 5


@pytest.mark.parametrize(("width", "height"), [(95, 64), (96, 63)])
def test_odd_sizes_are_refused(tmp_path: Path, width: int, height: int) -> None:
    with pytest.raises(AssemblyError, match="not even"):
        encode_segment(tmp_path / "s", [], fps=24, width=width, height=height)


def test_a_segment_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="no frames"):
        encode_segment(tmp_path / "s", [], fps=24, width=WIDTH, height=HEIGHT)
    assert not (tmp_path / "s").exists()


def test_an_error_among_the_frames_passes_and_leaves_nothing(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def frames() -> Iterator[Frame]:
        yield numbered(0)
        raise Stop

    with pytest.raises(Stop):
        encode_segment(tmp_path / "s", frames(), fps=24, width=WIDTH, height=HEIGHT)
    assert not (tmp_path / "s").exists()


def test_a_folder_that_is_not_there_is_named_by_the_encoder(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="No such file or directory"):
        encode_segment(
            tmp_path / "missing" / "s", [numbered(0)], fps=24, width=WIDTH, height=HEIGHT
        )


def test_a_damaged_segment_is_refused(tmp_path: Path) -> None:
    segments = segments_of(tmp_path, [4, 4], 24)
    segments[1].write_bytes(segments[1].read_bytes()[:200])
    with pytest.raises(AssemblyError):
        join_film(tmp_path / "film", segments, recipe_json="", format="mp4", fps=24)
    assert not (tmp_path / "film").exists()


def test_a_full_disk_is_a_storage_error() -> None:
    said = b"av_interleaved_write_frame(): No space left on device\nConversion failed!\n"
    assert isinstance(ffmpeg.failure(said), StorageError)
    assert isinstance(ffmpeg.failure(b"Conversion failed!"), AssemblyError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_is_a_storage_error() -> None:
    with pytest.raises(StorageError):
        ffmpeg.run(["-f", "lavfi", "-i", "testsrc=d=0.2", "-f", "rawvideo", "/dev/full"])


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux does")
def test_nothing_stays_open(tmp_path: Path) -> None:
    film_of(tmp_path, [2, 2], 24)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        film_of(tmp_path, [2, 2], 24)
        test_an_error_among_the_frames_passes_and_leaves_nothing(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def _described(film: Path) -> str:
    """Return what ffmpeg says of the first stream."""
    said = subprocess.run(
        [ffmpeg.PROGRAM, "-hide_banner", "-i", str(film)], capture_output=True, check=False
    ).stderr.decode()
    return next(line for line in said.splitlines() if "Video:" in line)


def _container_seconds(film: Path) -> str:
    said = subprocess.run(
        [ffmpeg.PROGRAM, "-hide_banner", "-i", str(film)], capture_output=True, check=False
    ).stderr.decode()
    return said.partition("Duration: ")[2].partition(",")[0]


def _tick_steps(film: Path) -> set[int]:
    """Return the distances between the time stamps of neighbouring frames."""
    return set(np.diff(ffmpeg.read_packets(film).times).tolist())
