"""engine.cli.interpolate: the tool, on films made here, with the real network."""

import argparse
import contextlib
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from imageio_ffmpeg import get_ffmpeg_exe

from benchmarks.interpolation.moving import Scene
from engine.cli import interpolate
from engine.cli.output import claimed
from engine.errors import InvalidParameterError, StorageError
from engine.render.rife.similarity import judge
from engine.render.video import parts
from engine.render.video.ffmpeg import Frame
from engine.render.video.footage import PartWriter, Source, open_source

ROOT = Path(__file__).parents[3]
SIZE = 64


@pytest.fixture(scope="module")
def walk() -> list[Frame]:
    """Seventeen frames of one moving scene."""
    torch.set_num_threads(1)
    scene = Scene(5, SIZE, 8.0)
    return [scene.at(index / 16) for index in range(17)]


def write(path: Path, frames: list[Frame], rate: int = 12) -> Path:
    height, width = frames[0].shape[:2]
    with PartWriter(path, (width, height), Fraction(rate), 4) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def ffmpeg(*arguments: object) -> str:
    command = [get_ffmpeg_exe(), "-y", "-nostdin", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    interpolate.add_arguments(parser)
    return interpolate.run(parser.parse_args([str(argument) for argument in arguments]))


def result(path: Path) -> tuple[Source, list[Frame]]:
    source = open_source(path, Fraction(24))
    return source, [frame.copy() for frame in source.frames()]


def error(first: Frame, second: Frame) -> float:
    """Mean difference of grey values; colour is stored at half the resolution."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(float) for frame in (first, second)]
    return float(np.abs(grey[0] - grey[1]).mean())


def test_a_film_gets_more_frames_that_lie_between(tmp_path: Path, walk: list[Frame]) -> None:
    source = write(tmp_path / "in.mp4", walk[::4])
    assert run(source, "-o", tmp_path / "out.mp4", "--factor", 4) == 0
    film, frames = result(tmp_path / "out.mp4")
    assert len(frames) == 20
    assert film.times == [Fraction(index, 48) for index in range(20)]
    for index in range(17):
        nearest = min(range(17), key=lambda other: error(frames[index], walk[other]))
        assert abs(nearest - index) <= 1
    assert not list(tmp_path.glob("*.parts"))


def test_a_folder_of_pictures_in_natural_order(tmp_path: Path, walk: list[Frame]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, frame in zip(("f9.png", "f10.png", "f11.png"), walk[::8], strict=True):
        cv2.imwrite(str(folder / name), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert run(folder, "-o", tmp_path / "out.mp4", "--fps", 30, "--input-fps", 10) == 0
    film, frames = result(tmp_path / "out.mp4")
    assert len(frames) == 9
    assert film.times[1] == Fraction(1, 30)
    assert [error(frames[index], walk[other]) < 4 for index, other in ((0, 0), (3, 8), (6, 16))]


def test_the_sound_is_kept(tmp_path: Path, walk: list[Frame]) -> None:
    silent = write(tmp_path / "silent.mp4", walk[:5])
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=0.4")
    ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", tmp_path / "in.mkv")
    assert run(tmp_path / "in.mkv", "-o", tmp_path / "out.mp4", "--factor", 2) == 0
    assert "Audio: aac" in ffmpeg("-i", tmp_path / "out.mp4", "-f", "null", "-")


def test_a_variable_rate_keeps_its_times(tmp_path: Path, walk: list[Frame]) -> None:
    """Frames 0, 1 and then every fourth, shown at their own times, give the even walk again."""
    shown = [0, 1, 2, 6, 10, 14, 16]
    even = write(tmp_path / "even.mkv", walk, 16)
    chosen = "+".join(f"eq(n\\,{index})" for index in shown)
    ffmpeg(
        "-i", even, "-vf", f"select='{chosen}'", "-fps_mode", "vfr", "-crf", 4, tmp_path / "v.mkv"
    )
    assert len(open_source(tmp_path / "v.mkv", Fraction(24)).times) == len(shown)
    assert run(tmp_path / "v.mkv", "-o", tmp_path / "out.mp4", "--fps", 16) == 0
    _, frames = result(tmp_path / "out.mp4")
    for index in range(17):
        nearest = min(range(17), key=lambda other: error(frames[index], walk[other]))
        assert abs(nearest - index) <= 1


def test_an_inset_keeps_in_betweens_away_from_frames(tmp_path: Path, walk: list[Frame]) -> None:
    source = write(tmp_path / "in.mp4", [walk[0], walk[16]])
    run(source, "-o", tmp_path / "out.mp4", "--factor", 8, "--inset", 0.25, "--easing", "smooth")
    _, frames = result(tmp_path / "out.mp4")
    nearest = [min(range(17), key=lambda at: error(frame, walk[at])) for frame in frames[:9]]
    assert nearest[0] == 0
    assert nearest[8] == 16
    assert nearest[1:8] == sorted(nearest[1:8])
    assert min(nearest[1:8]) >= 3
    assert max(nearest[1:8]) <= 13


def test_cuts_hold_the_last_frame_or_fade(tmp_path: Path, walk: list[Frame]) -> None:
    other = np.zeros_like(walk[0])
    other[::8] = 255
    other[:, ::16] = (255, 0, 80)
    source = write(tmp_path / "in.mp4", [walk[0], walk[1], other, other])
    run(source, "-o", tmp_path / "hold.mp4", "--factor", 4)
    run(source, "-o", tmp_path / "fade.mp4", "--factor", 4, "--cuts", "fade")
    _, held = result(tmp_path / "hold.mp4")
    _, faded = result(tmp_path / "fade.mp4")
    assert error(held[6], walk[1]) < 6
    assert error(faded[6], walk[1]) > 20
    assert error(faded[6], other) > 20


def test_motion_is_spread_over_repeated_frames(tmp_path: Path, walk: list[Frame]) -> None:
    twos = [frame for frame in walk[0:13:4] for _ in range(2)]
    source = write(tmp_path / "in.mp4", twos)
    run(source, "-o", tmp_path / "smooth.mp4", "--factor", 2)
    run(source, "-o", tmp_path / "keep.mp4", "--factor", 2, "--duplicates", "keep")
    _, smooth = result(tmp_path / "smooth.mp4")
    _, kept = result(tmp_path / "keep.mp4")
    assert len(smooth) == len(kept) == 16
    assert error(smooth[2], walk[2]) < error(kept[2], walk[2])
    assert error(kept[2], walk[0]) < 2


def test_a_film_of_stills_and_a_large_factor_loses_no_frame(
    tmp_path: Path, walk: list[Frame]
) -> None:
    stills = write(tmp_path / "stills.mp4", [walk[0]] * 13)
    run(stills, "-o", tmp_path / "slow.mp4", "--factor", 8)
    assert len(result(tmp_path / "slow.mp4")[1]) == 104
    pair = write(tmp_path / "pair.mp4", [walk[0], walk[4]])
    run(pair, "-o", tmp_path / "slowest.mp4", "--factor", 64)
    assert len(result(tmp_path / "slowest.mp4")[1]) == 128


@pytest.mark.parametrize("crf", [18, 21])
def test_held_frames_are_known_in_spite_of_an_encoder(tmp_path: Path, crf: int) -> None:
    scene = Scene(4, 256, 24.0)
    shown = [scene.at(index / 8) for index in range(3) for _ in range(5)]
    with PartWriter(tmp_path / "in.mp4", (256, 256), Fraction(24), crf) as writer:
        for frame in shown:
            writer.write(frame)
    _, frames = result(tmp_path / "in.mp4")
    modes = [judge(*pair).mode for pair in pairwise(frames)]
    assert [mode == "copy" for mode in modes] == [index % 5 != 4 for index in range(14)]
    quarter = scene.at(0.3), scene.at(0.3 + 1 / 96)  # of a pixel
    assert judge(*quarter).mode == "interpolate"


def test_an_interrupted_run_is_resumed(
    tmp_path: Path,
    walk: list[Frame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(parts, "PART_FRAMES", 6)
    source = write(tmp_path / "in.mp4", walk[::2])
    arguments = (source, "-o", tmp_path / "out.mp4", "--factor", 2, "--overwrite")
    run(*arguments)
    _, whole = result(tmp_path / "out.mp4")
    (tmp_path / "out.mp4").unlink()
    heard = interpolate.FrameProgress.__call__

    def stop(self: interpolate.FrameProgress, done: int) -> None:
        heard(self, done)
        if done == 15:
            raise KeyboardInterrupt

    monkeypatch.setattr(interpolate.FrameProgress, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        run(*arguments)
    monkeypatch.setattr(interpolate.FrameProgress, "__call__", heard)
    assert not (tmp_path / "out.mp4").exists()
    run(*arguments)
    shown = capsys.readouterr().err
    assert "resuming after frame 12" in shown
    assert "18/18" in shown.splitlines()[-1]
    _, resumed = result(tmp_path / "out.mp4")
    assert len(resumed) == len(whole) == 18
    assert all(np.array_equal(*pair) for pair in zip(resumed, whole, strict=True))


def test_a_download_is_shown_in_bytes(capsys: pytest.CaptureFixture) -> None:
    with interpolate.DownloadProgress() as report:
        assert not capsys.readouterr().err  # nothing is downloaded yet
        for done in (0, 4_000_000, 8_000_000):
            report(done, 8_000_000)
    assert "8.00M/8.00M" in capsys.readouterr().err


def test_odd_sizes_and_grey_pictures_with_alpha(tmp_path: Path, walk: list[Frame]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), walk[0][:33, :45, 0])
    alpha = np.dstack((walk[4][:33, :45], np.full((33, 45), 90, np.uint8)))
    cv2.imwrite(str(folder / "b.png"), alpha)
    assert run(folder, "-o", tmp_path / "out.mkv", "--factor", 3) == 0
    film, frames = result(tmp_path / "out.mkv")
    assert (film.width, film.height, len(frames)) == (46, 34, 6)


def test_a_single_picture_is_a_film_of_one_moment(tmp_path: Path, walk: list[Frame]) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), walk[0])
    assert run(folder, "-o", tmp_path / "out.mp4", "--factor", 2) == 0


def _bad(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / kind
    match kind:
        case "text.mp4":
            path.write_text("not a film")
        case "empty.mp4":
            path.write_bytes(b"")
        case "empty":
            path.mkdir()
        case "sizes":
            path.mkdir()
            for name, side in (("a.png", 8), ("b.png", 9)):
                cv2.imwrite(str(path / name), np.zeros((side, side, 3), np.uint8))
        case "broken":
            path.mkdir()
            (path / "a.png").write_bytes(b"no picture")
    return path


@pytest.mark.parametrize(
    "kind", ["missing.mp4", "text.mp4", "empty.mp4", "empty", "sizes", "broken"]
)
def test_unreadable_inputs_are_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        run(_bad(tmp_path, kind), "-o", tmp_path / "out.mp4", "--factor", 2)
    assert caught.value.field == "input"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("factor", ["--factor", 1]),
        ("factor", ["--factor", 1000]),
        ("fps", ["--fps", "fast"]),
        ("fps", ["--fps", "0"]),
        ("fps", ["--fps", "1/0"]),
        ("input-fps", ["--factor", 2, "--input-fps", -3]),
        ("crf", ["--factor", 2, "--crf", 99]),
        ("scale", ["--factor", 2, "--scale", 3]),
        ("inset", ["--factor", 2, "--inset", 0.5]),
        ("device", ["--factor", 2, "--device", "abacus"]),
        ("rife", ["--factor", 2, "--rife", "4.99"]),
        ("output", ["--factor", 2, "-o", "out.txt"]),
        ("output", ["--factor", 2, "-o", "nowhere/out.mp4"]),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, walk: list[Frame], field: str, arguments: list[object]
) -> None:
    source = write(tmp_path / "in.mp4", walk[:2])
    with pytest.raises(InvalidParameterError) as caught:
        run(source, "-o", tmp_path / "out.mp4", *arguments)
    assert caught.value.field == field


def test_nothing_is_overwritten_unasked(tmp_path: Path, walk: list[Frame]) -> None:
    source = write(tmp_path / "in.mp4", walk[:2])
    output = write(tmp_path / "out.mp4", walk[:2])
    with pytest.raises(InvalidParameterError, match="exists"):
        run(source, "-o", output, "--factor", 2)
    with pytest.raises(InvalidParameterError, match="the input itself"):
        run(source, "-o", source, "--factor", 2, "--overwrite")
    foreign = tmp_path / "new.mp4.parts"
    foreign.mkdir()
    with pytest.raises(StorageError, match="was not made by this command"):
        run(source, "-o", tmp_path / "new.mp4", "--factor", 2)


def test_what_the_output_cannot_be_is_refused_before_any_work(
    tmp_path: Path, walk: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("it was begun")

    monkeypatch.setattr(interpolate, "open_input", work)
    source = write(tmp_path / "in.mp4", walk[:2])
    with (
        claimed(tmp_path / "out.mp4", overwrite=False),
        pytest.raises(StorageError, match="another process is writing"),
    ):
        run(source, "-o", tmp_path / "out.mp4", "--factor", 2)
    with pytest.raises(StorageError, match="name too long"):
        run(source, "-o", tmp_path / ("x" * 252 + ".mp4"), "--factor", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_a_truncated_film_gives_what_it_holds_or_an_error(
    tmp_path: Path, walk: list[Frame]
) -> None:
    whole = write(tmp_path / "whole.mp4", walk)
    ffmpeg("-i", whole, "-c", "copy", tmp_path / "in.mkv")
    data = (tmp_path / "in.mkv").read_bytes()
    for share in (0.05, 0.2, 0.6):
        (tmp_path / "in.mkv").write_bytes(data[: int(len(data) * share)])
        with contextlib.suppress(InvalidParameterError):
            assert run(tmp_path / "in.mkv", "-o", tmp_path / f"{share}.mp4", "--factor", 2) == 0
