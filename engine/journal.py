"""Jobs, their numbered events and the index of the store, in one SQLite file.

WAL mode: a kill at any instant leaves whole transactions. It knows no files and no sockets.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.errors import StorageError
from engine.events import AnyEvent, Logged
from engine.recipe import Recipe

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
"""
OBJECT = "name, sha256, size, media_type, detail, origin"


class JobRow(msgspec.Struct, frozen=True):
    """A job as it is kept."""

    id: str
    recipe: Recipe
    created_at: float
    ended: bool


class ObjectRow(msgspec.Struct, frozen=True):
    """A finished node: its content address, the hash and size of its content, its media type.

    ``detail`` is what its maker had to say of it, such as a segment's judgement; ``origin`` is the
    device that made it.
    """

    name: str
    sha256: str
    size: int
    media_type: str
    detail: str = ""
    origin: str = ""


class Journal:
    """The engine's memory. All calls come from one thread."""

    def __init__(self, path: Path) -> None:
        with translated(path):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            made_by = self._db.execute("PRAGMA user_version").fetchone()[0]
            if made_by not in (0, VERSION):
                raise StorageError(
                    f"the journal {path.name} was made by another version of VisionFlux",
                    remedy="use that version, or choose another folder with --data",
                )
            self._db.executescript(SCHEMA)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._path = path
        self.engine_id = self._identity()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Jobs

    def add_job(self, job: str, recipe: Recipe) -> JobRow:
        """Keep a new job."""
        row = JobRow(job, recipe, time.time(), False)
        with translated(self._path):
            self._db.execute(
                "INSERT INTO job (id, recipe, created_at, number)"
                " VALUES (?, ?, ?, (SELECT COALESCE(MAX(number), 0) + 1 FROM job))",
                (job, msgspec.json.encode(recipe), row.created_at),
            )
        return row

    def job(self, job: str) -> JobRow | None:
        """Return a job, or None."""
        return next(self._jobs("WHERE id = ?", job), None)

    def jobs(self, limit: int) -> list[JobRow]:
        """Return the newest jobs, newest first."""
        return list(self._jobs("ORDER BY number DESC LIMIT ?", limit))

    def unfinished(self) -> list[JobRow]:
        """Return the jobs that have not ended, oldest first."""
        return list(self._jobs("WHERE NOT ended ORDER BY number"))

    # Events

    def append(self, job: str, seq: int, event: AnyEvent, *, final: bool) -> Logged:
        """Keep one event; ``final`` ends the job in the same transaction."""
        logged = Logged(seq=seq, at=time.time(), event=event)
        with translated(self._path), self._transaction():
            self._db.execute(
                "INSERT INTO event (job, seq, at, body) VALUES (?, ?, ?, ?)",
                (job, seq, logged.at, msgspec.json.encode(event)),
            )
            if final:
                self._db.execute("UPDATE job SET ended = 1 WHERE id = ?", (job,))
        return logged

    def events(self, job: str) -> list[Logged]:
        """Return the whole log of a job."""
        return self._events("WHERE job = ? ORDER BY seq", job)

    def last_event(self, job: str) -> AnyEvent | None:
        """Return the newest event of a job."""
        found = self._events("WHERE job = ? ORDER BY seq DESC LIMIT 1", job)
        return found[0].event if found else None

    # Objects

    def add_object(self, row: ObjectRow) -> None:
        """Keep that an object is in the store."""
        with translated(self._path):
            self._db.execute(
                "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*msgspec.structs.astuple(row), time.time()),
            )

    def object(self, name: str) -> ObjectRow | None:
        """Return an object's row, or None."""
        with translated(self._path):
            row = self._db.execute(
                f"SELECT {OBJECT} FROM object WHERE name = ?", (name,)
            ).fetchone()
        return ObjectRow(*row) if row else None

    def touch_objects(self, names: Iterable[str]) -> None:
        """Note that objects are in use now."""
        now = time.time()
        with translated(self._path), self._transaction():
            self._db.executemany(
                "UPDATE object SET used_at = ? WHERE name = ?", ((now, name) for name in names)
            )

    def objects_size(self) -> int:
        """Return the bytes of all objects."""
        with translated(self._path):
            return int(self._db.execute("SELECT TOTAL(size) FROM object").fetchone()[0])

    def objects_by_use(self) -> list[ObjectRow]:
        """Return all objects, the one that was used longest ago first."""
        with translated(self._path):
            rows = self._db.execute(f"SELECT {OBJECT} FROM object ORDER BY used_at").fetchall()
        return [ObjectRow(*row) for row in rows]

    def forget_object(self, name: str) -> None:
        """Drop the row of an object whose file is lost."""
        with translated(self._path):
            self._db.execute("DELETE FROM object WHERE name = ?", (name,))

    def _jobs(self, clause: str, *values: str | int) -> Iterator[JobRow]:
        with translated(self._path):
            rows = self._db.execute(
                f"SELECT id, recipe, created_at, ended FROM job {clause}", values
            ).fetchall()
        for job, recipe, created_at, ended in rows:
            yield JobRow(job, msgspec.json.decode(recipe, type=Recipe), created_at, bool(ended))

    def _events(self, clause: str, *values: str | int) -> list[Logged]:
        with translated(self._path):
            rows = self._db.execute(f"SELECT seq, at, body FROM event {clause}", values).fetchall()
        return [
            Logged(seq=seq, at=at, event=msgspec.json.decode(body, type=AnyEvent))
            for seq, at, body in rows
        ]

    def _identity(self) -> str:
        with translated(self._path):
            self._db.execute(
                "INSERT OR IGNORE INTO meta VALUES ('engine', ?)", (secrets.token_hex(8),)
            )
            row = self._db.execute("SELECT value FROM meta WHERE name = 'engine'").fetchone()
        return str(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate what SQLite raises into StorageError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StorageError(f"the journal {path.name} cannot be used: {error}") from error
