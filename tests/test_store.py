from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import StorageError, UnknownObjectError
from engine.journal import Journal, ObjectRow
from engine.store import Store

ROW = ObjectRow("a" * 64, "b" * 64, 5, "image/png")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j.db")
    yield journal
    journal.close()


def put(store: Store) -> None:
    file = store.scratch("image/png")
    file.write_bytes(b"12345")
    store.place(file, ROW)
    store.index(ROW)


def test_what_was_taken_in_is_found_and_read(tmp_path: Path, journal: Journal) -> None:
    store = Store(tmp_path, journal)
    put(store)
    assert store.find(ROW.name) == ROW
    assert store.path(ROW.name).read_bytes() == b"12345"
    assert store.read(ROW, 1, 3) == b"234"
    assert store.read(ROW, 5, 3) == b""


def test_a_placed_file_counts_only_once_it_is_indexed(tmp_path: Path, journal: Journal) -> None:
    store = Store(tmp_path, journal)
    file = store.scratch("image/png")
    file.write_bytes(b"12345")
    store.place(file, ROW)
    assert store.find(ROW.name) is None


@pytest.mark.parametrize("content", [None, b"1234"])
def test_a_lost_or_shortened_file_is_forgotten(
    tmp_path: Path, journal: Journal, content: bytes | None
) -> None:
    store = Store(tmp_path, journal)
    put(store)
    path = store.path(ROW.name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert store.find(ROW.name) is None
    with pytest.raises(UnknownObjectError):
        store.path(ROW.name)


def test_half_written_files_are_swept_at_the_next_start(tmp_path: Path, journal: Journal) -> None:
    file = Store(tmp_path, journal).scratch("video/mp4")
    file.write_bytes(b"half")
    Store(tmp_path, journal)
    assert not file.exists()


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / "file", journal)
    assert caught.value.remedy
