"""Stores finished nodes as files under their content addresses, each one completely or not at all.

A file is written elsewhere, flushed, moved into place, and only then indexed in the journal. A
record beside it describes it, so that the index can be rebuilt. The content of a file is compared
with its hash before it is used; a damaged one is dropped, so that it is made again.

If space is short, the least recently used objects are evicted, but never what an unfinished job
needs, nor a film that no client has downloaded.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.errors import StorageError, UnknownObjectError
from engine.files import file_sha256
from engine.storage.journal import Journal, ObjectRecord

log = logging.getLogger(__name__)

CHECKED_BYTES = 2**28  # bytes that are hashed when a client asks what is missing
STORE_BYTES = 20 * 2**30  # bytes
SLACK = 1 / 20  # of the room: evicted beyond need, so that eviction is rare
SUFFIXES = {"image/png": ".png", "video/mp4": ".mp4", "image/gif": ".gif", "audio/flac": ".flac"}


class ObjectStore:
    """The objects of one data folder.

    Args:
        root: the data folder.
        journal: where objects are indexed.
        room: bytes that objects may take, including those that are being written.
    """

    def __init__(self, root: Path, journal: Journal, room: int = STORE_BYTES) -> None:
        self._objects = root / "objects"
        self._scratch = root / "scratch"
        self._journal = journal
        self._room = room
        self._held: dict[str, frozenset[str]] = {}  # by unfinished jobs
        self._kept = journal.kept()
        self._coming: dict[Path, int] = {}  # bytes announced for scratch files
        with translated(root):
            shutil.rmtree(self._scratch, ignore_errors=True)  # unfinished files of a killed engine
            self._objects.mkdir(parents=True, exist_ok=True)
            self._scratch.mkdir(exist_ok=True)
        if journal.fresh:
            self._adopt()

    def find(self, name: str) -> ObjectRecord | None:
        """Return a finished object's row; one whose file is missing or truncated is dropped."""
        row = self._journal.object(name)
        if row is None or self._has_file(row):
            return row
        self._forget(row, "missing or truncated")
        return None

    async def checked(self, name: str) -> ObjectRecord | None:
        """Return a finished object's row if its content is intact, else None.

        The file is read in a thread; a damaged one is dropped and logged.
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

    async def missing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the named objects that are missing or damaged.

        Up to ``CHECKED_BYTES`` bytes are read and hashed in a thread; of the other objects only
        the size is compared.
        """
        rows = self._journal.objects(names)
        here = await asyncio.to_thread(self._whole, rows)
        for row in set(rows) - here:
            await self.checked(row.name)  # drops it, unless it was made meanwhile
        found = {row.name for row in here}
        return tuple(name for name in names if name not in found)

    def _whole(self, rows: Sequence[ObjectRecord]) -> set[ObjectRecord]:
        sizes = itertools.accumulate(row.size for row in rows)
        return {
            row
            for row, read in zip(rows, sizes, strict=True)
            if self._has_file(row) and (read > CHECKED_BYTES or self._is_intact(row))
        }

    def hold(self, job: str, names: Iterable[str]) -> None:
        """Pin what an unfinished job needs: it is never evicted, and counts as just used."""
        self._held[job] = frozenset(names)
        self._journal.touch_objects(self._held[job])

    def release(self, job: str) -> None:
        """Unpin what a job needed: it has ended."""
        self._held.pop(job, None)

    def keep(self, film: str) -> None:
        """Keep a film until a client has downloaded it."""
        self._journal.keep(film)
        self._kept.add(film)

    def unkeep(self, films: set[str]) -> None:
        """Stop keeping films, as the journal has recorded already."""
        self._kept -= films

    def fetched(self, name: str) -> None:
        """Record that a client has downloaded an object."""
        if name in self._kept:
            self._journal.unkeep(name)
            self._kept.discard(name)

    def scratch(self, media_type: str, size: int = 0) -> Path:
        """Return a new path to write to, after making room for ``size`` more bytes.

        Raises:
            StorageError: what is needed takes all the room.
        """
        self._make_room(size)
        with translated(self._scratch):
            folder = tempfile.mkdtemp(dir=self._scratch)
        file = Path(folder) / f"new{SUFFIXES[media_type]}"
        self._coming[file] = size
        return file

    def discard(self, file: Path) -> None:
        """Delete a file of ``scratch``, finished or not, if it exists."""
        self._coming.pop(file, None)
        shutil.rmtree(file.parent, ignore_errors=True)

    def place(self, file: Path, row: ObjectRecord) -> None:
        """Move a finished file to its place, from any thread; ``index`` makes it an object."""
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
        self._coming.pop(file, None)

    def index(self, row: ObjectRecord) -> None:
        """Make a placed file an object, and evict others if the room is exceeded.

        The new object stays even if it alone exceeds the room; then there is none for the next.
        """
        self._journal.add_object(row)
        self._evict(self._excess(), row.name)

    def _make_room(self, size: int) -> None:
        left = self._evict(self._excess() + size)
        if left > 0:
            needed = (self._room + left - size) / 1e9
            raise StorageError(
                f"the engine's store has room for {self._room / 1e9:.3g} GB, and unfinished jobs, "
                f"uploads and films that no client has downloaded need {needed:.3g} GB of it",
                remedy="download or cancel films, or give the engine more with --room; "
                "nothing finished is lost",
            )

    def _excess(self) -> int:
        return self._journal.objects_size() + sum(self._coming.values()) - self._room

    def _evict(self, excess: int, newest: str = "") -> int:
        """Evict unneeded objects until ``excess`` bytes are free; return how many still are not."""
        if excess <= 0:
            return 0
        slack = int(SLACK * self._room)
        needed = self._kept.union({newest}, *self._held.values())
        for row in self._journal.objects_by_use():
            if excess + slack <= 0:
                break
            if row.name not in needed:
                self._drop(row)
                excess -= row.size
        return max(0, excess)

    def read(self, row: ObjectRecord, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes of an object's content from ``offset`` on."""
        if offset >= row.size:
            return b""  # a seek would fail for the largest numbers
        with translated(self._objects), self._path(row).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _has_file(self, row: ObjectRecord) -> bool:
        try:
            return self._path(row).stat().st_size == row.size
        except FileNotFoundError:
            return False

    def _is_intact(self, row: ObjectRecord) -> bool:
        with contextlib.suppress(OSError):
            return file_sha256(self._path(row)) == row.sha256
        return False

    def _forget(self, row: ObjectRecord, why: str) -> None:
        log.error("%s: the object %s is %s; it is made again.", StorageError.code, row.name, why)
        self._drop(row)

    def _drop(self, row: ObjectRecord) -> None:
        self._journal.forget_object(row.name)
        with translated(self._objects):
            for file in (self._path(row), _record(self._path(row))):
                file.unlink(missing_ok=True)

    def _adopt(self) -> None:
        """Rebuild the index of a lost journal from the records beside the files."""
        rows = [row for file in self._objects.glob("*/*.json") if (row := _read_record(file))]
        found = [row for row in rows if self._has_file(row)]
        for row in found:
            self._journal.add_object(row)
        if found:
            log.warning("The journal is new; %d finished objects were found again.", len(found))

    def _path(self, row: ObjectRecord) -> Path:
        return self._objects / row.name[:2] / f"{row.name}{SUFFIXES[row.media_type]}"


def _record(file: Path) -> Path:
    return file.with_suffix(".json")


def _read_record(file: Path) -> ObjectRecord | None:
    """Return the record beside a file; None if it is damaged or misplaced."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        row = msgspec.json.decode(file.read_bytes(), type=ObjectRecord)
        return row if row.name == file.stem and row.media_type in SUFFIXES else None
    return None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate errors of the file system into StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be used: {error.strerror or error}") from error


def _flush(path: Path) -> None:
    """Flush a file to the disk, to survive a power cut; folders can be flushed on POSIX only."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
