"""A grid of films to choose from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from ui.player import addresses
from ui.tables import Film

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "visionflux_gallery",
    html="""
<div class="grid"></div>
""",
    css=(_FOLDER / "gallery.css").read_text("utf-8"),
    js=(_FOLDER / "gallery.js").read_text("utf-8"),
)


def gallery(films: Sequence[Film], *, key: str) -> str | None:
    """Show films as cards; return the job of the one that was just chosen."""
    result: Any = _component(
        key=key, data={"films": [_card(film) for film in films]}, on_opened_change=lambda: None
    )
    chosen: str | None = result.opened
    return chosen


def _card(film: Film) -> dict[str, str]:
    source, poster = addresses(film)
    return {
        "job": film.job,
        "title": film.title,
        "facts": f"{film.seconds:g} s · {film.width} × {film.height} · {film.format.upper()}",
        "format": film.format,
        "src": source,
        "poster": poster,
    }
