"""Submits the film of a page, under an id that is made once and kept until the engine has the film.

So pressing the button again after an engine did not answer makes no second film, even if the page
was reloaded in between. It knows the hub, not what the recipe is of.
"""

import streamlit as st

from engine.errors import EngineUnreachableError, TransportError, VisionFluxError
from engine.film.recipe import Recipe
from ui import app_state
from ui.shell.text import size


def submit(recipe: Recipe, key: str = "") -> str:
    """Submit a film and show what that waits for; return its job's id.

    Args:
        recipe: of the film.
        key: of the engine's link; the chosen engine's by default.

    Raises:
        VisionFluxError: the engine refused it, or did not answer; then the next call for the same
            recipe submits the same film.
    """
    hub = app_state.get_hub()
    job = hub.pending_films.job(recipe, hub.library.may_submit)
    progress = st.empty()
    try:
        with st.spinner("Submitting your film to the engine…"):
            hub.submit(recipe, job, lambda sent, whole: _show(progress, sent, whole), key=key)
            hub.pending_films.remove(job)  # before Streamlit can end this run
    except (EngineUnreachableError, TransportError):
        raise
    except VisionFluxError:
        hub.pending_films.remove(job)
        raise
    finally:
        progress.empty()
    return job


def _show(place: object, sent: int, whole: int) -> None:
    """Show how far the upload of start pictures is."""
    if whole:
        text = f"Uploading the start picture: {size(sent)} of {size(whole)}"
        place.progress(sent / whole, text)  # type: ignore[attr-defined]
