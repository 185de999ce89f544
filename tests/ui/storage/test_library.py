import time
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

import ui.storage.library
from engine.errors import ErrorReport
from engine.film.events import Finished
from engine.film.recipe import Recipe, Scene
from ui.storage.library import LISTED_FILMS, Library
from ui.storage.migrations import sqlite_engine
from ui.storage.tables import Base

DONE = Finished(
    object="a" * 64,
    sha256="b" * 64,
    size=1234,
    media_type="video/mp4",
    frames=96,
    seconds=4.0,
    width=256,
    height=256,
)


def recipe(prompt: str = "dawn over the sea") -> Recipe:
    return Recipe(scenes=(Scene(prompt=prompt),), seed=7)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")


def test_a_submitted_job_is_found_again_after_a_restart(tmp_path: Path) -> None:
    first = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
    first.add("job1", recipe(), "engine1")
    again = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
    (film,) = again.unfinished("engine1")
    assert (film.job, film.status, film.recipe) == ("job1", "submitting", recipe())


def test_unfinished_jobs_belong_to_their_engine(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.add("job2", recipe(), "engine2")
    assert [film.job for film in library.unfinished("engine2")] == ["job2"]
    assert len(library.unfinished()) == 2


def test_a_finished_film_keeps_its_measures(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.accepted("job1")
    library.finish("job1", DONE)
    (film,) = library.films()
    assert (film.frames, film.seconds, film.size, film.width) == (96, 4.0, 1234, 256)
    assert library.unfinished() == []


def test_a_failed_job_keeps_its_error_and_is_no_film(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    report = ErrorReport("E_DEVICE_MEMORY", "out of memory", "choose a smaller size")
    library.end("job1", "failed", report)
    film = library.get("job1")
    assert film is not None
    assert film.error == report
    assert library.films() == []


def test_films_come_newest_first_in_pages_and_are_searched_literally(library: Library) -> None:
    for index in range(5):
        library.add(f"job{index}", recipe(f"scene {index} 100%"), "engine1")
        library.finish(f"job{index}", DONE)
    assert [film.job for film in library.films(limit=2, offset=1)] == ["job3", "job2"]
    assert [film.job for film in library.films("SCENE 4")] == ["job4"]
    assert library.totals("0%").films == 5
    assert library.totals("_").films == 0


def test_deleting_removes_row_and_files(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    film = library.get("job1")
    assert film is not None
    library.file(film).write_bytes(b"film")
    library.thumbnail("job1", 3).write_bytes(b"jpeg")
    assert library.thumbnails("job1") == [3]
    library.delete("job1")
    assert library.get("job1") is None
    assert not (library.folder / "job1").exists()


def test_prompts_are_data_for_the_database(library: Library) -> None:
    prompt = "'; DROP TABLE films; -- <script>"
    library.add("job1", recipe(prompt), "engine1")
    film = library.get("job1")
    assert film is not None
    assert film.title == prompt


def test_a_job_continued_elsewhere_keeps_its_time_and_pictures(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.accepted("job1")
    library.thumbnail("job1", 3).write_bytes(b"jpeg")
    before = library.get("job1")
    assert library.replace("job1", "job2", "engine2")
    after = library.get("job2")
    assert before is not None
    assert after is not None
    assert (after.engine, after.status, after.created_at) == (
        "engine2",
        "submitting",
        before.created_at,
    )
    assert library.get("job1") is None
    assert library.thumbnails("job2") == [3]


def test_a_former_job_leads_to_its_successor(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.replace("job1", "job2", "engine2")
    library.replace("job2", "job3", "engine3")
    assert (library.successor("job1"), library.successor("job2")) == ("job3", "job3")
    assert library.successor("job3") is None
    assert Library(library.engine, library.folder, "somebody").successor("job1") is None


def test_a_finished_job_is_not_replaced(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.finish("job1", DONE)
    assert not library.replace("job1", "job2", "engine2")
    assert library.get("job1") is not None


def test_a_late_answer_does_not_reopen_a_job_that_ended(
    library: Library,
) -> None:
    library.add("job1", recipe(), "engine1")
    library.end("job1", "failed", ErrorReport("E_INTERNAL", "it broke", ""))
    library.accepted("job1")
    assert library.unfinished() == []


def films_of(library: Library, **wanted: object) -> list[str]:
    return [film.job for film in library.films(**wanted)]  # type: ignore[arg-type]


def finished(library: Library, job: str, prompt: str = "dawn", **measures: object) -> None:
    library.add(job, recipe(prompt), "engine1")
    library.finish(job, msgspec.structs.replace(DONE, **measures))


def test_a_film_is_found_by_its_new_name_and_by_its_prompts(library: Library) -> None:
    finished(library, "job1", "dawn over the sea")
    library.rename("job1", "  Postcard \n from  home ")
    (film,) = library.films("postcard from")
    assert (film.title, film.prompts) == ("Postcard from home", "dawn over the sea")
    assert films_of(library, search="OVER the") == ["job1"]
    library.rename("job1", "   ")
    assert library.films()[0].title == "dawn over the sea"


def test_favourites_are_a_shelf_of_their_own(library: Library) -> None:
    for job in ("job1", "job2"):
        finished(library, job)
    library.set_favourite("job1", True)
    assert films_of(library, favourites=True) == ["job1"]
    assert library.totals(favourites=True).films == 1
    library.set_favourite("job1", False)
    assert films_of(library, favourites=True) == []


def test_films_are_sorted_as_the_user_wishes(library: Library) -> None:
    finished(library, "job1", "beach", seconds=9.0, size=1)
    finished(library, "job2", "Alps", seconds=2.0, size=900)
    finished(library, "job3", "city", seconds=5.0, size=50)
    expected = {
        "newest": ["job3", "job2", "job1"],
        "oldest": ["job1", "job2", "job3"],
        "title": ["job2", "job1", "job3"],
        "longest": ["job1", "job3", "job2"],
        "largest": ["job2", "job3", "job1"],
    }
    assert {sort: films_of(library, sort=sort) for sort in expected} == expected
    assert library.totals() == (3, 16.0, 951)


def test_a_discarded_film_is_hidden_until_it_is_restored(library: Library) -> None:
    finished(library, "job1")
    path = library.file(library.films()[0])
    path.write_bytes(b"film")
    library.discard("job1")
    assert library.get("job1") is None
    assert library.films() == []
    library.sweep()
    library.restore("job1")
    assert films_of(library) == ["job1"]
    assert path.read_bytes() == b"film"


def test_what_was_put_aside_yesterday_is_deleted(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in ("job1", "job2"):
        finished(library, job)
        library.file(library.films()[0]).write_bytes(b"film")
    library.discard("job1")
    monkeypatch.setattr(ui.storage.library, "UNDO_SECONDS", -1.0)
    library.sweep()
    library.restore("job1")
    assert films_of(library) == ["job2"]
    assert not (library.folder / "job1").exists()


def test_what_no_page_has_shown_for_a_month_is_deleted(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [f"job{number:02}" for number in range(LISTED_FILMS + 2)]
    for job in jobs:
        library.add(job, recipe(), "engine1")
        library.end(job, "failed")
    finished(library, "film")
    library.sweep()
    assert len(library.ended(None)) == len(jobs)
    monkeypatch.setattr(ui.storage.library, "FORGET_AFTER_SECONDS", -1.0)
    library.sweep()
    assert [film.job for film in library.ended(None)] == jobs[:1:-1]
    assert films_of(library) == ["film"]


def test_incomplete_downloads_of_jobs_that_have_ended_are_removed(library: Library) -> None:
    for job, status in (("job1", "finished"), ("job2", "failed"), ("job3", "running")):
        library.add(job, recipe(), "engine1")
        film = library.get(job)
        assert film
        for name in ("film.mp4", "film.mp4.part", "poster.png.part", "keyframe-0001.whole.part"):
            library.file(film).with_name(name).write_bytes(b"some")
        if status != "running":
            library.end(job, status)  # type: ignore[arg-type]
    library.remove_incomplete_downloads(time.time() - 60)
    assert len(list((library.folder / "job1").iterdir())) == 4  # they may be in use
    library.remove_incomplete_downloads(time.time() + 60)
    kept = {job: len(list((library.folder / job).iterdir())) for job in ("job1", "job2", "job3")}
    assert kept == {"job1": 1, "job2": 1, "job3": 4}  # an unfinished download continues


def test_a_film_that_is_being_made_is_not_put_aside(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.discard("job1")
    assert [film.job for film in library.unfinished()] == ["job1"]


def test_films_that_ended_early_can_be_continued(library: Library) -> None:
    for job, status in (("job1", "failed"), ("job2", "cancelled"), ("job3", "finished")):
        library.add(job, recipe(), "engine1")
        library.end(job, status)  # type: ignore[arg-type]
    assert [film.job for film in library.ended()] == ["job2", "job1"]
    library.discard("job2")
    assert [film.job for film in library.ended()] == ["job1"]


def test_nobody_sees_or_changes_the_films_of_another(library: Library) -> None:
    other = Library(library.engine, library.folder, "somebody")
    finished(other, "job1")
    other.add("job2", recipe(), "engine1")
    assert library.get("job1") is None
    assert library.films() == library.unfinished() == library.ended() == []
    assert library.totals() == (0, 0.0, 0)
    library.rename("job1", "mine")
    library.set_favourite("job1", True)
    library.discard("job1")
    library.delete("job1")
    library.end("job2", "cancelled")
    assert not library.replace("job2", "job3", "engine1")
    (film,) = other.films()
    assert (film.title, film.favourite) == ("dawn", False)
    assert [film.job for film in other.unfinished("engine1")] == ["job2"]


def test_every_statement_is_understood_by_postgresql(library: Library) -> None:
    """What SQLite takes, PostgreSQL takes too: each statement compiles for it, as do the tables."""
    seen: list[object] = []
    sa.event.listen(library.engine, "before_execute", lambda _c, what, *_: seen.append(what))
    finished(library, "job1")
    for search in ("", "100%_"):
        for favourites in (False, True):
            library.films(search, favourites=favourites, sort="title", offset=1)
            library.totals(search, favourites=favourites)
    library.set_favourite("job1", True)
    library.rename("job1", "")
    library.discard("job1")
    library.restore("job1")
    library.replace("job1", "job2", "engine2", ended=True)
    library.sweep()
    library.delete("job1")
    assert len(seen) > 15
    for what in (*seen, *(CreateTable(table) for table in Base.metadata.sorted_tables)):
        text = str(what.compile(dialect=postgresql.dialect()))  # type: ignore[attr-defined]
        assert text
    assert any("ILIKE" in str(what.compile(dialect=postgresql.dialect())) for what in seen)  # type: ignore[attr-defined]


def test_keyframes_that_wait_for_approval_are_no_films(library: Library) -> None:
    finished(library, "film")
    library.add("keyframes", msgspec.structs.replace(recipe(), animatic=True), "engine1")
    library.finish("keyframes", DONE)
    assert [film.job for film in library.films()] == ["film"]
    assert library.totals().films == 1
    assert [film.job for film in library.waiting()] == ["keyframes"]
    library.discard("keyframes")
    assert library.waiting() == []
