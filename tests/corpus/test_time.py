"""Films last as long as before, their fields are no combs, and what is missing is reported."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import InvalidParameterError
from tests.corpus import ffmpeg, pixels, run, times

SIZE = (64, 48)


def moment(value: int) -> Image.Image:
    return Image.fromarray(np.full((SIZE[1], SIZE[0], 3), value, np.uint8))


@pytest.fixture
def animation(tmp_path: Path) -> Path:
    first, *others = (moment(40 * index) for index in range(5))
    durations = [100, 100, 100, 100, 3000]
    first.save(tmp_path / "in.gif", save_all=True, append_images=others, duration=durations)
    first.save(tmp_path / "in.apng", "PNG", save_all=True, append_images=others, duration=durations)
    return tmp_path / "in.gif"


def length(film: Path) -> Fraction:
    shown = times(film)
    return shown[-1][0] + shown[-1][1] - shown[0][0]


@pytest.mark.parametrize("kind", ["gif", "mp4", "mkv", "apng"])
def test_a_last_frame_keeps_its_own_duration(tmp_path: Path, animation: Path, kind: str) -> None:
    film = tmp_path / f"in.{kind}"
    if kind in ("mp4", "mkv"):
        ffmpeg("-i", animation, "-fps_mode", "passthrough", "-bf", 0, film)
    assert run(film, "-o", tmp_path / "out.mp4", "--factor", 2) == 0
    assert length(tmp_path / "out.mp4") == pytest.approx(Fraction(34, 10), abs=0.051)


def test_delays_of_hundredths_are_kept(tmp_path: Path) -> None:
    first, *others = (moment(60 * index) for index in range(4))
    durations = [30, 70, 30, 70]
    first.save(tmp_path / "in.gif", save_all=True, append_images=others, duration=durations)
    assert run(tmp_path / "in.gif", "-o", tmp_path / "out.mp4", "--fps", 100, "--crf", 4) == 0
    shown = pixels(tmp_path / "out.mp4", "gray", 1, SIZE).mean(axis=(1, 2, 3))
    assert len(shown) == 20
    for at, value in ((0, 0), (3, 60), (10, 120), (13, 180)):
        assert abs(shown[at] - value) < 4


def test_one_picture_lasts_as_its_rate_says(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    moment(90).save(tmp_path / "in" / "1.png")
    for source in (tmp_path / "in", tmp_path / "in" / "1.png"):
        arguments = ("--factor", 2, "--input-fps", 5, "--overwrite")
        assert run(source, "-o", tmp_path / "out.mp4", *arguments) == 0
        assert times(tmp_path / "out.mp4") == [(0, Fraction(1, 10)), (Fraction(1, 10),) * 2]


def combs(film: Path) -> float:
    """How much neighbouring lines differ beyond those of one field."""
    shown = pixels(film, "gray", 1, SIZE)[..., 0].astype(int)
    apart = np.abs(np.diff(shown, axis=1)).mean()
    field = np.abs(shown[:, 2:] - shown[:, :-2]).mean()
    return float(apart - field / 2)


def test_interlaced_films_lose_their_combs_unless_they_shall_keep_them(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    scene = ("gradients=s=128x48:r=20:d=0.6:c0=black:c1=white:x0=40:x1=64:y0=0:y1=0:speed=0.00001"
             ",crop=64:48:mod(n*6\\,64):0,tinterlace=interleave_top,format=yuv420p")  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", scene, "-flags", "+ilme+ildct", "-crf", 4, tmp_path / "in.mp4")
    for choice in ("auto", "never"):
        out = tmp_path / f"{choice}.mp4"
        run(tmp_path / "in.mp4", "-o", out, "--factor", 2, "--deinterlace", choice, "--crf", 4)
        assert "in.mp4 is interlaced" in capsys.readouterr().err
        assert len(times(out)) == 12
    assert combs(tmp_path / "never.mp4") > 3 * combs(tmp_path / "auto.mp4") > -9


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_film_that_is_cut_off_says_so(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture
) -> None:
    whole, film = tmp_path / f"whole.{kind}", tmp_path / f"in.{kind}"
    scene = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=2")
    ffmpeg(*scene, "-g", 2, "-x264-params", "sei=0", "-movflags", "+faststart", whole)
    run(whole, "-o", tmp_path / "whole-out.mp4", "--fps", 12)
    assert "cut off" not in capsys.readouterr().err
    data = whole.read_bytes()
    film.write_bytes(data[: len(data) * 6 // 10])
    run(film, "-o", tmp_path / "out.mp4", "--fps", 12)
    assert "in." + kind + " is cut off" in capsys.readouterr().err


def test_sound_without_video_is_named(tmp_path: Path) -> None:
    moment(90).save(tmp_path / "cover.png")
    tone = ("-f", "lavfi", "-i", "sine=d=0.3")
    ffmpeg(*tone, "-i", tmp_path / "cover.png", "-map", "0", "-map", "1",
           "-disposition:v", "attached_pic", "-c:v", "png", tmp_path / "song.m4a")  # fmt: skip
    with pytest.raises(InvalidParameterError, match="holds no video"):
        run(tmp_path / "song.m4a", "-o", tmp_path / "out.mp4", "--factor", 2)
