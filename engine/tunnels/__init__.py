"""Tunnels: public https addresses for an engine.

One small interface with two vendors. A tunnel knows its port and how to start and query the agent
of its vendor; ``supervisor`` watches it. None of them knows keys or messages.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.tunnels.cloudflared import Cloudflared
from engine.tunnels.ngrok import Ngrok

NO_TUNNEL = "none"
NAMES = ("ngrok", "cloudflared", NO_TUNNEL)


class Tunnel(Protocol):
    """The interface of every vendor; calls block, and are made one at a time."""

    name: str

    def open(self, port: int) -> str:
        """Start the agent and return the https address that leads to ``port`` on this machine.

        Raises:
            TunnelError: the vendor or its agent refused, or did not answer in time.
        """

    def alive(self) -> bool:
        """Return whether the agent still runs and has the address."""

    def close(self) -> None:
        """Stop the agent, if it runs."""


def choose(name: str, folder: Path, *, token: str = "", domain: str = "") -> Tunnel | None:
    """Return the named tunnel, not yet open; None for "none".

    Args:
        name: one of ``NAMES``.
        folder: where an agent may keep its settings; a token is never written there.
        token: the ngrok account's authtoken.
        domain: the ngrok account's own domain; empty lets ngrok choose.
    """
    makers: dict[str, Callable[[], Tunnel]] = {
        "ngrok": lambda: Ngrok(folder, token, domain),
        "cloudflared": Cloudflared,
    }
    return makers[name]() if name in makers else None
