"""Subtitles and attachments ride along where the container holds them, and are named elsewhere."""

import re
from pathlib import Path

import pytest

from tests.corpus import bars, ffmpeg, info, run

SUBTITLES = "1\n00:00:00,000 --> 00:00:00,200\nA line of text\n"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    bars(tmp_path / "silent.mkv", (64, 48))
    (tmp_path / "lines.srt").write_text(SUBTITLES)
    (tmp_path / "font.ttf").write_bytes(bytes(64))
    ffmpeg("-i", tmp_path / "silent.mkv", "-i", tmp_path / "lines.srt", "-f", "lavfi", "-i",
           "sine=d=0.3", "-map", 0, "-map", 1, "-map", 1, "-map", 2, "-c:v", "copy",
           "-c:s:0", "srt", "-c:s:1", "ass", "-metadata:s:s:0", "language=deu",
           "-attach", tmp_path / "font.ttf", "-metadata:s:t", "mimetype=font/ttf",
           tmp_path / "in.mkv")  # fmt: skip
    return tmp_path / "in.mkv"


def kinds(path: Path) -> list[str]:
    return re.findall(r"Stream #0:\d+\S*: (\w+: \w+)", info(path).partition("Output #0")[0])


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [("mkv", ["Subtitle: subrip", "Subtitle: ass", "Attachment: none"]),
     ("mp4", ["Subtitle: mov_text"] * 2), ("mov", ["Subtitle: mov_text"] * 2)],
)  # fmt: skip
def test_what_a_container_holds_is_kept(
    tmp_path: Path, film: Path, suffix: str, expected: list[str], capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / f"out.{suffix}"
    assert run(film, "-o", out, "--factor", 2) == 0
    shown = capsys.readouterr().err
    assert sorted(kinds(out)) == sorted(["Video: h264", kinds(film)[3], *expected])
    assert "A line of text" in ffmpeg("-i", out, "-map", "0:s:0", "-f", "srt", "-").decode()
    assert ("cannot hold attachment 4 (none); left out" in shown) == (suffix != "mkv")
    back = tmp_path / "back.mkv"
    assert run(out, "-o", back, "--factor", 2) == 0
    assert "A line of text" in ffmpeg("-i", back, "-map", "0:s:0", "-f", "srt", "-").decode()
