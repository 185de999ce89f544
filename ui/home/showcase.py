"""The films that come with VisionFlux, made with its offline models.

``static/showcase/films.json`` names them and holds their recipes; ``training/showcase.py`` made
them from it. They are for everyone to see, so Streamlit's own static files serve them.
"""

from functools import cache

import msgspec

from engine.film.recipe import Recipe
from ui.shell.theme import ASSETS

FOLDER = ASSETS / "showcase"


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
def films() -> tuple[Shown, ...]:
    """Return the films in the order in which they are shown."""
    return msgspec.json.decode((FOLDER / "films.json").read_bytes(), type=tuple[Shown, ...])


def named(name: str) -> Shown:
    """Return a film by its name."""
    return next(film for film in films() if film.name == name)
