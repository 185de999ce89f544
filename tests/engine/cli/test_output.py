"""The place of an output is refused before any work, whatever the system says of it."""

import argparse
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __main__ as command
from engine.cli import output, report
from engine.cli.output import Claim, check_output, claimed
from engine.errors import StorageError, VisionFluxError
from engine.film.progress import Progress


def test_a_place_that_can_be_written_is_held_and_left_empty(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with claimed(film, overwrite=False) as claim:
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) == output.RESERVED_BYTES
        with claim.writing():
            claim.download.write_bytes(b"film")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert film.read_bytes() == b"film"


@pytest.mark.parametrize("length", [252, 255])
def test_a_long_name_is_written_as_any_other(tmp_path: Path, length: int) -> None:
    film = tmp_path / f"{'x' * (length - 4)}.mp4"
    with claimed(film, overwrite=False) as claim, claim.writing():
        claim.download.write_bytes(b"film")
    assert film.exists()


def test_of_two_processes_that_write_one_output_one_is_refused(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with claimed(film, overwrite=False):
        with pytest.raises(StorageError, match="another process"), claimed(film, overwrite=False):
            pass
        with claimed(tmp_path / "other.mp4", overwrite=False):
            pass
    with claimed(film, overwrite=False):
        pass


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder.mp4", "is a folder"),
        ("made.mp4", "exists"),
        ("pipe.mp4", "not a regular file"),
        ("dangling.mp4", "not a regular file"),
        ("made.mp4/film.mp4", "does not exist"),
        ("nowhere/film.mp4", "does not exist"),
        (f"{'x' * 256}.mp4", "name too long"),
        (f"{'x/' * 3000}film.mp4", "name too long"),
        ("null\0.mp4", "null"),
        ("loop/film.mp4", "does not exist|symbolic links"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "made.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(VisionFluxError, match=says) as raised:
        check_output(tmp_path / name, overwrite=False)
    assert raised.value.field == "output"
    assert raised.value.remedy


def test_an_existing_file_is_replaced_on_demand(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"old")
    with claimed(tmp_path / "film.mp4", overwrite=True) as claim, claim.writing():
        assert (tmp_path / "film.mp4").read_bytes() == b"old"  # until the new one is whole
        claim.download.write_bytes(b"new")
    assert (tmp_path / "film.mp4").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that refuses even root")
def test_a_folder_that_refuses_files_is_found_before_any_work() -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        Claim(Path("/sys/film.mp4")).take()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_disk_without_room_is_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="cannot be written"):
        Claim(tmp_path / "film.mp4").take()
    assert not [*tmp_path.iterdir()]


def test_a_disk_without_room_costs_no_keyframe(tmp_path: Path) -> None:
    """The limit is the system's own, for the size of a file."""
    ended = subprocess.run(
        [sys.executable, "-m", "engine", "render", "dawn", "-o", str(tmp_path / "film.mp4")],
        env={**os.environ, "VISIONFLUX_DATA": str(tmp_path / "data")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == command.EXIT_ENGINE
    assert "cannot be written: file too large" in ended.stderr
    assert not [*tmp_path.iterdir()]


def everything() -> list[OSError]:
    """Return an error of the system of each kind."""
    numbered = [OSError(number, os.strerror(number), "a file") for number in errno.errorcode]
    numbered = [error for error in numbered if not isinstance(error, BrokenPipeError)]
    return [*numbered, OSError("plain"), OSError(), TimeoutError(), OSError(5, "")]


@pytest.mark.parametrize("error", everything(), ids=repr)
def test_no_error_of_the_system_is_shown_as_a_traceback(
    error: OSError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(command.doctor, "run", lambda *_: fail(argparse.Namespace()))
    monkeypatch.setattr(sys, "argv", ["engine", "doctor"])
    monkeypatch.setenv("VISIONFLUX_LOG_LEVEL", "ERROR")
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(command.logging, "basicConfig", lambda **_: None)
    assert command.main() == command.EXIT_ENGINE
    said = capsys.readouterr().err
    assert said.startswith("E_STORAGE: ")


def a_log(shown: report.Report, shares: int) -> None:
    for step in range(shares):
        shown.progress("film.mp4", Progress(phase="keyframe", seq=step), (0, 1))


def test_a_log_gets_a_line_a_phase_and_then_one_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(report.time, "monotonic", lambda: now)
    shown = report.report(as_json=False)
    a_log(shown, 100)
    now = report.LOG_SECONDS
    a_log(shown, 100)
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), said.err.count("\r")) == ("", 2, 0)
