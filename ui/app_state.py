"""The objects that exist once per process: a hub for each account, and the routes' tickets.

Pages use them in script threads, routes in the server's loop. Accounts share the database and the
engine on this computer; each has its own links, preferences and jobs.
"""

import threading
import time
from functools import partial
from pathlib import Path

import streamlit as st
from sqlalchemy import Engine
from starlette.requests import HTTPConnection
from streamlit.errors import StreamlitSecretNotFoundError

from engine.local import end_local_engine, ensure_local_engine, find_engine
from engine.wire.pairing import Pairing
from ui.engines.hub import Hub
from ui.shell import accounts
from ui.shell.tickets import Tickets
from ui.storage.files import data_folder
from ui.storage.library import Library
from ui.storage.migrations import prepare, sqlite_engine

FIRST_PAGE_SECONDS = 2.0  # in which the first page loads before an engine imports torch


class Hubs:
    """The hubs of all accounts; each is started when it is first requested."""

    def __init__(self) -> None:
        self._folder = data_folder()
        self._database = _database()
        self._hubs: dict[str, Hub] = {}
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._begun = time.monotonic()

    def of(self, owner: str) -> Hub:
        """Return an owner's hub; start it if it is new."""
        with self._lock:
            if owner not in self._hubs:
                self._hubs[owner] = self._open(owner)
            return self._hubs[owner]

    def close(self) -> None:
        """Close all hubs."""
        with self._lock:
            while self._hubs:
                self._hubs.popitem()[1].close()

    def _open(self, owner: str) -> Hub:
        folder = self._folder / "accounts" / owner if owner else self._folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        library = Library(self._database, self._folder / "films", owner)
        library.sweep()
        removal = partial(library.remove_incomplete_downloads, before=time.time())
        threading.Thread(target=removal, name="removal", daemon=True).start()
        end_local = None if owner else self._end_local  # other accounts use that engine, too
        hub = Hub(library, folder, start_local=self._start_local, end_local=end_local)
        draft = hub.draft_file.read()
        hub.start_images.sweep(
            library.start_images().union(draft.recipe.start_images if draft else ())
        )
        hub.start()
        return hub

    def _start_local(self, _folder: Path) -> Pairing:
        """Find or start the shared engine, one hub at a time, after the first page has loaded."""
        with self._starting:
            if find_engine(self._folder / "engine") is None:
                time.sleep(max(0.0, self._begun + FIRST_PAGE_SECONDS - time.monotonic()))
            return ensure_local_engine(self._folder)

    def _end_local(self, _folder: Path) -> None:
        with self._starting:
            end_local_engine(self._folder)


@st.cache_resource(show_spinner=False)
def hubs() -> Hubs:
    """Return the hubs of this process."""
    return Hubs()


def get_hub() -> Hub:
    """Return the hub of the user of the running page."""
    return hubs().of(accounts.current())


def hub_of(request: HTTPConnection) -> Hub | None:
    """Return the hub of the user who makes a request; None if nobody has signed in."""
    owner = accounts.of_request(request)
    return None if owner is None else hubs().of(owner)


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
