"""ffmpeg opens the files that it is given, whatever they are called, and no others."""

from pathlib import Path

import pytest

from engine.errors import AssemblyError
from tests.stand_ins.films import draw
from ui.routes import ffmpeg

FAILURE = AssemblyError("it could not be done")


@pytest.mark.parametrize(
    "name", ["-loglevel.mp4", "http:example.mp4", "concat:a|b.mp4", "it's 100%d.mp4"]
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_name_is_only_a_name(
    tmp_path: Path, name: str, joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "film.mp4", seconds=0.5)
    monkeypatch.chdir(tmp_path)
    film, copy = Path(name), Path(f"copy of {name}")
    (tmp_path / "film.mp4").rename(film)
    if joined:
        source = ffmpeg.joined_input([film, film], tmp_path / "list.txt")
    else:
        source = ffmpeg.film_input(film)
    ffmpeg.run([*source, "-c", "copy", *ffmpeg.output(copy, "mp4")], FAILURE)
    assert copy.stat().st_size > 1000


def test_a_failure_is_raised_as_the_caller_words_it(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    source = ffmpeg.film_input(tmp_path / "film.mp4")
    with pytest.raises(AssemblyError, match="it could not be done"):
        ffmpeg.run([*source, *ffmpeg.output(tmp_path / "out.mp4", "mp4")], FAILURE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "film.mp4", seconds=0.5)
    source = ffmpeg.film_input(tmp_path / "film.mp4")
    with pytest.raises(AssemblyError, match="the disk is full"):
        ffmpeg.run([*source, *ffmpeg.output(Path("/dev/full"), "gif")], FAILURE)
