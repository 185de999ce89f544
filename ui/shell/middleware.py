"""Middleware for every response of the app: security headers, and sending without delay.

It knows ASGI, not what is sent.
"""

import socket
from contextlib import suppress
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.shell import _compat

CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Streamlit's front end and its components need inline styles and blobs.
        "script-src 'self' 'unsafe-inline' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class NoDelay:
    """ASGI middleware: switches Nagle's algorithm off, so that small messages are sent at once.

    Streamlit opens its socket in a way that hides from asyncio that it is TCP. With the algorithm
    on, one preview in twenty waited 40 ms for the browser's acknowledgement of the one before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the option on the connection, then pass the call on."""
        if connection := _compat.client_socket(receive):
            with suppress(OSError):  # no TCP
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._app(scope, receive, send)


class SecurityHeaders:
    """ASGI middleware: every response forbids foreign frames, foreign sources and sniffing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and add the headers to the response."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = list(message.get("headers", []))
                headers += [
                    (name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, guarded)


MIDDLEWARE = [Middleware(NoDelay), Middleware(SecurityHeaders)]
