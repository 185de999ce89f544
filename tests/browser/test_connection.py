"""Every way in which an engine cannot be reached, explained on the Connection page in Chromium.

Tunnel vendors cannot be had here: a server of ours answers as theirs do. Everything else is real.
"""

import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine.wire.pairing import LINK_FILE, Pairing
from tests.browser.conftest import PATIENCE, Server, Visitor, shoot
from tests.browser.test_axe import assert_no_violation
from tests.browser.test_studio import wait_for
from tests.processes import Process

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]
KEY = b"k" * 32
NEWER = """
import sys
from engine.wire.messages import limits
limits.SUBPROTOCOL = "visionflux.v9"
from tests.stand_ins import engine as stand_in_engine
sys.exit(stand_in_engine.main())
"""


def explains(page: Page, link: str, *words: str) -> None:
    """Paste a link that leads to no engine; make sure that the page says these words of it."""
    page.get_by_label("Pairing link").fill(link)
    page.get_by_role("button", name="Pair", exact=True).click()
    for word in words:
        expect(page.get_by_role("alert")).to_contain_text(word, timeout=PATIENCE)


@contextmanager
def answering(
    status: int, headers: Mapping[str, str], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Answer every request in the same way; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


NGROK = "ngrok-error-code"
TUNNELS: list[tuple[int, dict[str, str], tuple[str, ...]]] = [
    (502, {}, ("HTTP 502", "tunnel is up")),
    (404, {NGROK: "ERR_NGROK_3200"}, ("ERR_NGROK_3200", "paste the newest link")),
    (502, {NGROK: "ERR_NGROK_8012"}, ("the engine behind it does not answer", "start it again")),
    (403, {NGROK: "ERR_NGROK_727"}, ("used up its requests of the month", "another tunnel")),
    (418, {NGROK: "ERR_NGROK_9999"}, ("ERR_NGROK_9999", "ngrok.com/docs/errors")),
    (530, {"cf-ray": "0-X"}, ("quick tunnel of Cloudflare is gone", "paste the newest link")),
]


def test_a_tunnel_that_leads_nowhere_is_explained(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open("/connection")
    for status, headers, words in TUNNELS:
        with answering(status, headers) as port:
            explains(page, Pairing(f"http://127.0.0.1:{port}", KEY).link, *words)
    shoot(page, "connection-refused")
    assert not visitor.errors


def test_a_name_that_nobody_knows_is_explained(visit: Visit) -> None:
    visitor = visit(390, 844)
    page = visitor.open("/connection")
    link = Pairing("https://engine.invalid", KEY).link
    explains(page, link, "The name engine.invalid is not known", "this computer is online")
    shoot(page, "connection-refused-phone")
    assert_no_violation(page)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert not visitor.errors


def test_a_certificate_that_nobody_signed_is_explained(visit: Visit, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing: apt-get install openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key)]
    subprocess.run([*command, "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    page = visit().open("/connection")
    with answering(200, {}, context) as port:
        link = Pairing(f"https://localhost:{port}", KEY).link
        explains(
            page, link, "The certificate of localhost cannot be trusted", "certificate renewed"
        )


def test_an_engine_of_another_version_is_explained(visit: Visit, tmp_path: Path) -> None:
    link = tmp_path / LINK_FILE
    command = [sys.executable, "-c", NEWER, str(tmp_path)]
    with Process(command, tmp_path / "log") as engine:
        engine.until(lambda: link.exists() and link.read_text())
        page = visit().open("/connection")
        explains(page, link.read_text(), "supports visionflux.v9", "the same version of VisionFlux")


def test_a_wrong_key_is_explained(visit: Visit, server: Server) -> None:
    link = server.data / "engine" / LINK_FILE
    wait_for(lambda: link.exists() and link.read_text())
    engine = Pairing.parse(link.read_text())
    wrong = Pairing(engine.url, b"x" * 32).link
    explains(visit().open("/connection"), wrong, "refused the key", "newest pairing link")


def test_a_wrong_link_is_explained(visit: Visit) -> None:
    page = visit().open("/connection")
    explains(page, "hello", "This is not a pairing link")
    explains(page, "https://far.example/", "The link carries no key")
    explains(page, f"http://far.example/#vf1.{'A' * 43}", "without encryption")
    explains(page, f"http://127.0.0.1:1/#vf1.{'A' * 43}", "No engine answers at")
