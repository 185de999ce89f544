"""A grid of films that play while pointed at, and what can be done with each. It only draws."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ui.films.player import addresses
from ui.shell.component import component
from ui.shell.text import ago, short
from ui.storage.tables import Film

_HTML = """
<ul class="grid"></ul>
<button class="further" type="button" hidden>Show more</button>
<div class="menu" role="menu" popover></div>
"""
_component = component("shelf", _HTML, "motion")


class Choice(NamedTuple):
    """What was just chosen: ``open``, ``favour``, ``more`` (films), or one of a card's actions."""

    action: str
    job: str


def shelf(
    cards: Sequence[dict[str, Any]], *, key: str, label: str, more: bool = False, row: bool = False
) -> Choice | None:
    """Show cards; return what was just chosen.

    Args:
        cards: from ``finished`` or ``unfinished``.
        key: of the component.
        label: what the list is called to those who hear it.
        more: whether there are more to come.
        row: whether they stand in one row.
    """
    result: Any = _component(
        key=key,
        data={"films": tuple(cards), "label": label, "more": more, "row": row},
        on_chosen_change=lambda: None,
    )
    return Choice(result.chosen["action"], result.chosen["job"]) if result.chosen else None


def finished(film: Film, *, picked: str = "") -> dict[str, Any]:
    """Return the card of a finished film; while one is ``picked``, another is wanted beside it."""
    about = (
        f"{film.seconds:g} s · {film.width} × {film.height} · {ago(film.created_at, time.time())}"
    )
    words = {"remix": "Remix", "rename": "Rename", "compare": "Compare with…", "delete": "Delete"}
    card = _card(film) | {"facts": about, "actions": list(words.items())}
    if picked:
        call = "Chosen" if film.job == picked else "Compare with this"
        card |= {"call": call, "actions": [], "still": film.job == picked}
    return card


def unfinished(
    film: Film, line: str, *, share: float | None, actions: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return the card of a film that is not finished.

    Args:
        film: of which some keyframes may be here.
        line: how it is going, in words.
        share: of the work that is done; None if nothing is being done.
        actions: name and label of each; the first has a button of its own.
    """
    going = {"facts": line, "share": share, "actions": list(actions), "src": "", "save": ""}
    return _card(film) | going | {"favourite": None}


def _card(film: Film) -> dict[str, Any]:
    source, poster = addresses(film)
    return {
        "job": film.job,
        "title": short(film.title, 120),
        "format": film.format,
        "src": source,
        "poster": poster,
        "save": f"{source}&save",
        "favourite": film.favourite,
    }
