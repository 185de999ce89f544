"""A quick tunnel of Cloudflare, which needs no account; pycloudflared downloads the agent.

Every start gets another address, without any guarantee. The agent is started here: pycloudflared's
own start waits for ever for an agent that prints nothing, and does not read its output, so that the
agent blocks once the pipe is full.
"""

import atexit
import contextlib
import queue
import re
import subprocess
import threading
from pathlib import Path
from typing import IO

from engine.errors import TunnelError

START_TIMEOUT = 40.0  # seconds until an agent must have printed its address
CLOSE_TIMEOUT = 5.0  # seconds until an agent that does not stop is killed
ADDRESS_PATTERN = re.compile(r"https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com")


class Cloudflared:
    """Cloudflare's agent with one quick tunnel."""

    name = "cloudflared"

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def open(self, port: int) -> str:
        """Start the agent; see ``Tunnel.open``."""
        self.close()
        command = [_program(), "tunnel", "--no-autoupdate", "--url", f"http://127.0.0.1:{port}"]
        nowhere = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(
                command, stdin=nowhere, stdout=nowhere, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise TunnelError(self.name, f"its agent cannot be started: {error}") from error
        atexit.register(self.close)
        assert self._process.stderr
        told: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=[self._process.stderr, told], daemon=True).start()
        with contextlib.suppress(queue.Empty):
            if address := told.get(timeout=START_TIMEOUT):
                return address
        self.close()
        raise TunnelError(
            self.name,
            "its agent got no address from Cloudflare",
            "check this machine's network; quick tunnels come without a guarantee",
            passes=True,
        )

    def alive(self) -> bool:
        """Return whether the agent runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop the agent."""
        atexit.unregister(self.close)
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _program() -> str:
    """Return the path of the agent, after downloading it if it is missing."""
    try:
        from pycloudflared.util import download, get_info

        program: str = get_info().executable
        return program if Path(program).exists() else download()
    except ImportError as error:
        remedy = "pip install -r engine/requirements.txt"
        raise TunnelError("cloudflared", "pycloudflared is not installed", remedy) from error
    except (OSError, RuntimeError) as error:
        raise TunnelError(
            "cloudflared",
            f"its agent cannot be downloaded: {error}",
            "check this machine's network",
        ) from error


def _read(stream: IO[str], told: "queue.SimpleQueue[str]") -> None:
    """Report the address that an agent prints, or "" at its end; keep reading in any case."""
    with contextlib.suppress(ValueError, OSError), stream:
        for line in stream:
            if found := ADDRESS_PATTERN.search(line):
                told.put(found[0])
    told.put("")
