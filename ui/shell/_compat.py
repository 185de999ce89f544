"""Functions that use private parts of Streamlit and uvicorn.

Each has a test in ``tests/ui/shell/test_compat.py``, which fails if a new version lacks the part.
"""

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import streamlit
from starlette.types import Receive
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

FRONT_END = Path(streamlit.__file__).with_name("static")  # what Streamlit sends to browsers
PAGE_TEMPLATE = FRONT_END / "index.html"
_IMPORT = re.compile(r'(?:from|import)\s*"\./([\w.-]+\.js)"')


def user_cookie(cookies: Mapping[str, str]) -> bytes | None:
    """Return the claims (JSON) in Streamlit's signed cookie; None if nobody has signed in."""
    return _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)


def disable_pages_directory() -> None:
    """Keep Streamlit from serving ``pages/`` itself before ``st.navigation`` is first called.

    Otherwise the first visitor of a page below the root would see it without its frame.
    """
    PagesManager.uses_pages_directory = False


def element_scripts(kind: str) -> Iterator[str]:
    """Yield the names of the bundled scripts that draw a kind of element (``Button``)."""
    return (path.name for path in (FRONT_END / "static" / "js").glob(f"{kind}.*.js"))


def imported_scripts(script: str) -> list[str]:
    """Return the names of the bundled scripts that one of them imports."""
    return _IMPORT.findall((FRONT_END / "static" / "js" / script).read_text("utf-8"))


def client_socket(receive: Receive) -> socket.socket | None:
    """Return the socket of a request's connection; None if the server does not expose it.

    uvicorn's ``receive`` is a method of its protocol, which has the transport.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    return transport.get_extra_info("socket") if transport else None
