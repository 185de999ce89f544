"""ASGI middleware for all responses of the app: security headers, and sending without delay."""

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
    """ASGI middleware that disables Nagle's algorithm, so that small messages are sent at once.

    asyncio would do so, but does not recognize Streamlit's socket as TCP. With the algorithm, one
    preview in twenty waited 40 ms for the browser to acknowledge the previous one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the socket option, then call the app."""
        if connection := _compat.client_socket(receive):
            with suppress(OSError):  # not a TCP socket
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._app(scope, receive, send)


class SecurityHeaders:
    """ASGI middleware that adds ``SECURITY_HEADERS`` to all responses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app and add the headers to its response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = list(message.get("headers", []))
                headers += [
                    (name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)


MIDDLEWARE = [Middleware(NoDelay), Middleware(SecurityHeaders)]
