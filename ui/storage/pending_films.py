"""Films that were submitted and that an engine may have or not, in a JSON file.

The id of a film's job is made once and kept here until its page is shown, so that submitting the
film again, also after a reload, makes no second one. It knows ids and recipes, not engines.
"""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.film.recipe import Recipe
from ui.storage import files

MAX_PENDING = 8  # films; older ones are dropped


class PendingFilm(msgspec.Struct, frozen=True):
    """A film and the id of its job."""

    job: str
    recipe: Recipe


class PendingFilms:
    """Reads the file once and writes it on every change; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._films: tuple[PendingFilm, ...]
        self._films = files.read_json(path, tuple[PendingFilm, ...]) or ()

    def job(self, recipe: Recipe, may_submit: Callable[[str], bool]) -> str:
        """Return the id under which to submit a film: that of an earlier attempt, or a new one.

        Args:
            recipe: of the film.
            may_submit: whether a film may be submitted under an id; an earlier one is not reused
                otherwise.
        """
        with self._lock:
            for film in self._films:
                if film.recipe == recipe and may_submit(film.job):
                    return film.job
            film = PendingFilm(uuid.uuid4().hex, recipe)
            self._write((*self._films[1 - MAX_PENDING :], film))
            return film.job

    def remove(self, job: str) -> None:
        """Forget a film: an engine has accepted or refused it."""
        with self._lock:
            self._write(tuple(film for film in self._films if film.job != job))

    def _write(self, pending: tuple[PendingFilm, ...]) -> None:
        self._films = pending
        files.write_json(self._path, pending)
