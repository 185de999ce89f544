"""Databases of every age become what the app expects, with what was in them."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.film.recipe import Recipe, Scene
from ui.storage.library import Library
from ui.storage.migrations import STEPS, sqlite_engine, upgrade
from ui.storage.tables import Base
from ui.storage.traffic_meter import TrafficMeter, this_month

FIRST = """
CREATE TABLE films (
    job VARCHAR(64) NOT NULL, engine VARCHAR(128) NOT NULL, status VARCHAR(16) NOT NULL,
    title TEXT NOT NULL, recipe_json TEXT NOT NULL, format VARCHAR(8) NOT NULL,
    created_at FLOAT NOT NULL, finished_at FLOAT NOT NULL, sha256 VARCHAR(64) NOT NULL,
    size BIGINT NOT NULL, frames INTEGER NOT NULL, seconds FLOAT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, error_json TEXT NOT NULL, PRIMARY KEY (job)
);
CREATE INDEX ix_films_engine ON films (engine);
CREATE INDEX ix_films_status ON films (status);
CREATE INDEX ix_films_created_at ON films (created_at);
INSERT INTO films VALUES ('one', 'e', 'finished', 'dawn → night',
    '{"scenes":[{"prompt":"dawn"},{"prompt":"night"}],"seed":7}', 'mp4', 1.5, 2.5,
    'abc', 9, 8, 1.0, 256, 192, '');
INSERT INTO films VALUES ('two', 'e', 'running', 'fog', '{"scenes":[{"prompt":"fog"}]}', 'mp4',
    3.5, 0, '', 0, 0, 0, 0, 0, '');
"""
SECOND = f"""{FIRST}
ALTER TABLE films ADD COLUMN interpolator TEXT NOT NULL DEFAULT '';
UPDATE films SET interpolator = 'rife-4.25@0';
CREATE TABLE months (
    engine VARCHAR(128) NOT NULL, month VARCHAR(7) NOT NULL,
    received BIGINT NOT NULL, sent BIGINT NOT NULL, PRIMARY KEY (engine, month)
);
INSERT INTO months VALUES ('e', '{this_month()}', 30, 12);
"""


def made(path: Path, script: str) -> sa.Engine:
    """Return a database as an older VisionFlux left it."""
    engine = sqlite_engine(path / "library.db")
    with engine.begin() as connection:
        for statement in script.split(";"):
            connection.exec_driver_sql(statement)
    return engine


@pytest.mark.parametrize(("script", "network"), [(FIRST, ""), (SECOND, "rife-4.25@0")])
def test_an_older_library_keeps_its_films(tmp_path: Path, script: str, network: str) -> None:
    library = Library(made(tmp_path, script), tmp_path / "films")
    (film,) = library.films("NIGHT")
    assert film.recipe == Recipe(scenes=(Scene(prompt="dawn"), Scene(prompt="night")), seed=7)
    assert (film.title, film.created_at, film.size, film.interpolator) == (
        *("dawn → night", 1.5, 9),
        network,
    )
    assert (film.owner, film.favourite, film.deleted_at) == ("", False, 0.0)
    assert [film.job for film in library.unfinished()] == ["two"]
    library.rename("one", "Mine")
    library.rename("one", "")
    library.set_favourite("one", True)
    library.add("three", film.recipe, "e")
    assert [(film.title, film.favourite) for film in library.films()] == [("dawn → night", True)]


def test_older_keyframes_that_wait_are_no_films(tmp_path: Path) -> None:
    wicked = """INSERT INTO films SELECT 'three', engine, status, title,
    '{"scenes":[{"prompt":"\\"animatic\\":true"}]}', format, created_at, finished_at, sha256, size,
    frames, seconds, width, height, error_json, '' FROM films WHERE job = 'one'"""
    waiting = """UPDATE films SET recipe_json =
    replace(recipe_json, '"seed"', '"animatic":true,"seed"') WHERE job = 'one'"""
    library = Library(made(tmp_path, f"{SECOND}{wicked};{waiting}"), tmp_path / "films")
    assert [film.job for film in library.films()] == ["three"]
    assert [film.job for film in library.waiting()] == ["one"]


def test_an_older_meter_keeps_its_count(tmp_path: Path) -> None:
    engine = made(tmp_path, SECOND)
    upgrade(engine)
    assert TrafficMeter(engine).month() == {"e": 42}
    assert TrafficMeter(engine, "somebody").month() == {}
    assert not sa.inspect(engine).has_table("months")


@pytest.mark.parametrize("script", [FIRST, SECOND])
def test_an_older_database_looks_like_a_new_one(tmp_path: Path, script: str) -> None:
    older = made(tmp_path, script)
    upgrade(older)
    newer = sqlite_engine(tmp_path / "newer.db")
    upgrade(newer)
    assert shape(older) == shape(newer)
    with older.connect() as connection:
        assert connection.scalar(sa.text("SELECT max(number) FROM schema_versions")) == len(STEPS)


def shape(engine: sa.Engine) -> dict[str, tuple[set[tuple[str, str, bool]], set[str | None]]]:
    """Return the columns and indexes of each table."""
    inspector = sa.inspect(engine)
    return {
        table: (
            {(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)},
            {index["name"] for index in inspector.get_indexes(table)},
        )
        for table in inspector.get_table_names()
    }


def test_a_database_of_this_version_is_left_alone(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "library.db")
    upgrade(engine)
    seen: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *words: seen.append(words[2]))
    upgrade(engine)
    assert not [text for text in seen if text.startswith(("ALTER", "CREATE", "INSERT", "DROP"))]


def test_a_change_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = made(tmp_path, SECOND)
    before = shape(engine)

    def broken(_connection: sa.Connection) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr("ui.storage.migrations.STEPS", (*STEPS, broken))
    with pytest.raises(RuntimeError, match="power"):
        upgrade(engine)
    assert shape(engine) == before
    monkeypatch.undo()
    upgrade(engine)
    assert set(sa.inspect(engine).get_table_names()) == set(Base.metadata.tables)
