"""Submits the film of a page, under an id that is made once and kept until the engine has the film.

So pressing the button again after an engine did not answer makes no second film. It knows the
session and the hub, not what the recipe is of.
"""

import uuid
from typing import NamedTuple

import streamlit as st

from engine.errors import EngineUnreachableError, TransportError, VisionFluxError
from engine.film.recipe import Recipe
from ui import app_state as resources
from ui.shell.text import size


class PendingFilm(NamedTuple):
    """A film that an engine may have or not: its id and its recipe."""

    job: str
    recipe: Recipe


def submit(recipe: Recipe) -> str:
    """Submit a film and show what that waits for; return its job's id.

    Raises:
        VisionFluxError: the engine refused it, or did not answer; then the next call for the same
            recipe submits the same film.
    """
    hub = resources.get_hub()
    pending: PendingFilm | None = st.session_state.get("pending_film")
    if pending is None or pending.recipe != recipe or not hub.library.may_submit(pending.job):
        pending = PendingFilm(uuid.uuid4().hex, recipe)
    st.session_state["pending_film"] = pending
    progress = st.empty()
    try:
        with st.spinner("Submitting your film to the engine…"):
            hub.submit(recipe, pending.job, lambda sent, whole: _show(progress, sent, whole))
    except (EngineUnreachableError, TransportError):
        raise
    except VisionFluxError:
        del st.session_state["pending_film"]
        raise
    finally:
        progress.empty()
    del st.session_state["pending_film"]
    return pending.job


def _show(place: object, sent: int, whole: int) -> None:
    """Show how far the upload of start pictures is."""
    if whole:
        text = f"Uploading the start picture: {size(sent)} of {size(whole)}"
        place.progress(sent / whole, text)  # type: ignore[attr-defined]
