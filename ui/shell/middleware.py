"""What every answer of the app gets: headers that keep strangers out, and no waiting in buffers.

It knows ASGI and the server below it, not what is answered.
"""

import socket
from contextlib import suppress
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
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
SECURITY = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class AtOnce:
    """ASGI middleware: what is sent leaves at once.

    Streamlit opens its socket so that asyncio does not see that it is TCP and leaves Nagle's
    algorithm on: one preview in twenty then waited 40 ms for the browser's word on the one before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on over a connection that does not wait."""
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport and (connection := transport.get_extra_info("socket")):
            with suppress(OSError):  # no TCP
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._app(scope, receive, send)


class SecurityHeaders:
    """ASGI middleware: every answer forbids foreign frames, foreign sources and sniffing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and add the headers to the answer."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = list(message.get("headers", []))
                headers += [(name.encode(), value.encode()) for name, value in SECURITY.items()]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, guarded)


MIDDLEWARE = [Middleware(AtOnce), Middleware(SecurityHeaders)]
