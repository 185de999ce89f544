"""Upgrades the tables of an older database to ``ui.storage.tables``, step by step.

A step is never changed once it was released; a new one is appended. The columns of a database
without a table of versions show which steps it needs. It knows tables, not their content.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from ui.storage.tables import Base, Film, Version


def upgrade(engine: sa.Engine) -> None:
    """Create missing tables and upgrade older ones, in one transaction."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":  # its driver would commit each change by itself
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        known = _version(connection)
        Base.metadata.create_all(connection)
        for number, step in enumerate(STEPS, start=1):
            if number > known:
                step(connection)
        if known < len(STEPS) or not _noted(connection):
            row = sa.insert(Version).values(number=len(STEPS), reached_at=time.time())
            connection.execute(row)


def _version(connection: sa.Connection) -> int:
    """Return the number of steps that a database has had."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(Film.__tablename__):
        return len(STEPS)  # a new database
    if inspector.has_table(Version.__tablename__):
        return _noted(connection)
    columns = {column["name"] for column in inspector.get_columns(Film.__tablename__)}
    return 1 if "interpolator" in columns else 0


def _noted(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(Version.number))) or 0


def _networks(connection: sa.Connection) -> None:
    """Store which network drew the in-betweens."""
    _run(connection, "ALTER TABLE films ADD COLUMN interpolator TEXT NOT NULL DEFAULT ''")


def _accounts(connection: sa.Connection) -> None:
    """Store owners, favourites, titles and discarded films; count traffic by owner."""
    _run(
        connection,
        "ALTER TABLE films ADD COLUMN owner VARCHAR(64) NOT NULL DEFAULT ''",
        "ALTER TABLE films ADD COLUMN favourite BOOLEAN NOT NULL DEFAULT FALSE",
        "ALTER TABLE films ADD COLUMN deleted_at FLOAT NOT NULL DEFAULT 0",
        "ALTER TABLE films ADD COLUMN prompts TEXT NOT NULL DEFAULT ''",
        "UPDATE films SET prompts = title",
        "CREATE INDEX films_of_owner ON films (owner, status, deleted_at, created_at)",
    )
    if sa.inspect(connection).has_table("months"):
        _run(
            connection,
            "INSERT INTO traffic (owner, engine, month, received, sent)"
            " SELECT '', engine, month, received, sent FROM months",
            "DROP TABLE months",
        )


def _animatics(connection: sa.Connection) -> None:
    """Mark animatics, whose keyframes await approval."""
    _run(connection, "ALTER TABLE films ADD COLUMN animatic BOOLEAN NOT NULL DEFAULT FALSE")
    marked = Film.recipe_json.contains('"animatic":true', autoescape=True)
    connection.execute(sa.update(Film).where(marked).values(animatic=True))


def _previews(connection: sa.Connection) -> None:
    """Store the bytes of a film's previews, so that their budget survives a restart."""
    _run(connection, "ALTER TABLE films ADD COLUMN shown BIGINT NOT NULL DEFAULT 0")


def _run(connection: sa.Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(sa.text(statement))


STEPS: tuple[Callable[[sa.Connection], None], ...] = (
    _networks,
    _accounts,
    _animatics,
    _previews,
)


def sqlite_engine(path: Path) -> sa.Engine:
    """Return an engine for a SQLite file, which readers and a writer can use at the same time."""
    path.touch(mode=0o600)  # prompts are private; SQLite's other files get the same mode
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    prepare(engine)
    return engine


def prepare(engine: sa.Engine) -> None:
    """Configure SQLite to use a write-ahead log and to wait for locks; no other database."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")
