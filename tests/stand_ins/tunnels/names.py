"""Leads the vendors' public names to a port of this machine; a process of its own may use it."""

import socket
from collections.abc import Callable
from typing import Any

DOMAINS = (".ngrok-free.dev", ".trycloudflare.com")
_asked = socket.getaddrinfo


def leading(port: int) -> Callable[..., Any]:
    """Return a ``getaddrinfo`` that knows where the names lead, and asks the real one else."""

    def getaddrinfo(host: Any, service: Any, *more: Any, **named: Any) -> Any:
        if isinstance(host, str) and host.endswith(DOMAINS):
            return _asked("127.0.0.1", port, *more, **named)
        return _asked(host, service, *more, **named)

    return getaddrinfo


def lead(port: int) -> None:
    """Let this process find the names."""
    socket.getaddrinfo = leading(port)
