"""Plays a film of the library and offers it as a download."""

from pathlib import Path
from typing import Any

from ui import app_state
from ui.routes.conversions import FORMATS
from ui.shell.component import component
from ui.shell.text import size
from ui.storage.tables import Film

_HTML = """
<div class="player">
  <div class="screen">
    <div class="glow" aria-hidden="true"></div>
    <video controls loop muted playsinline hidden></video>
    <img alt="" hidden>
  </div>
  <div class="foot">
    <a class="save" href="#">Download</a>
    <div class="others" role="group" aria-label="Other formats"></div>
    <div class="copies" role="group" aria-label="Copy or share"></div>
    <span class="facts"></span>
  </div>
  <p class="word" role="status"></p>
</div>
"""
_component = component(Path(__file__).with_name("player.js"), _HTML)


def player(film: Film) -> None:
    """Show a film with its controls, its facts and its download."""
    _component(
        key=f"player-{film.job}",
        data=playable(film)
        | {
            "others": tuple(kind for kind in FORMATS if kind != film.format),
            "label": f"Download {film.format.upper()}",
            "facts": facts(film),
            "recipe": film.recipe_json,
        },
    )


def playable(film: Film) -> dict[str, Any]:
    """Return what a script needs to play, convert and save a film."""
    source, poster = addresses(film)
    return {
        "src": source,
        "poster": poster,
        "save": f"{source}&save",
        "convert": source.replace("?", "/convert/KIND?", 1),
        "format": film.format,
        "width": film.width,
        "height": film.height,
        "title": film.title,
    }


def addresses(film: Film) -> tuple[str, str]:
    """Return the addresses of a film's file and of its poster; "" without a poster.

    A film has no poster until it is finished; its first keyframe is shown instead.
    """
    ticket = app_state.get_tickets().issue(f"film:{film.job}")
    library, poster = app_state.get_hub().library, ""
    if library.poster(film.job).is_file():
        poster = f"/api/films/{film.job}/poster?ticket={ticket}"
    elif pictures := library.thumbnails(film.job):
        poster = f"/api/pictures/{film.job}/{pictures[0]}?ticket={ticket}"
    return f"/api/films/{film.job}?ticket={ticket}", poster


def facts(film: Film) -> str:
    """Return a film's duration, frames, size and bytes in one line."""
    sides = f"{film.width} × {film.height}"
    rate = f"{film.recipe.fps} fps"
    return f"{film.seconds:g} s · {film.frames} frames · {rate} · {sides} · {size(film.size)}"
