"""Pairing: an engine's key, the link that carries it, and the proof of knowing it.

Both ends prove in the upgrade request that they know the key; the key itself is never sent. It
reads the clock and random bytes; it knows no sockets.

The proof is HMAC-SHA-256 (RFC 2104) over a role, a Unix time, a nonce and the path.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from urllib.parse import urlsplit

import msgspec

from engine.errors import BadLinkError

SCHEME = "VF1"  # of the Authorization header
PROOF_HEADER = "X-VF-Proof"
CLOCK_TOLERANCE = 120  # seconds between the two clocks
KEY_BYTES = 32
NONCE = 22  # characters, of 16 bytes in base64url
MARK = "vf1."
LINK_FILE = "engine.link"  # in the data folder of a running engine
TUNNEL_FILE = "tunnel.link"  # beside it while a tunnel leads there


class Pairing(msgspec.Struct, frozen=True):
    """Where an engine is and the key to it.

    Attributes:
        url: ``http://127.0.0.1:8765`` on this computer, ``https://host`` elsewhere.
        key: 32 bytes.
    """

    url: str
    key: bytes

    def __repr__(self) -> str:
        return f"Pairing(url={self.url!r}, key=…)"

    @classmethod
    def parse(cls, text: str) -> "Pairing":
        """Read a pairing link, alone or in the line that an engine prints around it.

        Raises:
            BadLinkError: the text is no link, lacks its key, or is remote without TLS.
        """
        found = re.search(r"https?://\S+", text)
        try:
            link = urlsplit(found[0] if found else text.strip())
            _ = link.port, (link.hostname or "").encode("idna")
        except ValueError as error:
            raise BadLinkError("the address in the link cannot exist") from error
        if link.scheme not in ("http", "https") or not link.hostname:
            raise BadLinkError("this is not a pairing link: it contains no http or https address")
        if not link.fragment.startswith(MARK):
            raise BadLinkError("the link carries no key: the part after # is missing")
        if link.scheme == "http" and not is_loopback(link.hostname):
            raise BadLinkError(
                "the link leads to another machine without encryption (http)",
                remedy="use the https link of a tunnel, or ssh -L and a link to 127.0.0.1",
            )
        return cls(f"{link.scheme}://{link.netloc}", _decode(link.fragment[len(MARK) :]))

    @property
    def link(self) -> str:
        """The line to paste; proxies do not see the part after the #."""
        return f"{self.url}/#{MARK}{_text(self.key)}"

    @property
    def websocket_url(self) -> str:
        """The address with ``ws`` or ``wss`` for ``http`` or ``https``."""
        return "ws" + self.url.removeprefix("http")


def new_key() -> bytes:
    """Return a random 256-bit key."""
    return secrets.token_bytes(KEY_BYTES)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address always means this computer."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def authorization(key: bytes, path: str, *, skew: float = 0.0) -> tuple[str, str]:
    """Return the Authorization header of a client, and its nonce.

    Args:
        key: of the engine.
        path: the requested one, such as ``/v1/ws``.
        skew: seconds that the engine's clock is ahead of ours.
    """
    when, nonce = str(int(time.time() + skew)), secrets.token_urlsafe(16)
    return f"{SCHEME} {when} {nonce} {_proof(key, 'client', when, nonce, path)}", nonce


def proof(key: bytes, nonce: str) -> str:
    """Return the proof by which an engine shows that it knows the key too."""
    return _proof(key, "engine", nonce)


def same(one: str, other: str) -> bool:
    """Compare two proofs in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


class Gatekeeper:
    """Checks the proofs of clients; remembers nonces, so that each is valid once."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._seen: dict[str, float] = {}

    def admit(self, header: str | None, path: str) -> str | None:
        """Return the nonce of a valid Authorization header, None for anything else."""
        parts = (header or "").split(" ")
        if len(parts) != 4 or not header or len(header) > 200 or not header.isascii():
            parts = [SCHEME, "0", "-", "-"]  # fail in the same time as a wrong proof
        scheme, when, nonce, given = parts
        expected = _proof(self._key, "client", when, nonce, path)
        now = time.time()
        fresh = when.isdecimal() and abs(now - int(when)) <= CLOCK_TOLERANCE
        genuine = same(given, expected) and scheme == SCHEME and len(nonce) >= NONCE
        if not (genuine and fresh) or self._replayed(nonce, now):
            return None
        return nonce

    def _replayed(self, nonce: str, now: float) -> bool:
        self._seen = {old: till for old, till in self._seen.items() if till > now}
        if nonce in self._seen:
            return True
        self._seen[nonce] = now + 2 * CLOCK_TOLERANCE
        return False


def _proof(key: bytes, *parts: str) -> str:
    return _text(hmac.digest(key, "\n".join(parts).encode(), hashlib.sha256))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadLinkError("the key in the link is damaged") from error
    if len(key) != KEY_BYTES:
        raise BadLinkError("the key in the link is cut short or has something after it")
    return key
