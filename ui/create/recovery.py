"""Above the stage: what of the film is safe here, and how it goes on if its engine dies or it ends.

It asks the hub now and then; the stage itself is not drawn again.
"""

import time

import streamlit as st

from engine.errors import VisionFluxError
from ui import app_state as resources
from ui.engines.connections import EngineView
from ui.films import recipe_card
from ui.shell import text as words
from ui.shell import theme as look
from ui.storage.job_views import JobView

PATIENCE = 8.0  # seconds without a word after which a film may need another engine


@st.fragment(run_every=2)
def rescue(job: str) -> None:
    """Draw it for an unfinished film; rerun the page once another job goes on in its place."""
    hub = resources.get_hub()
    view = hub.find(job)
    if view is None or view.settled:
        if view and view.successor:
            st.rerun()
        return
    here = list(hub.pieces.here(job).values())
    if here and not _near(view):
        st.caption(recipe_card.kept(here, hub.preferences.mirror_budget))
    if not _lost(view):
        return
    if view.trouble:
        look.show_error(view.trouble)
    if hub.rests(view.engine):
        _wake()
    if refuge := hub.refuge(job):
        _offer(job, refuge, bool(here))
    elif not hub.rests(view.engine):
        st.caption(
            "If its engine is gone for good, pair another one on the Connection page. "
            "The film can go on there."
        )


def continue_button(job: str, engine: EngineView) -> bool:
    """Draw a button that goes on with a film on another engine; tell whether that has begun."""
    name = words.plain(engine.name)
    if not st.button(f"Continue on {name}", key=f"continue-{job}", icon=":material/redo:"):
        return False
    try:
        resources.get_hub().move(job)
    except VisionFluxError as error:
        look.show_error(error.report())
        return False
    return True


@st.fragment(run_every=2)
def restart(job: str) -> None:
    """Offer to start a film again that failed or was cancelled, with all that is finished of it."""
    hub = resources.get_hub()
    view = hub.find(job)
    if view is None or view.successor:
        st.rerun()
    if view.moving:
        st.caption(words.plain(view.moving))
        return
    if view.trouble:
        look.show_error(view.trouble)
    if st.button("Start it again", key="retry", type="primary"):
        try:
            hub.move(job)
        except VisionFluxError as error:
            look.show_error(error.report())
        else:
            st.rerun(scope="fragment")


def _wake() -> None:
    if st.button("Start the engine on this computer", key="start-local", type="primary"):
        resources.get_hub().wake_local()


def _offer(job: str, engine: EngineView, some: bool) -> None:
    bring = "What is safe here goes along and is not made again" if some else "It starts anew there"
    st.caption(f"Is its engine gone for good? The film can go on elsewhere. {bring}.")
    if continue_button(job, engine):
        st.rerun(scope="fragment")


def _near(view: JobView) -> bool:
    """Tell whether the film is made on this computer, where everything is safe anyway."""
    local = resources.get_hub().engines()[0]
    return local.hello is not None and local.hello.engine == view.engine


def _lost(view: JobView) -> bool:
    if view.reachable or view.moving or view.cancelling:
        return False
    return view.resting or time.monotonic() - view.heard_at > PATIENCE
