"""Finished nodes as files, each under its content address; half-written ones never count.

A file is written elsewhere, flushed, moved into place, and only then indexed in the journal. Beside
each stands a record of what it is, from which the index can be made again. What a file holds is
compared with its hash before it is used; one that is damaged is forgotten, so it is made again.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.errors import StorageError, UnknownObjectError
from engine.journal import Journal, ObjectRow

log = logging.getLogger(__name__)

SUFFIXES = {"image/png": ".png", "video/mp4": ".mp4", "image/gif": ".gif"}


class Store:
    """The objects of one data folder.

    Args:
        root: the data folder.
        journal: where objects are indexed.
        room: bytes that objects may take; the ones used longest ago make way.
    """

    def __init__(self, root: Path, journal: Journal, room: int = 20 * 2**30) -> None:
        self._objects = root / "objects"
        self._scratch = root / "scratch"
        self._journal = journal
        self._room = room
        self._needed: set[str] = set()
        with translated(root):
            shutil.rmtree(self._scratch, ignore_errors=True)  # what a killed engine left half-done
            self._objects.mkdir(parents=True, exist_ok=True)
            self._scratch.mkdir(exist_ok=True)
        if journal.fresh:
            self._adopt()

    def find(self, name: str) -> ObjectRow | None:
        """Return a finished object's row; one whose file is lost or cut short is forgotten."""
        row = self._journal.object(name)
        if row is None or self._has_file(row):
            return row
        self._forget(row, "lost or cut short")
        return None

    async def checked(self, name: str) -> ObjectRow | None:
        """Return a finished object's row if its content is still what was made, else None.

        It is read whole, in a thread; a damaged one is forgotten and named in the log.
        """
        row = self.find(name)
        if row is None or await asyncio.to_thread(self._is_intact, row):
            return row
        self._forget(row, "damaged")
        return None

    def path(self, name: str) -> Path:
        """Return the file of a finished object.

        Raises:
            UnknownObjectError: there is none.
        """
        row = self.find(name)
        if row is None:
            raise UnknownObjectError(name)
        return self._path(row)

    def touch(self, names: Iterable[str]) -> None:
        """Note what the film in the making needs: it is never evicted, and most recently used."""
        self._needed = set(names)
        self._journal.touch_objects(self._needed)

    def scratch(self, media_type: str) -> Path:
        """Return a fresh path to write to."""
        with translated(self._scratch):
            folder = tempfile.mkdtemp(dir=self._scratch)
        return Path(folder) / f"new{SUFFIXES[media_type]}"

    def discard(self, file: Path) -> None:
        """Drop what ``scratch`` gave, finished or not; missing is fine."""
        shutil.rmtree(file.parent, ignore_errors=True)

    def place(self, file: Path, row: ObjectRow) -> None:
        """Move a finished file to its place; any thread may call this. ``index`` makes it count."""
        target = self._path(row)
        with translated(target):
            target.parent.mkdir(exist_ok=True)
            record = file.with_name("record")
            record.write_bytes(msgspec.json.encode(row))
            for new, place in ((record, _record(target)), (file, target)):
                _flush(new)
                new.replace(place)
            _flush(target.parent)
            file.parent.rmdir()

    def index(self, row: ObjectRow) -> None:
        """Make a placed file count as finished, and make room if it was the last straw."""
        self._journal.add_object(row)
        excess = self._journal.objects_size() - self._room
        if excess > 0:
            self._evict(excess, row.name)

    def _evict(self, excess: int, newest: str) -> None:
        for row in self._journal.objects_by_use():
            if excess <= 0:
                break
            if row.name == newest or row.name in self._needed:
                continue
            self._drop(row)
            excess -= row.size

    def read(self, row: ObjectRow, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes of an object's content from ``offset`` on."""
        if offset >= row.size:
            return b""  # a seek would refuse the largest numbers
        with translated(self._objects), self._path(row).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _has_file(self, row: ObjectRow) -> bool:
        try:
            return self._path(row).stat().st_size == row.size
        except FileNotFoundError:
            return False

    def _is_intact(self, row: ObjectRow) -> bool:
        with contextlib.suppress(OSError), self._path(row).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == row.sha256
        return False

    def _forget(self, row: ObjectRow, why: str) -> None:
        log.error("%s: the object %s is %s; it is made again.", StorageError.code, row.name, why)
        self._drop(row)

    def _drop(self, row: ObjectRow) -> None:
        self._journal.forget_object(row.name)
        with translated(self._objects):
            for file in (self._path(row), _record(self._path(row))):
                file.unlink(missing_ok=True)

    def _adopt(self) -> None:
        """Index what a lost journal knew, by the records beside the files."""
        rows = [row for file in self._objects.glob("*/*.json") if (row := _read_record(file))]
        found = [row for row in rows if self._has_file(row)]
        for row in found:
            self._journal.add_object(row)
        if found:
            log.warning("The journal is new; %d finished objects were found again.", len(found))

    def _path(self, row: ObjectRow) -> Path:
        return self._objects / row.name[:2] / f"{row.name}{SUFFIXES[row.media_type]}"


def _record(file: Path) -> Path:
    return file.with_suffix(".json")


def _read_record(file: Path) -> ObjectRow | None:
    """Read what a file beside it is; a record that is damaged or misplaced says nothing."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        row = msgspec.json.decode(file.read_bytes(), type=ObjectRow)
        return row if row.name == file.stem and row.media_type in SUFFIXES else None
    return None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate what the file system raises into StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be used: {error.strerror or error}") from error


def _flush(path: Path) -> None:
    """Make what was written survive a power cut; folders can be flushed on POSIX only."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
