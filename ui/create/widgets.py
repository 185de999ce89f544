"""Arguments for Streamlit's widgets, and their limits, read from the field that a widget shows.

It knows fields, not which recipe or scene they belong to.
"""

from typing import Any

import streamlit as st

from engine.film.fields import Field


def number_arguments(field: Field) -> dict[str, Any]:
    """Return what a slider or a number input needs: label, limits, step and help."""
    kind = field.kind or float
    least, most = field.bounds
    return {
        "label": field.title,
        "min_value": kind(least),
        "max_value": kind(most),
        "step": kind(field.step),
        "help": field.description or None,
    }


def show_excess(text: str, field: Field) -> None:
    """Show how much too long a text is; a text area with a limit would drop it instead."""
    if len(text) > field.bounds.most:
        limit = f"{field.bounds.most:,}"
        st.warning(f"This text has {len(text):,} characters; {limit} are possible. Shorten it.")


def choice_arguments(field: Field) -> dict[str, Any]:
    """Return what a select box or a segmented control needs: label, options and help."""
    return {
        "label": field.title,
        "options": list(field.names),
        "format_func": field.format,
        "help": field.description or None,
    }
