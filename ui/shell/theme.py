"""The look of all pages: the style sheet, headings and error messages."""

import logging
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from engine.errors import ErrorReport, VisionFluxError
from ui.shell.text import plain, sentence

log = logging.getLogger(__name__)
_APP = Path(__file__).parents[1]
ASSETS = Path(__file__).parents[2] / "static"


def apply_theme() -> None:
    """Apply the studio's style to the page."""
    apply_style("shell/theme.css")


def apply_style(name: str) -> None:
    """Apply a style sheet to the page.

    Args:
        name: its path from the app's folder, such as ``home/home.css``.

    Raises:
        FileNotFoundError: there is none; Streamlit would show the path as text.
    """
    st.html((_APP / name).resolve(strict=True))


def heading(title: str, line: str = "", *, small: bool = False) -> None:
    """Draw a page's title and a line about it; ``small`` for titles that may be long."""
    with st.container(key="heading", gap="xsmall"):
        (st.header if small else st.title)(title, anchor=False)
        if line:
            st.caption(line)


def show_error(report: ErrorReport) -> None:
    """Show an error and its remedy."""
    message, remedy = sentence(report.message), sentence(report.remedy)
    st.warning(f"**{plain(message)}**  \n{plain(remedy)}", icon=":material/info:")


def guarded(page: Callable[[], None]) -> None:
    """Run a page; log its errors and show them to the user."""
    try:
        page()
    except VisionFluxError as error:
        log.warning("a page failed: %s", error)
        show_error(error.report())
    except Exception:
        log.exception("a page failed")
        show_error(
            ErrorReport(
                "E_INTERNAL",
                "this page failed because of a defect in VisionFlux",
                "reload it; if that does not help, please report it with the app's log",
            )
        )
