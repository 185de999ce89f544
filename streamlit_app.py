"""The app: an ASGI application with its routes, and the frame around every page.

``streamlit run`` serves ``app`` and also runs this file as a script for each visitor. It knows the
pages' names, not their content.
"""

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui import app_state
from ui.home import background, sign_in
from ui.routes import films
from ui.shell import _compat, accounts, frontend, middleware, theme

PAGES = ("home", "create", "library", "connection")


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Connect the engines when the server starts, and disconnect them when it ends."""
    threading.Thread(target=import_early, name="import-early", daemon=True).start()
    hubs = app_state.hubs()
    hubs.of(accounts.EVERYBODY)  # connects the engine on this computer, which all accounts share
    yield
    hubs.close()


def import_early() -> None:
    """Import modules that would otherwise be imported during the first visit."""
    for name in ("numpy", "ui.home.reel", "ui.home.showcase"):
        importlib.import_module(name)


def frame() -> None:
    """Draw the parts that all pages share, and the requested page."""
    st.set_page_config(
        page_title="VisionFlux", page_icon=str(theme.ASSETS / "icon.png"), layout="wide"
    )
    signed_in = accounts.signed_in()
    page = st.navigation(
        [
            st.Page(
                f"pages/{name}.py" if signed_in else sign_in.sign_in_page,
                title=name.title(),
                url_path=name,
                default=name == "home",
            )
            for name in PAGES
        ],
        position="top" if signed_in else "hidden",
    )
    st.logo(str(theme.ASSETS / "logo.png"), size="large")
    theme.apply_theme()
    if signed_in and accounts.configured():
        sign_in.account_menu()
    if signed_in and page.url_path:  # Home has its own
        background.background()
    page.run()


if get_script_run_ctx(suppress_warning=True) is None:
    _compat.disable_pages_directory()
    app = st.App(
        __file__,
        routes=[*frontend.routes(), *films.routes(app_state.hub_of, app_state.get_tickets)],
        middleware=[*middleware.MIDDLEWARE, Middleware(frontend.Files)],
        lifespan=lifespan,
    )
else:
    frame()
