"""What exists once per process: the hub, its library and the tickets of the routes.

The same objects serve the pages (script threads) and the routes (the server's loop).
"""

import streamlit as st
from sqlalchemy import Engine
from streamlit.errors import StreamlitSecretNotFoundError

from ui.hub import Hub
from ui.library import Library, prepare, sqlite_engine
from ui.settings import data_folder
from ui.tickets import Tickets


@st.cache_resource(show_spinner=False)
def get_hub() -> Hub:
    """Return the hub, started."""
    folder = data_folder()
    hub = Hub(Library(_database(), folder / "films"), folder)
    hub.start()
    return hub


@st.cache_resource(show_spinner=False)
def get_tickets() -> Tickets:
    """Return the tickets of this process."""
    return Tickets()


def _database() -> Engine:
    """Return the database of ``[connections.library]`` in the secrets, else a SQLite file."""
    if not _configured():
        return sqlite_engine(data_folder() / "library.db")
    engine: Engine = st.connection("library", type="sql").engine
    prepare(engine)
    return engine


def _configured() -> bool:
    try:
        return "library" in st.secrets.get("connections", {})
    except StreamlitSecretNotFoundError:
        return False
