"""Components of our own: their markup, with the style and the scripts that lie in this folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).parents[1]  # scripts and styles lie beside the feature that shows them


def component(name: str, html: str | None = None, *shared: str) -> Callable[..., Any]:
    """Return a component that runs ``name.js`` and has the style ``name.css`` if there is one.

    Args:
        name: of the component and its files.
        html: its markup.
        shared: names of scripts that go before its own.
    """
    style = next(_FOLDER.rglob(f"{name}.css"), _FOLDER / "none")
    scripts = [next(_FOLDER.rglob(f"{script}.js")).read_text("utf-8") for script in (*shared, name)]
    return st.components.v2.component(
        f"visionflux_{name}",
        html=html,
        css=style.read_text("utf-8") if style.exists() else None,
        js="".join(scripts),
    )
