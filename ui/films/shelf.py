"""A grid of films that play while the pointer is on them, each with a menu of actions."""

import time
from collections.abc import Sequence
from pathlib import Path
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
_component = component(Path(__file__).with_name("shelf.js"), _HTML)


CARD_TITLE = 52  # characters, in two lines


class Choice(NamedTuple):
    """What the user chose: ``open``, ``favour``, ``more`` (films), or one of a card's actions."""

    action: str
    job: str


def shelf(
    cards: Sequence[dict[str, Any]], *, key: str, label: str, more: bool = False, row: bool = False
) -> Choice | None:
    """Show cards; return what the user has just chosen.

    Args:
        cards: from ``finished`` or ``unfinished``.
        key: of the component.
        label: of the list, for screen readers.
        more: whether there are more films to load.
        row: whether they are shown in one row.
    """
    result: Any = _component(
        key=key,
        data={"films": tuple(cards), "label": label, "more": more, "row": row},
        on_chosen_change=lambda: None,
    )
    return Choice(result.chosen["action"], result.chosen["job"]) if result.chosen else None


def finished(film: Film, *, picked: str = "") -> dict[str, Any]:
    """Return the card of a finished film; ``picked`` is the job to compare another one with."""
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
        film: whose poster is a keyframe, if one is here.
        line: its status in words.
        share: of the work that is done; None if nobody works on it.
        actions: name and label of each; the first is shown as a button.
    """
    going = {"facts": line, "share": share, "actions": list(actions), "src": "", "save": ""}
    return _card(film) | going | {"favourite": None}


def _card(film: Film) -> dict[str, Any]:
    source, poster = addresses(film)
    return {
        "job": film.job,
        "title": short(film.title, 120),
        "line": short(film.title, CARD_TITLE),
        "format": film.format,
        "src": source,
        "poster": poster,
        "save": f"{source}&save",
        "favourite": film.favourite,
    }
