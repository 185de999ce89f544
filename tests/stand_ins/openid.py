"""A small OpenID Connect provider for tests: whoever clicks a name is that person.

Real are discovery, codes that work once, PKCE, the client's secret, and ID tokens signed by a key
that the provider publishes. Unrealistic: nobody has a password.
"""

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "visionflux", "a secret of the client"
PEOPLE = ("Ada", "Ben")


class Provider(ThreadingHTTPServer):
    """Knows its people, its key and the codes that nobody has redeemed yet."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})
        self.codes: dict[str, dict[str, str]] = {}

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def redeem(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Return the tokens for a code, once, to who asked for it."""
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or proof != asked["code_challenge"]:
            return None
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": f"id-of-{asked['name'].lower()}",
            "name": asked["name"],
            "email": f"{asked['name'].lower()}@example.org",
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
        }
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return {"access_token": "unused", "token_type": "Bearer", "id_token": token}


class Handler(BaseHTTPRequestHandler):
    """The provider's pages."""

    server: Provider

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path:
            case "/.well-known/openid-configuration":
                self._json(self.server.metadata())
            case "/jwks":
                self._json({"keys": [self.server.key.as_dict(private=False)]})
            case "/authorize" if asked["client_id"] == CLIENT:
                self._send("text/html", _names(asked))
            case "/enter":
                code = secrets.token_hex(8)
                self.server.codes[code] = asked
                answer = urlencode({"code": code, "state": asked["state"]})
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{answer}")
                self.end_headers()
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        known = scheme == "Basic" and base64.b64decode(given).decode() == f"{CLIENT}:{SECRET}"
        tokens = self.server.redeem(form) if known else None
        if tokens is None:
            self.send_error(400)
        else:
            self._json(tokens)

    def _json(self, value: Any) -> None:
        self._send("application/json", json.dumps(value))

    def _send(self, media_type: str, text: str) -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _names(asked: dict[str, str]) -> str:
    links = (
        f'<a href="/enter?{html.escape(urlencode({**asked, "name": name}))}">{name}</a>'
        for name in PEOPLE
    )
    return f"<title>Who are you?</title>{' '.join(links)}"


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider on a free port."""
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def secrets_file(issuer: str, app: str) -> str:
    """Return the app's secrets that turn accounts on."""
    return f"""
[auth]
redirect_uri = "{app}/oauth2callback"
cookie_secret = "{secrets.token_hex(32)}"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
server_metadata_url = "{issuer}/.well-known/openid-configuration"
"""
