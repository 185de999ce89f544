"""Private files: written atomically, from several threads; a damaged one is kept."""

import logging
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.wire.pairing import Pairing
from ui.storage.files import read_json, write_json, write_private
from ui.storage.pairings import Pairings
from ui.storage.preferences import Preferences

FAR = Pairing("https://far.example", b"r" * 32)


def in_two_threads(change: Callable[[int], None]) -> list[OSError]:
    """Change something 500 times from each of two threads; return what was raised."""
    errors: list[OSError] = []

    def work() -> None:
        for i in range(500):
            try:
                change(i)
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_two_threads_may_change_the_pairings(tmp_path: Path) -> None:
    pairings = Pairings(tmp_path / "links.json")
    assert in_two_threads(lambda i: pairings.choose(str(i))) == []
    assert Pairings(tmp_path / "links.json").chosen == "499"


def test_two_threads_may_change_the_preferences(tmp_path: Path) -> None:
    preferences = Preferences(tmp_path / "preferences.json")

    def change(i: int) -> None:
        preferences.mirror = i
        preferences.previews = i

    assert in_two_threads(change) == []
    again = Preferences(tmp_path / "preferences.json")
    assert (again.mirror, again.previews) == (499, 499)


def test_two_writers_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert in_two_threads(lambda i: write_private(path, b"%d" % i)) == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("before")
    path.chmod(0o644)
    write_json(path, {"key": "secret"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_json(path, dict[str, str]) == {"key": "secret"}


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"before")
    with pytest.raises(TypeError):
        write_private(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b'{"links": {"https', b"\xff\xfe", b'{"links": 7}'])
def test_links_that_cannot_be_read_are_kept_and_logged(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "links.json"
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        pairings = Pairings(path)
    assert pairings.pairings() == {}
    pairings.save(FAR)
    (kept,) = tmp_path.glob("links.json.*.damaged")
    assert kept.read_bytes() == content
    assert kept.name in caplog.text
    assert Pairings(path).pairings() == {FAR.url: FAR}
