"""The app: one ASGI application with its routes, and the frame around every page.

``streamlit run`` serves ``app``; for each visitor it runs this same file again as a script. It
knows the pages' names, not what is in them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui import look, relay, resources


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Connect the engines when the server starts, let go of them when it ends."""
    hub = resources.get_hub()
    yield
    hub.close()


def frame() -> None:
    """Draw what all pages have, and the page that was asked for."""
    st.set_page_config(
        page_title="VisionFlux", page_icon=str(look.ASSETS / "icon.png"), layout="wide"
    )
    pages = [
        st.Page("pages/home.py", title="Home", url_path="home", default=True),
        st.Page("pages/create.py", title="Create", url_path="create"),
        st.Page("pages/library.py", title="Library", url_path="library"),
        st.Page("pages/connection.py", title="Connection", url_path="connection"),
    ]
    page = st.navigation(pages, position="top")
    st.logo(str(look.ASSETS / "logo.png"), size="large")
    look.dress()
    page.run()


if get_script_run_ctx(suppress_warning=True) is None:
    # Streamlit would serve pages/ by itself until the first visitor has met st.navigation, and
    # a deep link to a fresh server would show a page without its frame.
    PagesManager.uses_pages_directory = False
    app = st.App(
        __file__,
        routes=relay.routes(lambda: resources.get_hub(), lambda: resources.get_tickets()),
        middleware=relay.MIDDLEWARE,
        lifespan=lifespan,
    )
else:
    frame()
