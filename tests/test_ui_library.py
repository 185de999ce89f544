from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from engine.errors import ErrorReport
from engine.events import Finished
from engine.recipe import Recipe, Scene
from ui.library import Library, sqlite_engine

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


def test_a_library_from_before_networks_were_noted_is_kept(tmp_path: Path) -> None:
    before = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
    before.add("job1", recipe(), "engine1")
    with before.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE films DROP COLUMN interpolator"))
    again = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
    again.finish("job1", msgspec.structs.replace(DONE, interpolator="rife-4.25@0"))
    again.add("job2", recipe(), "engine1")
    assert [film.interpolator for film in again.films()] == ["rife-4.25@0"]
    assert [film.interpolator for film in again.unfinished()] == [""]


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
    assert library.count("0%") == 5
    assert library.count("_") == 0


def test_deleting_removes_row_and_files(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    film = library.get("job1")
    assert film is not None
    library.file(film).write_bytes(b"film")
    library.picture("job1", 3).write_bytes(b"jpeg")
    assert library.pictures("job1") == [3]
    library.delete("job1")
    assert library.get("job1") is None
    assert not (library.folder / "job1").exists()


def test_prompts_are_data_for_the_database(library: Library) -> None:
    prompt = "'; DROP TABLE films; -- <script>"
    library.add("job1", recipe(prompt), "engine1")
    film = library.get("job1")
    assert film is not None
    assert film.title == prompt


def test_a_job_that_goes_on_elsewhere_keeps_its_time_and_its_pictures(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.accepted("job1")
    library.picture("job1", 3).write_bytes(b"jpeg")
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
    assert library.pictures("job2") == [3]


def test_a_finished_job_is_not_replaced(library: Library) -> None:
    library.add("job1", recipe(), "engine1")
    library.finish("job1", DONE)
    assert not library.replace("job1", "job2", "engine2")
    assert library.get("job1") is not None


def test_a_job_that_ended_is_not_under_way_again_because_a_late_answer_says_so(
    library: Library,
) -> None:
    library.add("job1", recipe(), "engine1")
    library.end("job1", "failed", ErrorReport("E_INTERNAL", "it broke", ""))
    library.accepted("job1")
    assert library.unfinished() == []
