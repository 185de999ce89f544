"""The ids of films that an engine may have or not."""

from pathlib import Path

from tests.conftest import a_recipe
from ui.storage.pending_films import MAX_PENDING, PendingFilms

DAWN, NIGHT = a_recipe("dawn"), a_recipe("night")


def always(_job: str) -> bool:
    return True


def test_a_film_keeps_its_id_over_a_restart_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "pending.json"
    job, other = (PendingFilms(path).job(recipe, always) for recipe in (DAWN, NIGHT))
    assert job != other
    again = PendingFilms(path)
    assert (again.job(DAWN, always), again.job(NIGHT, always)) == (job, other)
    again.remove(job)
    third = PendingFilms(path)
    assert third.job(DAWN, always) not in (job, other)
    assert third.job(NIGHT, always) == other


def test_an_id_that_can_no_longer_be_submitted_is_not_reused(tmp_path: Path) -> None:
    pending = PendingFilms(tmp_path / "pending.json")
    job = pending.job(DAWN, always)
    other = pending.job(DAWN, lambda one: one != job)
    assert other != job
    assert pending.job(DAWN, lambda one: one != job) == other


def test_only_the_newest_films_are_kept(tmp_path: Path) -> None:
    pending = PendingFilms(tmp_path / "pending.json")
    jobs = [pending.job(a_recipe(f"film {i}"), always) for i in range(MAX_PENDING + 1)]
    assert pending.job(a_recipe("film 1"), always) == jobs[1]
    assert pending.job(a_recipe("film 0"), always) != jobs[0]
