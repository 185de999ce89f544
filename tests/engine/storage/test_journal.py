import sqlite3
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.film import events
from engine.storage.journal import Journal, ObjectRecord
from tests.conftest import a_recipe

QUEUED = events.Queued(position=0)


def test_jobs_and_events_are_there_after_reopening(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.add_job("job-0001", a_recipe("a"), QUEUED)
    engine_id = journal.engine_id
    journal.close()
    again = Journal(tmp_path / "j.db")
    assert again.engine_id == engine_id
    assert [row.id for row in again.unfinished()] == ["job-0001"]
    assert again.job("job-0001").recipe == a_recipe("a")  # type: ignore[union-attr]
    assert [logged.event for logged in again.events("job-0001")] == [QUEUED]
    again.close()


def test_a_final_event_ends_the_job(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.add_job("job-0001", a_recipe("a"), QUEUED)
    journal.append("job-0001", 2, events.Cancelled(), final=True)
    assert journal.unfinished() == []
    journal.close()


def test_a_number_is_given_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.add_job("job-0001", a_recipe("a"), QUEUED)
    with pytest.raises(StorageError):
        journal.append("job-0001", 1, events.Cancelled(), final=True)
    assert len(journal.unfinished()) == 1
    journal.close()


def test_newest_jobs_come_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for job in ("job-0001", "job-0002", "job-0003"):
        journal.add_job(job, a_recipe("a"), QUEUED)
    assert [row.id for row in journal.jobs(2)] == ["job-0003", "job-0002"]
    assert [row.id for row in journal.unfinished()] == ["job-0001", "job-0002", "job-0003"]
    journal.close()


def test_objects_are_found_by_name(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    row = ObjectRecord("a" * 64, "b" * 64, 3, "image/png", "detail")
    journal.add_object(row)
    assert journal.object(row.name) == row
    journal.forget_object(row.name)
    assert journal.object(row.name) is None
    journal.close()


def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StorageError) as caught:
        Journal(tmp_path / "j.db")
    assert caught.value.remedy


def test_a_journal_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StorageError, match="another version"):
        Journal(tmp_path / "j.db")
