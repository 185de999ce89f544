"""Above the stage: which pieces of the film are saved here, and how it can be continued.

It polls the hub, because Streamlit offers no way to draw a part of a page again when something
changes; the stage itself is not drawn again.
"""

import time

import streamlit as st

from engine.errors import VisionFluxError
from ui import app_state
from ui.films import recipe_card
from ui.shell import text, theme
from ui.storage.job_views import JobView

POLL_INTERVAL = 2.0  # seconds
SILENCE_TIMEOUT = 8.0  # seconds without a message after which an engine counts as lost


@st.fragment(run_every=POLL_INTERVAL)
def recovery(job: str) -> None:
    """Draw this for an unfinished film; rerun the page once another job continues it."""
    hub = app_state.get_hub()
    view = hub.find(job)
    if view is None or view.settled:
        if view and view.successor:
            st.rerun()
        return
    here = list(hub.pieces.downloaded(job).values())
    if here and not _is_local(view):
        st.caption(recipe_card.saved_pieces(here, hub.preferences.mirror_budget))
    if not _is_lost(view):
        return
    if view.move_error:
        theme.show_error(view.move_error)
    if hub.is_stopped(view.engine):
        _start_button()
    if hub.rescue_engine(job):  # the stage has the button
        pieces = "What is saved here is reused" if here else "It starts there from the beginning"
        st.caption(f"If its engine does not come back, the film can continue elsewhere. {pieces}.")
    elif not hub.is_stopped(view.engine):
        st.caption(
            "If its engine does not come back, pair another one on the Connection page. "
            "The film can continue there."
        )


def restart(job: str) -> None:
    """Draw a button that restarts a failed or cancelled film; finished pieces are reused."""
    view = app_state.get_hub().find(job)
    moving = bool(view and view.move_status)
    st.fragment(_restart, run_every=POLL_INTERVAL if moving else None)(job, moving)


def _restart(job: str, moving: bool) -> None:
    """Draw the button, or how the restart proceeds; rerun the page when that changes."""
    hub = app_state.get_hub()
    view = hub.find(job)
    if view is None or view.successor or bool(view.move_status) != moving:
        st.rerun()
    if moving:
        st.caption(text.plain(view.move_status))
        return
    if view.move_error:
        theme.show_error(view.move_error)
    if st.button("Start it again", key="retry", type="primary"):
        try:
            hub.move(job)
        except VisionFluxError as error:
            theme.show_error(error.report())
        else:
            st.rerun()


def _start_button() -> None:
    if st.button("Start the engine on this computer", key="start-local", type="primary"):
        app_state.get_hub().start_local()


def _is_local(view: JobView) -> bool:
    """Return whether the film is made on this computer, where all pieces are saved anyway."""
    local = app_state.get_hub().engines()[0]
    return local.hello is not None and local.hello.engine == view.engine


def _is_lost(view: JobView) -> bool:
    if view.reachable or view.move_status or view.cancelling:
        return False
    return view.engine_stopped or time.monotonic() - view.last_message_at > SILENCE_TIMEOUT
