"""Jobs, their numbered events and the index of the store, in one SQLite file.

WAL mode: a kill at any instant leaves whole transactions. Order is by numbers, never by the clock,
which may be set back. A small reserve on the disk is released so that a job's end can be recorded
even when the disk is full. It knows no sockets; ``engine.storage.recovery`` handles damaged files.
"""

import contextlib
import itertools
import logging
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from engine.errors import StorageError
from engine.film import older
from engine.film.events import AnyEvent, Finished, Logged
from engine.film.recipe import Recipe

log = logging.getLogger(__name__)

RECIPES = msgspec.json.Decoder(Recipe)


class JobRecord(msgspec.Struct, frozen=True):
    """A stored job."""

    id: str
    recipe: Recipe
    created_at: float
    ended: bool


class Ended(msgspec.Struct, frozen=True):
    """A job that has ended: when, in Unix seconds, and with which film; "" without one."""

    id: str
    at: float
    film: str


class ObjectRecord(msgspec.Struct, frozen=True):
    """A finished node: its content address, the hash and size of its content, its media type.

    ``detail`` describes it further, such as how a segment's gap was bridged; ``origin`` is the
    device that made it.
    """

    name: str
    sha256: str
    size: int
    media_type: str
    detail: str = ""
    origin: str = ""


def read_job(row: tuple[Any, ...]) -> JobRecord:
    """Return the job of a row ``id, recipe, created_at, ended``."""
    job, recipe, created_at, ended = row
    return JobRecord(job, RECIPES.decode(recipe), created_at, bool(ended))


def read_event(row: tuple[Any, ...]) -> Logged:
    """Return the event of a row ``seq, at, body``."""
    seq, at, body = row
    return Logged(seq=seq, at=at, event=older.read_event(body))


def read_end(job: str, at: float | None, body: bytes | None) -> Ended:
    """Return an ended job from a row ``id, at, body`` of its last event, if there is one."""
    last = older.read_event(body) if body else None
    return Ended(job, at or 0.0, last.object if isinstance(last, Finished) else "")


VERSION = 1  # raise when the tables change
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, recipe BLOB NOT NULL, created_at REAL NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0, number INTEGER NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS event (
    job TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (job, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
    name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    media_type TEXT NOT NULL, detail TEXT NOT NULL, origin TEXT NOT NULL, used_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
OBJECT = "name, sha256, size, media_type, detail, origin"  # and used_at, which counts uses
CACHE_KIB = 256  # KiB of SQLite's page cache; its default of 2 MiB fills up over hundreds of films
RESERVE_BYTES = 256 * 2**10  # bytes; SQLite needs some pages of 4 KiB to commit
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Journal:
    """The engine's database of jobs. All calls come from one thread."""

    def __init__(self, path: Path) -> None:
        with translated(path):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            made_by = self._db.execute("PRAGMA user_version").fetchone()[0]
            if made_by not in (0, VERSION):
                raise StorageError(
                    f"the journal {path.name} was made by another version of VisionFlux",
                    remedy="use that version, or choose another folder with --data",
                )
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            used = self._db.execute("SELECT COALESCE(MAX(used_at), 0) FROM object").fetchone()[0]
        self.fresh = not made_by  # it was empty
        self._path, self._reserve = path, path.with_suffix(".reserve")
        self._uses = itertools.count(int(used) + 1)
        self.engine_id = self._identity("engine")
        self.epoch = self._identity("epoch")
        self._open()
        self._hold_reserve()

    def become(self, engine_id: str) -> None:
        """Take over the identity of a journal that this one replaces, under a new epoch."""
        with translated(self._path):
            self._db.execute("UPDATE meta SET value = ? WHERE name = 'engine'", (engine_id,))
        self.engine_id = engine_id

    def close(self) -> None:
        """Close the file, and record in it that it was closed cleanly."""
        try:
            with translated(self._path):
                self._db.execute("DELETE FROM meta WHERE name = 'opened'")
        except StorageError:  # the next start then begins another epoch; nothing is lost
            log.warning("The journal cannot be closed in order.", exc_info=True)
        self._db.close()

    def _open(self) -> None:
        """Begin another epoch if the computer crashed while the journal was open.

        Its last transactions may be lost then: ``synchronous = NORMAL`` does not flush each one.
        """
        boot = _boot()
        with translated(self._path):
            row = self._db.execute("SELECT value FROM meta WHERE name = 'opened'").fetchone()
            if row and row[0] != boot:
                self.epoch = secrets.token_hex(8)
                query = "UPDATE meta SET value = ? WHERE name = 'epoch'"
                self._db.execute(query, (self.epoch,))
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('opened', ?)", (boot,))

    # Jobs

    def add_job(self, job: str, recipe: Recipe, first: AnyEvent) -> JobRecord:
        """Store a new job and its first event."""
        row = JobRecord(job, recipe, time.time(), False)
        self.take_in(row, [Logged(seq=1, at=row.created_at, event=first)])
        return row

    def take_in(self, row: JobRecord, log: Iterable[Logged]) -> None:
        """Store a job with its whole log."""
        with translated(self._path), self._transaction():
            self._db.execute(
                "INSERT INTO job (id, recipe, created_at, ended, number)"
                " VALUES (?, ?, ?, ?, (SELECT COALESCE(MAX(number), 0) + 1 FROM job))",
                (row.id, msgspec.json.encode(row.recipe), row.created_at, row.ended),
            )
            for logged in log:
                self._insert(row.id, logged)

    def job(self, job: str) -> JobRecord | None:
        """Return a job, or None."""
        return next(self._jobs("WHERE id = ?", job), None)

    def jobs(self, limit: int) -> list[JobRecord]:
        """Return the newest jobs, newest first."""
        return list(self._jobs("ORDER BY number DESC LIMIT ?", limit))

    def unfinished(self) -> list[JobRecord]:
        """Return the jobs that have not ended, oldest first."""
        return list(self._jobs("WHERE NOT ended ORDER BY number"))

    def ended(self) -> list[Ended]:
        """Return the jobs that have ended, the newest first."""
        last = "(SELECT seq FROM event WHERE job = job.id ORDER BY seq DESC LIMIT 1)"
        query = f"SELECT id, at, body FROM job LEFT JOIN event ON job = id AND seq = {last}"
        with translated(self._path):
            rows = self._db.execute(f"{query} WHERE ended ORDER BY number DESC").fetchall()
            return [read_end(*row) for row in rows]

    def forget_jobs(self, jobs: Iterable[str]) -> None:
        """Delete jobs with their logs."""
        names = [(job,) for job in jobs]
        with translated(self._path), self._transaction():
            self._db.executemany("DELETE FROM event WHERE job = ?", names)
            self._db.executemany("DELETE FROM job WHERE id = ?", names)

    # Events

    def append(self, job: str, seq: int, event: AnyEvent, *, final: bool) -> Logged:
        """Store one event; ``final`` ends the job in the same transaction."""
        logged = Logged(seq=seq, at=time.time(), event=event)
        if not final:
            with translated(self._path):
                self._insert(job, logged)
            return logged
        try:
            self._end(job, logged)
        except StorageError:
            self._reserve.unlink(missing_ok=True)
            self._end(job, logged)
        self._hold_reserve()
        return logged

    def _end(self, job: str, logged: Logged) -> None:
        with translated(self._path), self._transaction():
            self._insert(job, logged)
            self._db.execute("UPDATE job SET ended = 1 WHERE id = ?", (job,))

    def _insert(self, job: str, logged: Logged) -> None:
        self._db.execute(
            "INSERT INTO event (job, seq, at, body) VALUES (?, ?, ?, ?)",
            (job, logged.seq, logged.at, msgspec.json.encode(logged.event)),
        )

    def events(self, job: str) -> list[Logged]:
        """Return the whole log of a job."""
        return self._events("WHERE job = ? ORDER BY seq", job)

    def last_event(self, job: str) -> AnyEvent | None:
        """Return the newest event of a job."""
        found = self._events("WHERE job = ? ORDER BY seq DESC LIMIT 1", job)
        return found[0].event if found else None

    # Objects

    def add_object(self, row: ObjectRecord) -> None:
        """Record that an object is in the store."""
        with translated(self._path):
            self._db.execute(
                "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*msgspec.structs.astuple(row), next(self._uses)),
            )

    def object(self, name: str) -> ObjectRecord | None:
        """Return an object's row, or None."""
        with translated(self._path):
            row = self._db.execute(
                f"SELECT {OBJECT} FROM object WHERE name = ?", (name,)
            ).fetchone()
        return ObjectRecord(*row) if row else None

    def objects(self, names: Sequence[str]) -> list[ObjectRecord]:
        """Return the rows of those of the named objects that exist."""
        query = f"SELECT {OBJECT} FROM object WHERE name IN (SELECT value FROM json_each(?))"
        with translated(self._path):
            rows = self._db.execute(query, (msgspec.json.encode(names).decode(),)).fetchall()
        return [ObjectRecord(*row) for row in rows]

    def touch_objects(self, names: Iterable[str]) -> None:
        """Record that objects are in use now."""
        now = next(self._uses)
        with translated(self._path), self._transaction():
            self._db.executemany(
                "UPDATE object SET used_at = ? WHERE name = ?", ((now, name) for name in names)
            )

    def objects_size(self) -> int:
        """Return the bytes of all objects."""
        with translated(self._path):
            return int(self._db.execute("SELECT TOTAL(size) FROM object").fetchone()[0])

    def objects_by_use(self) -> list[ObjectRecord]:
        """Return all objects, the least recently used first."""
        with translated(self._path):
            rows = self._db.execute(f"SELECT {OBJECT} FROM object ORDER BY used_at").fetchall()
        return [ObjectRecord(*row) for row in rows]

    def keep(self, name: str) -> None:
        """Record that an object is a film that no client has downloaded yet."""
        with translated(self._path):
            self._db.execute("INSERT OR IGNORE INTO kept VALUES (?)", (name,))

    def unkeep(self, name: str) -> None:
        """Record that a client has downloaded a film."""
        with translated(self._path):
            self._db.execute("DELETE FROM kept WHERE name = ?", (name,))

    def kept(self) -> set[str]:
        """Return the films that no client has downloaded yet."""
        with translated(self._path):
            return {name for (name,) in self._db.execute("SELECT name FROM kept")}

    def forget_object(self, name: str) -> None:
        """Delete the row of an object whose file is lost."""
        with translated(self._path):
            self._db.execute("DELETE FROM object WHERE name = ?", (name,))

    def _jobs(self, clause: str, *values: str | int) -> Iterator[JobRecord]:
        with translated(self._path):
            rows = self._db.execute(
                f"SELECT id, recipe, created_at, ended FROM job {clause}", values
            ).fetchall()
            jobs = [read_job(row) for row in rows]
        yield from jobs

    def _events(self, clause: str, *values: str | int) -> list[Logged]:
        with translated(self._path):
            rows = self._db.execute(f"SELECT seq, at, body FROM event {clause}", values).fetchall()
            return [read_event(row) for row in rows]

    def _identity(self, name: str) -> str:
        """Return the random identity stored under a name; the first start creates it."""
        with translated(self._path):
            self._db.execute(
                "INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, secrets.token_hex(8))
            )
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0])

    def _hold_reserve(self) -> None:
        """Reserve some space for when the disk is full, if there is room for it."""
        with contextlib.suppress(OSError):
            if not self._reserve.exists() or self._reserve.stat().st_size < RESERVE_BYTES:
                self._reserve.write_bytes(secrets.token_bytes(RESERVE_BYTES))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite may have rolled it back already
                self._db.execute("ROLLBACK")
            raise


def _boot() -> str:
    """Return an identity of this computer's current boot."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return str(round(psutil.boot_time()))


def is_damage(error: Exception) -> bool:
    """Return whether an error means a damaged file or row rather than an unusable disk."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in DAMAGE


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate errors of SQLite, and of rows that cannot be decoded, into StorageError."""
    try:
        yield
    except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
        damaged = is_damage(error)
        raise StorageError(
            f"the journal {path.name} cannot be used: {error}",
            remedy="start the engine again: it keeps what can still be read" if damaged else "",
        ) from error
