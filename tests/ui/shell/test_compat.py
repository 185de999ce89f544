"""The private parts of libraries that the app borrows are still there; see ``ui.shell._compat``."""

import json
import os
import subprocess
import sys
from pathlib import Path

from starlette.types import Message
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from ui.shell import _compat

ROOT = Path(__file__).parents[3]


def test_streamlits_signed_user_cookie_can_be_read() -> None:
    claims = {"sub": "1", "is_logged_in": True}
    signed = create_signed_value(get_cookie_secret(), USER_COOKIE_NAME, json.dumps(claims))
    cookie = _compat.user_cookie({USER_COOKIE_NAME: signed.decode()})
    assert cookie is not None
    assert json.loads(cookie) == claims
    assert _compat.user_cookie({USER_COOKIE_NAME: "forged"}) is None


def test_streamlits_pages_manager_looks_at_its_switch() -> None:
    """The manager sets the switch itself unless it was set before it was made."""
    assert hasattr(PagesManager, "uses_pages_directory")
    code = (
        "from ui.shell import _compat\n"
        "from streamlit.runtime.pages_manager import PagesManager\n"
        "_compat.disable_pages_directory()\n"
        "manager = PagesManager('streamlit_app.py')\n"
        "assert manager.uses_pages_directory is False, manager.uses_pages_directory\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_streamlits_front_end_has_its_template_and_a_place_for_ours() -> None:
    html = _compat.PAGE_TEMPLATE.read_text("utf-8")
    assert html.count("<head>") == html.count("</head>") == 1
    assert '<div id="root">' in html


def test_streamlits_bundled_scripts_are_named_by_the_element_and_import_each_other() -> None:
    (button,) = _compat.element_scripts("Button")
    assert _compat.imported_scripts(button)


def test_uvicorns_receive_belongs_to_a_protocol_with_a_transport() -> None:
    """``tests/ui/shell/test_middleware.py`` shows the same with a server, over HTTP and sockets."""
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    for protocol in (RequestResponseCycle, WebSocketsSansIOProtocol):
        assert callable(protocol.receive)
        assert "self.transport" in Path(sys.modules[protocol.__module__].__file__ or "").read_text()


async def _receive() -> Message:
    return {"type": "http.disconnect"}


def test_a_server_that_reveals_no_socket_is_no_error() -> None:
    assert _compat.client_socket(_receive) is None
