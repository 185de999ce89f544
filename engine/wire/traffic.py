"""Counts the bytes that cross a client's sockets.

Counted is what WebSocket frames take with their heads, after whatever would compress them (nothing
does), and the handshakes; TLS, TCP and IP around them are not. It knows neither addresses nor what
is said.
"""

import asyncio
from typing import Any, cast

from websockets.asyncio.client import ClientConnection


class Traffic:
    """Bytes that came and bytes that went."""

    received = sent = 0

    @property
    def whole(self) -> int:
        """Both ways together."""
        return self.received + self.sent


class Counted(ClientConnection):
    """A connection that counts its bytes."""

    def __init__(self, *args: Any, traffic: Traffic, **options: Any) -> None:
        super().__init__(*args, **options)
        self._traffic = traffic

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport, through which everything leaves."""
        super().connection_made(cast(asyncio.BaseTransport, Tap(transport, self._traffic)))

    def data_received(self, data: bytes) -> None:
        """Take in what arrived."""
        self._traffic.received += len(data)
        super().data_received(data)


class Tap:
    """A transport that counts what is written."""

    def __init__(self, transport: asyncio.BaseTransport, traffic: Traffic) -> None:
        self._transport, self._traffic = cast(asyncio.Transport, transport), traffic

    def write(self, data: bytes) -> None:
        """Send it on."""
        self._traffic.sent += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
