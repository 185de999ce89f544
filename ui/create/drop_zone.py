"""Where a film that was saved as a file is dropped: its recipe is on the storyboard again."""

import streamlit as st

from engine.errors import VisionFluxError
from ui.create.recipe_import import recipe_in
from ui.storage import draft


def drop_zone() -> None:
    """Draw it, folded away."""
    turn = st.session_state.setdefault("dropped", 0)
    key = f"film-{turn}"
    with st.expander("Start from a finished film", icon=":material/movie:"):
        st.file_uploader(
            "Drop an MP4 that VisionFlux made: everything that made it comes back.",
            type="mp4",
            key=key,
            on_change=_drop,
            args=[key],
        )


def _drop(key: str) -> None:
    """Take the recipe out of a film that was dropped, and the film off the page."""
    dropped = st.session_state.get(key)
    if dropped is None:
        return
    st.session_state["dropped"] += 1
    st.session_state.pop("problem", None)
    try:
        draft.load(st.session_state, recipe_in(dropped.getvalue()))
    except VisionFluxError as error:
        st.session_state["problem"] = error.report()
    else:
        st.toast("The film's recipe is back on the storyboard.")
