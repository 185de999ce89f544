"""Replaces the storyboard by an empty one; a click brings back what was removed from it.

It knows the draft and the models of the chosen engine, not how scenes are shown.
"""

from typing import Any

import streamlit as st

from ui import app_state
from ui.create import model_panel
from ui.create.settings_panel import UNKNOWN_DEFAULTS
from ui.films.remix import keep_unsubmitted, restore_saved
from ui.shell.undo import undo_bar
from ui.storage import draft


def begin_new() -> None:
    """Empty the storyboard, with the defaults of its model."""
    state: Any = st.session_state
    restore_saved()
    card = model_panel.choose_model(app_state.get_hub().chosen().hello)
    keep_unsubmitted("The scenes were cleared")
    model = draft.current(state).settings.model
    draft.start_over(state, model, card.defaults if card else UNKNOWN_DEFAULTS)
    draft.current(state).guessed = card is None


def begin_next() -> None:
    """Empty the storyboard if its film was submitted; else the user continues with it."""
    restore_saved()
    if "draft" in st.session_state and draft.is_submitted(st.session_state):
        begin_new()


def undo() -> None:
    """Draw the bar that brings back what was removed last from the storyboard."""
    state: Any = st.session_state
    if kept := draft.removed(state):
        undo_bar(kept.line, lambda: draft.undo(state), lambda: draft.dismiss_undo(state))
