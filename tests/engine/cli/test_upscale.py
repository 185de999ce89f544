"""engine.cli.upscale: the command on films made here, with a tiny network."""

import argparse
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from engine.cli import interpolate, upscale
from engine.cli.progress import FrameProgress
from engine.errors import DeviceMemoryError, InvalidParameterError, ModelLoadError
from engine.render.upscale.video import check_room
from engine.render.video import parts
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import PartWriter, Source, open_source
from tests.engine.render.upscale.networks import compact_file


def film(path: Path, count: int = 9, rate: int = 12) -> Path:
    """Write a film of a camera that moves over a texture."""
    draw = np.random.default_rng(1)
    scene = cv2.resize(draw.integers(0, 256, (12, 24, 3), np.uint8), (160, 48))
    with PartWriter(path, (64, 48), Fraction(rate), 4) as writer:
        for index in range(count):
            writer.write(np.ascontiguousarray(scene[:, index : index + 64]))
    return path


def ffmpeg(*arguments: object) -> str:
    command = [get_ffmpeg_exe(), "-y", "-nostdin", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def run(command: object, *arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)  # type: ignore[attr-defined]
    return command.run(parser.parse_args([*map(str, arguments), "--device=cpu"]))  # type: ignore[attr-defined,no-any-return]


def result(path: Path) -> tuple[Source, list[Frame]]:
    source = open_source(path, Fraction(24))
    return source, [frame.copy() for frame in source.frames()]


@pytest.fixture
def network(tmp_path: Path) -> str:
    return f"--upscaler={compact_file(tmp_path)}"


def test_a_film_is_enlarged_and_keeps_its_times_and_sound(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture
) -> None:
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=0.75")
    silent = film(tmp_path / "silent.mp4")
    ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", tmp_path / "in.mkv")
    assert (
        run(upscale, tmp_path / "in.mkv", "-o", tmp_path / "out.mp4", "--factor", 3, network) == 0
    )
    found, frames = result(tmp_path / "out.mp4")
    assert (found.width, found.height, len(frames)) == (192, 144, 9)
    assert found.times == [Fraction(index, 12) for index in range(9)]
    assert "Audio: aac" in ffmpeg("-i", tmp_path / "out.mp4", "-f", "null", "-")
    assert "9 frames of 192x144, by tiny4" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.parts"))


def test_frames_of_a_variable_rate_are_shown_as_long(tmp_path: Path, network: str) -> None:
    even = film(tmp_path / "even.mkv", 12)
    chosen = "+".join(f"eq(n\\,{index})" for index in (0, 1, 2, 6, 7, 8, 11))
    ffmpeg("-i", even, "-vf", f"select='{chosen}'", "-fps_mode", "vfr", tmp_path / "v.mkv")
    run(upscale, tmp_path / "v.mkv", "-o", tmp_path / "out.mp4", "--factor", 2, network)
    _, frames = result(tmp_path / "out.mp4")
    moves = [float(np.abs(a.astype(int) - b).mean()) for a, b in zip(frames, frames[1:])]  # noqa: B905, RUF007
    assert len(frames) == 12
    assert [index for index, move in enumerate(moves) if move < 1] == [2, 3, 4, 8, 9]


def test_it_resumes_where_it_was_interrupted(
    tmp_path: Path, network: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(parts, "PART_FRAMES", 6)
    arguments = (film(tmp_path / "in.mp4", 20), "-o", tmp_path / "out.mp4", network, "--overwrite")
    run(upscale, *arguments)
    _, whole = result(tmp_path / "out.mp4")
    (tmp_path / "out.mp4").unlink()
    heard = FrameProgress.__call__

    def stop(self: FrameProgress, done: int) -> None:
        heard(self, done)
        if done == 15:
            raise KeyboardInterrupt

    monkeypatch.setattr(FrameProgress, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        run(upscale, *arguments)
    monkeypatch.setattr(FrameProgress, "__call__", heard)
    run(upscale, *arguments)
    assert "resuming after frame 12" in capsys.readouterr().err
    _, resumed = result(tmp_path / "out.mp4")
    assert len(whole) == 20
    assert all(np.array_equal(*pair) for pair in zip(resumed, whole, strict=True))


def test_interpolation_may_enlarge_as_well(
    tmp_path: Path, network: str, capsys: pytest.CaptureFixture
) -> None:
    source = film(tmp_path / "in.mp4", 3)
    more = ("--factor", 2, "--rife=dis", "--upscale", 2)
    assert run(interpolate, source, "-o", tmp_path / "out.mp4", *more, network) == 0
    found, frames = result(tmp_path / "out.mp4")
    assert (found.width, found.height, len(frames)) == (128, 96, 6)
    assert "enlarged 2 times by tiny4" in capsys.readouterr().out


def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, network: str
) -> None:
    source, output = film(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"x" * 100)
    cases: list[tuple[type[Exception], str, tuple[object, ...]]] = [
        (InvalidParameterError, "5 is not offered", ("--factor", 5, network)),
        (InvalidParameterError, "neither a known", ("--upscaler=unknown",)),
        (ModelLoadError, "damaged", (f"--upscaler={damaged}",)),
        (InvalidParameterError, "99 is not between", ("--crf", 99, network)),
        (
            InvalidParameterError,
            "enlarges 2 times, not 4 times",
            ("--factor", 4, f"--upscaler={compact_file(tmp_path, 2)}"),
        ),
    ]
    for kind, message, arguments in cases:
        with pytest.raises(kind, match=message):
            run(upscale, source, "-o", output, *arguments)
    large = tmp_path / "large.png"
    (tmp_path / "pictures").mkdir()
    large = tmp_path / "pictures" / "large.png"
    cv2.imwrite(str(large), np.zeros((800, 1000, 3), np.uint8))
    with pytest.raises(InvalidParameterError, match="3840"):
        run(upscale, large.parent, "-o", output, "--factor", 4, network)
    assert not list(tmp_path.glob("out*"))


def test_frames_beyond_the_memory_are_refused() -> None:
    check_room(3840, 2160, 4 * 10**9)
    with pytest.raises(DeviceMemoryError, match="3840x2160 takes about"):
        check_room(3840, 2160, 10**9)
