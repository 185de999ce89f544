"""Keep a tunnel open: check it from both ends, and open another when it is lost.

It knows the interface of a tunnel and the engine's address; it knows no vendor and no messages.
"""

import asyncio
import http.client
import json
import logging
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from engine import __version__
from engine.errors import TunnelError
from engine.tunnels import Tunnel
from engine.wire.messages.limits import HEALTH_PATH
from engine.wire.pairing import Pairing

log = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 2.0, 120.0  # seconds between attempts to open, doubled each time
HEALTHY_AFTER = 60.0  # seconds after which a tunnel counts as good and the delay starts anew
REACHABLE_TIMEOUT = 30.0  # seconds until a new address must be reachable
CHECK_INTERVAL = 5.0  # seconds between checks of the agent
PROBE_INTERVAL = 600.0  # seconds between requests through the tunnel; vendors limit them
RECHECK_INTERVAL = 5.0  # seconds between requests once one has failed
MISS_LIMIT = 3  # failed requests in a row that mean a loss


async def keep_open(
    tunnel: Tunnel, engine: Pairing, changed: Callable[[Pairing | None], None]
) -> None:
    """Keep a tunnel to an engine open until cancelled.

    Args:
        tunnel: not yet open; closed at the end.
        engine: with its address on this machine.
        changed: called with each new address of the engine, and with None when it is lost.

    Raises:
        TunnelError: it cannot be opened, and a retry would not help.
    """
    with ThreadPoolExecutor(1, "tunnel") as thread:  # one call after the other
        try:
            await Keeper(tunnel, engine, changed, thread).run()
        finally:
            thread.submit(tunnel.close)


class Keeper:
    """One tunnel and the thread in which it is called."""

    def __init__(
        self,
        tunnel: Tunnel,
        engine: Pairing,
        changed: Callable[[Pairing | None], None],
        thread: ThreadPoolExecutor,
    ) -> None:
        self._tunnel, self._engine, self._changed = tunnel, engine, changed
        self._thread = thread
        self._opened = False

    async def run(self) -> None:
        """Open and watch the tunnel until cancelled."""
        delay = FIRST_DELAY
        while True:
            began = time.monotonic()
            if way := await self._open():
                try:
                    await self._until_lost(way)
                finally:
                    self._changed(None)
                log.warning("the tunnel %s is lost; another is being opened", way.url)
            delay = FIRST_DELAY if time.monotonic() - began > HEALTHY_AFTER else delay
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, delay * 2)

    async def _open(self) -> Pairing | None:
        """Open the tunnel and return its address; None if a later attempt may succeed."""
        port = urlsplit(self._engine.url).port
        try:
            url = await self._ask(self._tunnel.open, port)
        except TunnelError as error:
            if not (error.passes or self._opened):
                raise
            log.warning("%s; %s", error, error.remedy or "trying again")
            return None
        self._opened = True
        return Pairing(url, self._engine.key)

    async def _until_lost(self, way: Pairing) -> None:
        """Report the address once it is reachable, and return when it no longer is."""
        reached = await self._reached(way)
        log.info("%s leads here: %s", self._tunnel.name, way.url)
        if not reached:
            log.warning("this machine itself does not reach %s; others may", way.url)
        self._changed(way)
        probed, misses = time.monotonic(), 0
        while misses < MISS_LIMIT:
            await asyncio.sleep(RECHECK_INTERVAL if misses else CHECK_INTERVAL)
            if not await self._ask(self._tunnel.alive):
                return
            if misses or time.monotonic() - probed > PROBE_INTERVAL:
                answers = await asyncio.to_thread(answering, way.url)
                misses = 0 if answers or not reached else misses + 1
                probed = time.monotonic()

    async def _reached(self, way: Pairing) -> bool:
        """Wait until a new address is reachable, for ``REACHABLE_TIMEOUT`` at most."""
        deadline = time.monotonic() + REACHABLE_TIMEOUT
        while time.monotonic() < deadline:
            if await asyncio.to_thread(answering, way.url):
                return True
            await asyncio.sleep(1)
        return False

    async def _ask(self, function: Callable[..., object], *arguments: object) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)


def answering(url: str) -> bool:
    """Return whether an engine answers at a public address."""
    headers = {"User-Agent": f"VisionFlux/{__version__}", "ngrok-skip-browser-warning": "1"}
    request = urllib.request.Request(url + HEALTH_PATH, headers=headers)
    with (
        suppress(OSError, http.client.HTTPException, ValueError),
        urllib.request.urlopen(request, timeout=10) as response,
    ):
        return "protocol" in json.load(response)
    return False
