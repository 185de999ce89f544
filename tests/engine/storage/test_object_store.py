import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import StorageError, UnknownObjectError
from engine.storage.journal import Journal, ObjectRecord
from engine.storage.object_store import ObjectStore

ROW = ObjectRecord("a" * 64, "b" * 64, 5, "image/png")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j.db")
    yield journal
    journal.close()


def put(store: ObjectStore) -> None:
    file = store.scratch("image/png")
    file.write_bytes(b"12345")
    store.place(file, ROW)
    store.index(ROW)


def test_what_was_taken_in_is_found_and_read(tmp_path: Path, journal: Journal) -> None:
    store = ObjectStore(tmp_path, journal)
    put(store)
    assert store.find(ROW.name) == ROW
    assert store.path(ROW.name).read_bytes() == b"12345"
    assert store.read(ROW, 1, 3) == b"234"
    assert store.read(ROW, 5, 3) == b""


def test_a_placed_file_counts_only_once_it_is_indexed(tmp_path: Path, journal: Journal) -> None:
    store = ObjectStore(tmp_path, journal)
    file = store.scratch("image/png")
    file.write_bytes(b"12345")
    store.place(file, ROW)
    assert store.find(ROW.name) is None


@pytest.mark.parametrize("content", [None, b"1234"])
def test_a_lost_or_shortened_file_is_forgotten(
    tmp_path: Path, journal: Journal, content: bytes | None
) -> None:
    store = ObjectStore(tmp_path, journal)
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
    file = ObjectStore(tmp_path, journal).scratch("video/mp4")
    file.write_bytes(b"half")
    ObjectStore(tmp_path, journal)
    assert not file.exists()


# Room


NAMES = [digit * 64 for digit in "abcd"]


def fill(store: ObjectStore, *names: str) -> None:
    for name in names:
        file = store.scratch("image/png")
        file.write_bytes(bytes(100))
        row = ObjectRecord(name, hashlib.sha256(bytes(100)).hexdigest(), 100, "image/png")
        store.place(file, row)
        store.index(row)


def test_what_was_used_longest_ago_makes_way(tmp_path: Path, journal: Journal) -> None:
    store = ObjectStore(tmp_path, journal, room=320)
    fill(store, *NAMES[:3])
    store.hold("job", NAMES[:1])
    store.release("job")
    fill(store, NAMES[3])
    assert [bool(store.find(name)) for name in NAMES] == [True, False, True, True]


def test_what_an_unfinished_job_needs_stays_and_there_is_no_room(
    tmp_path: Path, journal: Journal
) -> None:
    store = ObjectStore(tmp_path, journal, room=150)
    store.hold("job", NAMES)
    fill(store, *NAMES[:2])  # what is finished stays, even beyond the room
    with pytest.raises(StorageError, match=r"room for 1\.5e-07 GB, .* need 2e-07 GB") as caught:
        store.scratch("image/png")
    assert "--room" in caught.value.remedy
    assert all(store.find(name) for name in NAMES[:2])
    store.release("job")
    fill(store, NAMES[2])
    assert [bool(store.find(name)) for name in NAMES[:3]] == [False, False, True]


def test_a_film_is_kept_until_it_was_fetched(tmp_path: Path, journal: Journal) -> None:
    store = ObjectStore(tmp_path, journal, room=150)
    fill(store, NAMES[0])
    store.keep(NAMES[0])
    fill(ObjectStore(tmp_path, journal, room=150), NAMES[1])  # another process of the same engine
    assert store.find(NAMES[0])
    store.fetched(NAMES[0])
    fill(store, NAMES[2])
    assert store.find(NAMES[0]) is None


def test_what_is_announced_takes_room_until_it_is_dropped(tmp_path: Path, journal: Journal) -> None:
    store = ObjectStore(tmp_path, journal, room=150)
    file = store.scratch("image/png", 100)
    with pytest.raises(StorageError):
        store.scratch("image/png", 100)
    store.discard(file)
    assert store.scratch("image/png", 100)


@pytest.mark.anyio
async def test_missing_objects_are_found_at_once(tmp_path: Path, journal: Journal) -> None:
    store = ObjectStore(tmp_path, journal)
    fill(store, *NAMES[:3])
    store.path(NAMES[1]).unlink()
    assert await store.missing(NAMES) == (NAMES[1], NAMES[3])
    assert journal.object(NAMES[1]) is None


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError) as caught:
        ObjectStore(tmp_path / "file", journal)
    assert caught.value.remedy
