"""The moving parts of the front page: the film behind it, and rows of films with a drawer.

It knows films and recipes; the page handles what the user chooses.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.film import timeline
from engine.film.recipe import Recipe
from ui.films.player import addresses
from ui.films.recipe_card import details, in_sentences
from ui.films.shelf import CARD_TITLE
from ui.home.showcase import ShowcaseFilm
from ui.shell.component import component
from ui.shell.text import ago, short
from ui.storage.tables import Film

_BACKDROP = """
<div class="backdrop">
  <div class="film" aria-hidden="true">
    <img class="still" alt="">
    <video muted loop playsinline preload="auto" tabindex="-1"></video>
    <div class="grain"></div>
  </div>
  <div class="shade"></div>
  <div class="foot">
    <p class="prompt" aria-hidden="true"></p>
    <button class="motion" type="button">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d=""/></svg>
      <span class="label">Pause motion</span>
    </button>
  </div>
</div>
"""
_REEL = """
<section class="reel">
  <div class="head">
    <h2></h2>
    <p class="note"></p>
    <div class="arrows">
      <button class="back" type="button" aria-label="Earlier films">
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M15 5l-7 7 7 7"/></svg>
      </button>
      <button class="on" type="button" aria-label="More films">
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M9 5l7 7-7 7"/></svg>
      </button>
    </div>
  </div>
  <ul class="rail"></ul>
  <dialog class="drawer" aria-labelledby="name">
    <button class="leave" type="button" aria-label="Close">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 6l12 12M18 6L6 18"/></svg>
    </button>
    <div class="player"></div>
    <div class="about">
      <div><h2 class="name" id="name"></h2><p class="facts"></p></div>
      <div class="act">
        <button class="remix" type="button">Remix</button>
        <button class="library" type="button">Show in Library</button>
        <a class="save" download>Download</a>
      </div>
      <p class="kind">Recipe</p>
      <ol class="scenes"></ol>
      <p class="made"></p>
      <details><summary>Details</summary><p class="figures"></p></details>
    </div>
  </dialog>
</section>
"""


_backdrop = component(Path(__file__).with_name("backdrop.js"), _BACKDROP)
_reel = component(Path(__file__).with_name("reel.js"), _REEL)


class Choice(NamedTuple):
    """What the user chose in the drawer: ``remix`` or ``library``, and the film."""

    kind: str
    film: str


def backdrop(film: ShowcaseFilm) -> None:
    """Play a film behind the container that this is in, with a button that stops all motion."""
    _backdrop(
        key="backdrop",
        data={"src": film.film, "poster": film.poster, "scenes": tuple(_captions(film.recipe))},
    )


def _captions(recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Yield each prompt and the time to show it: when its scene has become visible."""
    for scene, start in zip(recipe.scenes, timeline.starts(recipe), strict=True):
        yield {"start": max(0.0, start - scene.seconds / 4), "prompt": scene.prompt}
    if timeline.lead(recipe):
        yield {"start": recipe.seconds - timeline.lead(recipe), "prompt": recipe.scenes[0].prompt}


def reel(title: str, note: str, films: Sequence[dict[str, Any]], *, key: str) -> Choice | None:
    """Show a row of films; return what the user has just chosen."""
    data = {"title": title, "note": note, "films": tuple(films)}
    result: Any = _reel(
        key=key, data=data, on_remix_change=lambda: None, on_library_change=lambda: None
    )
    chosen = {kind: getattr(result, kind) for kind in ("remix", "library")}
    return next((Choice(kind, film) for kind, film in chosen.items() if film), None)


def library_film(film: Film) -> dict[str, Any]:
    """Return a film of the library as data for the row."""
    source, poster = addresses(film)
    line = (
        f"{film.seconds:g} s · {film.width} × {film.height} · {ago(film.created_at, time.time())}"
    )
    about = {"id": film.job, "title": short(film.title, 120), "facts": line, "own": True}
    about |= {"line": short(film.title, CARD_TITLE)}
    files = {"src": source, "poster": poster, "save": f"{source}&save"}
    return about | files | _made(film.recipe)


def showcase_film(film: ShowcaseFilm) -> dict[str, Any]:
    """Return a film that comes with VisionFlux as data for the row."""
    recipe = film.recipe
    size = f"{recipe.seconds:g} s · {recipe.width} × {recipe.height}"
    about = {"id": film.name, "title": film.title, "facts": size, "own": False}
    about |= {"line": short(film.title, CARD_TITLE)}
    return about | {"src": film.film, "poster": film.poster, "save": film.film} | _made(recipe)


def _made(recipe: Recipe) -> dict[str, Any]:
    scenes = [{"prompt": one.prompt, "seconds": f"{one.seconds:g} s"} for one in recipe.scenes]
    size = {name: getattr(recipe, name) for name in ("format", "width", "height")}
    figures = " · ".join(details(recipe))
    return {"scenes": scenes, "made": in_sentences(recipe), "figures": figures, **size}
