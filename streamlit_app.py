"""The app: one ASGI application with its routes, and the frame around every page.

``streamlit run`` serves ``app``; for each visitor it runs this same file again as a script. It
knows the pages' names, not what is in them.
"""

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui import app_state as resources
from ui.home import sign_in
from ui.routes import films as relay
from ui.shell import accounts, middleware
from ui.shell import frontend as front
from ui.shell import theme as look

PAGES = ("home", "create", "library", "connection")


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Connect the engines when the server starts, let go of them when it ends."""
    threading.Thread(target=rehearse, name="rehearsal", daemon=True).start()
    hubs = resources.hubs()
    hubs.of(accounts.EVERYBODY)  # keeps the engine on this computer at hand, whoever comes
    yield
    hubs.close()


def rehearse() -> None:
    """Load what Streamlit itself loads at the first visit only, while the browser still begins."""
    for name in ("numpy", "ui.home.reel", "ui.home.showcase"):
        importlib.import_module(name)


def frame() -> None:
    """Draw what all pages have, and the page that was asked for."""
    st.set_page_config(
        page_title="VisionFlux", page_icon=str(look.ASSETS / "icon.png"), layout="wide"
    )
    signed_in = accounts.signed_in()
    page = st.navigation(
        [
            st.Page(
                f"pages/{name}.py" if signed_in else sign_in.door,
                title=name.title(),
                url_path=name,
                default=name == "home",
            )
            for name in PAGES
        ],
        position="top" if signed_in else "hidden",
    )
    st.logo(str(look.ASSETS / "logo.png"), size="large")
    look.apply_theme()
    if signed_in and accounts.configured():
        sign_in.menu()
    page.run()


if get_script_run_ctx(suppress_warning=True) is None:
    # Streamlit would serve pages/ by itself until the first visitor has met st.navigation, and
    # a deep link to a fresh server would show a page without its frame.
    PagesManager.uses_pages_directory = False
    app = st.App(
        __file__,
        routes=[*front.routes(), *relay.routes(resources.hub_of, resources.get_tickets)],
        middleware=[*middleware.MIDDLEWARE, Middleware(front.Files)],
        lifespan=lifespan,
    )
else:
    frame()
