"""What an engine forgets, and what it never does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from engine.errors import UnknownJobError
from engine.film.events import Cancelled, Finished, Logged, Queued
from engine.jobs import retention
from engine.jobs.queue import JobQueue
from engine.jobs.retention import KEPT_SECONDS, PinnedNodes, prune
from engine.storage.journal import JobRecord, Journal
from engine.storage.object_store import ObjectStore
from engine.workers.process import WorkerProcess
from tests.conftest import MODELS, STAND_IN, a_recipe
from tests.stand_ins.connection import PLANNED

NOW = 2_000_000_000.0
OLD = NOW - KEPT_SECONDS - 1


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr(retention, "MIN_JOBS", 2)
    monkeypatch.setattr(retention, "MAX_JOBS", 4)
    journal = Journal(tmp_path / "engine.db")
    yield journal
    journal.close()


def finished(film: str) -> Finished:
    return Finished(
        object=film,
        sha256="",
        size=1,
        media_type="video/mp4",
        frames=1,
        seconds=1.0,
        width=8,
        height=8,
    )


def end(journal: Journal, job: str, at: float, film: str = "") -> None:
    """Keep a job that has ended, with a film that nobody has fetched or without one."""
    last = finished(film) if film else Cancelled()
    log = [Logged(seq=1, at=at, event=Queued(position=0)), Logged(seq=2, at=at, event=last)]
    journal.take_in(JobRecord(job, a_recipe(), at, True), log)
    if film:
        journal.keep(film)


def known(journal: Journal) -> list[str]:
    return [row.id for row in journal.jobs(99)]


def test_old_jobs_go_but_for_the_newest(journal: Journal) -> None:
    for job in ("one", "two", "three"):
        end(journal, job, OLD)
    prune(journal, NOW)
    assert known(journal) == ["three", "two"]
    assert journal.events("one") == []
    assert len(journal.events("three")) == 2


def test_there_are_never_more_than_so_many(journal: Journal) -> None:
    for number in range(6):
        end(journal, f"job-{number}", NOW)
    prune(journal, NOW)
    assert known(journal) == ["job-5", "job-4", "job-3", "job-2"]


def test_a_job_that_has_not_ended_stays(journal: Journal) -> None:
    journal.take_in(JobRecord("waits", a_recipe(), OLD, False), [])
    for number in range(6):
        end(journal, f"job-{number}", OLD)
    prune(journal, NOW)
    assert known(journal) == ["job-5", "job-4", "waits"]


def test_a_film_that_nobody_fetches_is_protected_for_a_while(journal: Journal) -> None:
    end(journal, "old", OLD, "film-old")
    end(journal, "again", OLD, "film-both")
    end(journal, "new", NOW, "film-both")
    journal.keep("film-of-nobody-known")
    assert prune(journal, NOW) == {"film-old"}
    assert journal.kept() == {"film-both", "film-of-nobody-known"}
    assert prune(journal, NOW) == set()


def test_a_film_of_a_forgotten_job_is_no_longer_protected(journal: Journal) -> None:
    end(journal, "first", NOW, "film-first")
    for number in range(4):
        end(journal, f"job-{number}", NOW, f"film-{number}")
    assert prune(journal, NOW) == {"film-first"}


def test_an_engine_forgets_when_it_starts(tmp_path: Path, journal: Journal) -> None:
    for job in ("job-0001", "job-0002", "job-0003"):
        end(journal, job, 1.0, f"film-of-{job}")
    jobs = JobQueue(
        journal,
        ObjectStore(tmp_path, journal),
        MODELS,
        WorkerProcess(STAND_IN, "cpu", lambda _: None),
    )
    jobs.restore()
    with pytest.raises(UnknownJobError):
        jobs.get("job-0001")
    assert jobs.get("job-0003").progress.status == "finished"
    assert journal.kept() == set()


@pytest.mark.anyio
async def test_everything_that_is_under_way_ends_with_it(tmp_path: Path, journal: Journal) -> None:
    pinned = PinnedNodes((), ObjectStore(tmp_path, journal))
    before = asyncio.all_tasks()
    for model in ("one", "two"):
        pinned.learn(model, structs.replace(PLANNED, model=model))
    tasks = asyncio.all_tasks() - before
    pinned.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [True, True]
