"""ffmpeg opens the files that it is given, whatever they are called, and says how it fails."""

import ast
import socket
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import AssemblyError
from engine.render.video import ffmpeg
from engine.render.video.encode import encode_segment, join_film, read_recipe
from engine.render.video.footage import PartWriter, join, open_source

ROOT = Path(__file__).parents[4]
FRAME = np.full((32, 48, 3), 90, np.uint8)
NAMES = ["-loglevel.mp4", "http:example.mp4", "concat:a|b.mp4", "it's 100%d.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_segment_or_a_film_is_only_a_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    segment, film = Path(name), Path(f"film of {name}")
    assert encode_segment(segment, [FRAME] * 3, fps=12, width=48, height=32) == 3
    join_film(film, [segment, segment], recipe_json="{}", format="mp4", fps=12)
    join_film(film.with_suffix(".gif"), [segment], recipe_json="{}", format="gif", fps=12)
    assert ffmpeg.probe(film) == (6, Fraction(1, 2), 48, 32)
    assert read_recipe(film) == "{}"
    assert len(list(ffmpeg.read_frames(film, (24, 16)))) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_footage_is_only_a_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    footage, output = Path(name), Path(f"joined {name}")
    with PartWriter(footage, (48, 32), Fraction(12), 18) as writer:
        for _ in range(3):
            writer.write(FRAME)
    source = open_source(footage, Fraction(12))
    assert [frame.shape for frame in source.frames()] == [(32, 48, 3)] * 3
    join([footage, footage], source, output)
    assert ffmpeg.probe(output).frames == 6


def test_a_segment_that_poses_as_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    segment = tmp_path / "segment.mp4"
    encode_segment(segment, [FRAME] * 3, fps=12, width=48, height=32)
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{segment}\n")
    with pytest.raises(AssemblyError):
        join_film(tmp_path / "film", [playlist], recipe_json="", format="mp4", fps=12, frames=3)


def test_no_film_opens_an_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        segment = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = tmp_path / "playlist.m3u8"
        lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", segment, "#EXT-X-ENDLIST")
        playlist.write_text("\n".join(lines))
        with pytest.raises(AssemblyError):
            ffmpeg.probe(playlist)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "PROGRAM", "/nowhere/ffmpeg")
    with pytest.raises(AssemblyError, match="ffmpeg cannot be started"):
        ffmpeg.version()
    with pytest.raises(AssemblyError, match="ffmpeg cannot be started"):
        ffmpeg.Encoder.start((48, 32), Fraction(12), ["-f", "null", "-"])


def test_the_version_holds_a_number() -> None:
    assert any(character.isdigit() for character in ffmpeg.version())


def test_frames_that_are_not_wanted_any_more_end_the_program(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    encode_segment(film, [FRAME] * 50, fps=12, width=48, height=32)
    frames = ffmpeg.read_frames(film)
    next(frames)
    frames.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", ["engine", "training", "benchmarks"])
def test_only_one_module_starts_ffmpeg(folder: str) -> None:
    """Others would choose another program, or forget what it may open."""
    for path in (ROOT / folder).rglob("*.py"):
        if path != Path(ffmpeg.__file__):
            names = {
                node.attr if isinstance(node, ast.Attribute) else node.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute | ast.Name)
            }
            assert not names & {"FFMPEG_BINARY", "get_ffmpeg_exe", "PROGRAM"}, path
