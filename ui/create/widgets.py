"""Arguments for Streamlit's widgets, read from the field that a widget shows.

It knows fields, not which recipe or scene they belong to.
"""

from typing import Any

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


def text_arguments(field: Field) -> dict[str, Any]:
    """Return what a text area needs: the limit of its length."""
    return {"max_chars": int(field.bounds.most)}


def choice_arguments(field: Field) -> dict[str, Any]:
    """Return what a select box or a segmented control needs: label, options and help."""
    return {
        "label": field.title,
        "options": list(field.names),
        "format_func": field.format,
        "help": field.description or None,
    }
