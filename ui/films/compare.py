"""Two films side by side with one set of controls, and the differences of their recipes."""

from pathlib import Path

from engine.film.recipe import SETTINGS, Recipe
from ui.films.player import playable
from ui.shell.component import component
from ui.storage.tables import Film

_HTML = """
<div class="duo" role="group" aria-label="Two films, played together">
  <div class="films"></div>
  <div class="deck">
    <button class="play" type="button" aria-label="Play">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path/></svg>
    </button>
    <button class="step" data-by="-1" type="button" aria-label="One frame back">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M18 6v12l-9-6zM6 6v12"/></svg>
    </button>
    <button class="step" data-by="1" type="button" aria-label="One frame forward">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 6v12l9-6zM18 6v12"/></svg>
    </button>
    <input class="time" type="range" min="0" step="any" value="0" aria-label="Position">
    <output class="clock"></output>
  </div>
  <p class="word" role="status"></p>
</div>
"""
_component = component(Path(__file__).with_name("compare.js"), _HTML)


def side_by_side(first: Film, second: Film) -> None:
    """Show two films with one set of controls."""
    films = tuple(playable(film) | {"fps": film.recipe.fps} for film in (first, second))
    _component(key=f"duo-{first.job}-{second.job}", data={"films": films})


def differences(first: Recipe, second: Recipe) -> list[tuple[str, str, str]]:
    """Return each setting in which two recipes differ, with both values as text."""
    pairs = [("Scenes", _scenes(first), _scenes(second))]
    for name, field in SETTINGS.items():
        one, other = (field.format(getattr(recipe, name)) for recipe in (first, second))
        pairs.append((field.title, one, other))
    return [pair for pair in pairs if pair[1] != pair[2]]


def _scenes(recipe: Recipe) -> str:
    return " → ".join(f"{scene.prompt.strip()} ({scene.seconds:g} s)" for scene in recipe.scenes)
