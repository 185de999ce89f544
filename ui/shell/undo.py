"""The bar that offers to undo the last deletion; it knows neither films nor scenes."""

from collections.abc import Callable

import streamlit as st

from ui.shell.text import plain


def undo_bar(line: str, on_undo: Callable[[], None], on_dismiss: Callable[[], None]) -> None:
    """Draw the bar.

    Args:
        line: what was done, such as ``Scene 2 was removed``.
        on_undo: called when the user wants it undone.
        on_dismiss: called when the user closes the bar.
    """
    with st.container(key="undo", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(plain(line), width="stretch")
        st.button("Undo", key="restore", on_click=on_undo)
        st.button(
            "",
            key="dismiss",
            icon=":material/close:",
            help="Dismiss",
            type="tertiary",
            on_click=on_dismiss,
        )
