"""Tickets: short-lived proof that a page of this app has requested a route.

Streamlit does not protect routes beside its own. A ticket has a time of expiry and a signature of
that time and a resource ("job:…", "film:…"), made with a secret of this process; tickets are not
stored. Those issued within one hour are equal, so that a video's URL does not change on every
rerun.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

HOUR_SECONDS = 3600


class Tickets:
    """Issues and checks tickets, which are valid for this process only."""

    def __init__(self, *, hours: int = 12, clock: Callable[[], float] = time.time) -> None:
        self._secret = secrets.token_bytes(32)
        self._hours = hours
        self._clock = clock

    def issue(self, thing: str) -> str:
        """Return a ticket for ``thing`` that lasts at least ``hours`` hours."""
        ends = (int(self._clock()) // HOUR_SECONDS + 1 + self._hours) * HOUR_SECONDS
        return f"{ends:x}.{self._signature(thing, ends)}"

    def valid(self, ticket: str, thing: str) -> bool:
        """Return whether ``ticket`` was issued for ``thing`` and has not expired."""
        text, _, signature = ticket.partition(".")
        try:
            ends = int(text, 16)
        except ValueError:
            return False
        expected = self._signature(thing, ends)
        return hmac.compare_digest(expected.encode(), signature.encode()) and ends > self._clock()

    def _signature(self, thing: str, ends: int) -> str:
        message = f"{ends:x} {thing}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
