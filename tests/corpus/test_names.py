"""A name is only a name: of films, outputs and pictures, whatever the file system takes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.progress import FrameProgress
from engine.errors import InvalidParameterError
from engine.render.video import parts
from tests.corpus import ROOT, bars, pixels, run, times

NAMES = ["10:30.mp4", "take:1.mp4", "-out.mp4", "100%d.mp4", "a|b'c.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_films_of_awkward_names_are_read_and_written(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars(tmp_path / "in.mp4", (32, 32)).rename(tmp_path / name)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    assert run("--factor=2", f"--output={name}", f"../{name}") == 0
    assert run("--factor=2", f"--output={name}.mkv", "--input-fps=9", f"./{name}") == 0
    assert sorted(os.listdir()) == sorted([name, f"{name}.mkv"])
    Path(name).rename("made.mp4")
    assert len(times(tmp_path / "out" / "made.mp4")) == 6


def test_a_name_that_cannot_be_printed_is_one(tmp_path: Path) -> None:
    name = "caf\udce9.mp4"
    bars(tmp_path / "in.mp4", (32, 32)).rename(tmp_path / name)
    command = [sys.executable, "-m", "engine", "interpolate", "--factor=2", "--rife=dis"]
    command += [f"--output={tmp_path}/out{name}", str(tmp_path / name)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    made = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    assert "6 frames" in made.stdout
    assert (tmp_path / f"out{name}").stat().st_size


def test_a_line_break_in_an_output_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    film = bars(tmp_path / "in.mp4", (32, 32))
    with pytest.raises(InvalidParameterError, match="line break"):
        run(film, "-o", tmp_path / "a\nb.mp4", "--factor", 2)


def _grey(path: Path, value: int, size: tuple[int, int] = (32, 32)) -> None:
    Image.fromarray(np.full((*reversed(size), 3), value, np.uint8)).save(path)


def test_pictures_come_in_the_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for value, name in enumerate(["1²2.png", "2٣.png", "100.png"]):
        _grey(folder / name, 60 * value + 30)
    (folder / "._100.png").write_bytes(b"\x00\x05\x16\x07" * 30)  # as macOS leaves on other disks
    (folder / ".DS_Store").write_bytes(b"Bud1")
    assert run(folder, "-o", tmp_path / "out.mp4", "--fps", 24, "--crf", 4) == 0
    shown = pixels(tmp_path / "out.mp4", "gray", 1, (32, 32)).mean(axis=(1, 2, 3))
    assert list(np.diff(shown) > 20) == [True, True]


def test_a_bad_late_picture_is_named_before_anything_is_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(4):
        _grey(folder / f"{index}.png", 50 * index)
    for broken in (lambda: _grey(folder / "3.png", 9, (40, 32)),
                   lambda: (folder / "3.png").write_bytes(b"no picture")):  # fmt: skip
        broken()
        with pytest.raises(InvalidParameterError, match=r"3\.png"):
            run(folder, "-o", tmp_path / "out.mp4", "--factor", 2)
        assert not list(tmp_path.glob("out*"))


def test_a_picture_that_is_turned_by_its_header_is_read_as_it_is_shown(tmp_path: Path) -> None:
    image, exif = Image.new("RGB", (40, 24), (200, 30, 30)), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert run(tmp_path / "a.jpg", "-o", tmp_path / "out.mp4", "--factor", 2) == 0
    assert pixels(tmp_path / "out.mp4", "rgb24", 3, (24, 40)).shape[0] == 2


def test_a_mended_picture_costs_only_the_parts_that_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(parts, "PART_FRAMES", 6)
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(12):
        _grey(folder / f"{index}.png", 20 * index)
    arguments = (folder, "-o", tmp_path / "out.mp4", "--factor", 2, "--overwrite")
    heard = FrameProgress.__call__

    def stop(self: FrameProgress, done: int) -> None:
        heard(self, done)
        if done == 23:
            raise KeyboardInterrupt

    monkeypatch.setattr(FrameProgress, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        run(*arguments)
    monkeypatch.setattr(FrameProgress, "__call__", heard)
    _grey(folder / "11.png", 3)
    run(*arguments)
    assert "resuming after frame 12" in capsys.readouterr().err
    resumed = pixels(tmp_path / "out.mp4", "gray", 1, (32, 32))
    run(*arguments)
    assert np.array_equal(resumed, pixels(tmp_path / "out.mp4", "gray", 1, (32, 32)))
