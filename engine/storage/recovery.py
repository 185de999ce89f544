"""Sets a damaged journal aside and copies what can still be read of it into a new one.

It knows the journal's tables. Finished files of the store have records of their own (see
``engine.storage.object_store``). Flipped bits inside a text that stays readable cannot be detected:
SQLite keeps no checksums.
"""

import contextlib
import itertools
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import StorageError
from engine.film import events
from engine.film.events import Logged
from engine.storage.journal import (
    OBJECT,
    VERSION,
    JobRecord,
    Journal,
    ObjectRecord,
    is_damage,
    read_event,
    read_job,
    translated,
)

log = logging.getLogger(__name__)

UNREADABLE = (sqlite3.DatabaseError, msgspec.MsgspecError, TypeError, ValueError, AttributeError)
LOST = StorageError(
    "the engine's journal was damaged, and how this job ended is lost",
    remedy="render the film again; what is still in the store is reused",
)


def open_journal(path: Path) -> Journal:
    """Open the journal; a damaged one is renamed and rebuilt.

    Raises:
        StorageError: the folder cannot be used, or the journal is of another version.
    """
    problem = damage(path)
    if not problem:
        return Journal(path)
    kept = _set_aside(path)
    journal = Journal(path)
    with closing(sqlite3.connect(kept)) as damaged:
        damaged.text_factory = lambda text: text.decode("utf-8", "replace")
        jobs, objects = _copy(damaged, journal)
    log.error(
        "%s: the journal %s was damaged (%s). It is kept as %s; %d jobs and %d finished objects "
        "could be read and are kept, what else it held is lost. Submit again what is missing: "
        "finished pieces in the store are reused.",
        *(StorageError.code, path.name, problem, kept, jobs, objects),
    )
    return journal


def damage(path: Path) -> str:
    """Return what is wrong with a journal; "" if it can be read, or is of another version."""
    if not path.exists():
        return ""
    with translated(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                return ""
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if found == "ok" and _is_readable(db) else found
        except UNREADABLE as error:
            if not is_damage(error):
                raise  # the folder is at fault, not the file
            return str(error)


def _is_readable(db: sqlite3.Connection) -> bool:
    """Read every job, event and object, and raise an error for the first unreadable one."""
    for row in db.execute("SELECT id, recipe, created_at, ended FROM job"):
        read_job(row)
    for row in db.execute("SELECT seq, at, body FROM event"):
        read_event(row)
    for row in db.execute(f"SELECT {OBJECT} FROM object"):
        _read_object(row)
    return True


def _set_aside(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    kept = next(name for name in names if not name.exists())
    with translated(path):
        for tail in ("", "-wal", "-shm"):
            part = path.with_name(path.name + tail)
            if part.exists():
                part.rename(kept.with_name(kept.name + tail))
    return kept


def _copy(damaged: sqlite3.Connection, journal: Journal) -> tuple[int, int]:
    """Copy what can be read; return the numbers of jobs and objects."""
    for (engine_id,) in _rows(damaged, "SELECT value FROM meta WHERE name = 'engine'"):
        journal.become(str(engine_id))
    jobs = list(_jobs(damaged))
    for job in jobs:
        journal.take_in(job, _log(damaged, job))
    for (film,) in _rows(damaged, "SELECT name FROM kept"):
        journal.keep(str(film))
    objects = list(_objects(damaged))
    for row in objects:
        journal.add_object(row)
    return len(jobs), len(objects)


def _jobs(db: sqlite3.Connection) -> Iterator[JobRecord]:
    """Yield the readable jobs, oldest first, from both sides of a damaged page."""
    found: dict[str, tuple[int, JobRecord]] = {}
    for order in ("ASC", "DESC"):
        query = f"SELECT number, id, recipe, created_at, ended FROM job ORDER BY rowid {order}"
        for number, *row in _rows(db, query):
            with contextlib.suppress(*UNREADABLE):
                found[row[0]] = number, read_job(tuple(row))
    for _, job in sorted(found.values(), key=lambda pair: pair[0]):
        yield job


def _log(db: sqlite3.Connection, job: JobRecord) -> list[Logged]:
    """Return a job's log up to the first gap, with a last event if the job has ended."""
    whole: list[Logged] = []
    query = "SELECT seq, at, body FROM event WHERE job = ? ORDER BY seq"
    for seq, row in enumerate(_rows(db, query, job.id), 1):
        try:
            logged = read_event(row)
        except UNREADABLE:
            break
        if logged.seq != seq:
            break
        whole.append(logged)
    if job.ended and not (whole and isinstance(whole[-1].event, events.FINAL)):
        at = whole[-1].at if whole else job.created_at
        whole.append(Logged(seq=len(whole) + 1, at=at, event=events.Failed(error=LOST.report())))
    return whole


def _objects(db: sqlite3.Connection) -> Iterator[ObjectRecord]:
    for row in _rows(db, f"SELECT {OBJECT} FROM object ORDER BY used_at"):
        with contextlib.suppress(*UNREADABLE):
            yield _read_object(row)


def _read_object(row: tuple[Any, ...]) -> ObjectRecord:
    fields = ObjectRecord.__struct_fields__
    return msgspec.convert(dict(zip(fields, row, strict=True)), ObjectRecord)


def _rows(db: sqlite3.Connection, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows until one cannot be read."""
    try:
        yield from db.execute(query, values)
    except sqlite3.DatabaseError:
        return
