"""Home: one sentence, one button, the latest films."""

import streamlit as st

from ui import look, resources
from ui.gallery import gallery

LATEST = 8


def page() -> None:
    """Draw the page."""
    with st.container(key="hero", gap="medium"):
        st.title("Write a scene. Watch it become a film.", anchor=False)
        st.markdown(
            "VisionFlux paints your words, keyframe by keyframe, and fills the moments between "
            "them. On this computer, or on any GPU you can reach."
        )
        if st.button("Create a film", type="primary", key="start"):
            st.switch_page("pages/create.py")
    with st.container(key="home_body"):
        _latest()


def _latest() -> None:
    films = resources.get_hub().library.films(limit=LATEST)
    st.subheader("Your latest films", anchor=False)
    if not films:
        st.caption("Nothing here yet. The first one takes about a minute.")
        return
    chosen = gallery(films, key="latest")
    if chosen:
        st.switch_page("pages/library.py", query_params={"film": chosen})


look.guarded(page)
