"""Puts the scenes and settings of a film on the storyboard; a click brings back what was there.

It knows the draft, not how scenes are shown.
"""

from typing import Any

import streamlit as st

from engine.film.recipe import Recipe
from ui import app_state
from ui.storage import draft, saved_draft


def restore_saved() -> None:
    """Resume the saved draft, unless the session has one."""
    if kept := app_state.get_hub().draft_file.read():
        saved_draft.restore(st.session_state, kept)


def keep_unsubmitted(line: str) -> None:
    """Keep the draft for undo if it has scenes that no film has; ``line`` says what happens."""
    state: Any = st.session_state
    draft.dismiss_undo(state)
    draft.read_widgets(state)
    if not (draft.is_blank(state) or draft.is_submitted(state)):
        draft.keep(state, line)


def remix(recipe: Recipe, title: str) -> None:
    """Replace the storyboard by a recipe; ``title`` is the film's."""
    restore_saved()
    if "draft" in st.session_state:
        keep_unsubmitted("The scenes were replaced")
    draft.load(st.session_state, recipe, remix_of=title)
