"""The films that come with VisionFlux, made with its offline model.

``static/showcase/films.json`` has their names and recipes; ``training/showcase.py`` made them from
it. They are public, so Streamlit serves them as static files.
"""

from functools import cache

import msgspec

from engine.film.recipe import Recipe
from ui.shell.theme import ASSETS

FOLDER = ASSETS / "showcase"


class ShowcaseFilm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the films; ``name`` is that of its files."""

    name: str
    title: str
    recipe: Recipe

    @property
    def film(self) -> str:
        """Address of the film, an MP4."""
        return f"/app/static/showcase/{self.name}.mp4"

    @property
    def poster(self) -> str:
        """Address of its first frame, a JPEG."""
        return f"/app/static/showcase/{self.name}.jpg"


@cache
def films() -> tuple[ShowcaseFilm, ...]:
    """Return the films in the order in which they are shown."""
    return msgspec.json.decode((FOLDER / "films.json").read_bytes(), type=tuple[ShowcaseFilm, ...])


def film_named(name: str) -> ShowcaseFilm:
    """Return a film by its name."""
    return next(film for film in films() if film.name == name)
