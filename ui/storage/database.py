"""Opens the database that the app keeps its films in, so that threads and processes can share it.

It knows neither its tables nor what is in them.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event


def sqlite_engine(path: Path) -> sa.Engine:
    """Return an engine for a SQLite file that readers and one writer share without waiting."""
    path.touch(mode=0o600)  # prompts are private; SQLite gives its other files the same mode
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    prepare(engine)
    return engine


def prepare(engine: sa.Engine) -> None:
    """Let SQLite keep a write-ahead log and wait for locks; other databases are left alone."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")
