"""What each engine's link needs now and then: a fresh hello while a page shows it, and the meter.

It knows links and the meter, not jobs.
"""

import asyncio
import time
from contextlib import suppress

from engine.errors import VisionFluxError
from engine.wire.client import Connection
from ui.engines.engine_view import Link
from ui.storage.pairings import LOCAL
from ui.storage.traffic_meter import Meter

REFRESH = 4.0  # seconds between two looks at an engine's device and queue
FAR_REFRESH = 30.0  # the same for engines elsewhere, whose answers may cost
LOOK = 10.0  # seconds since a page looked after which nobody is interested any more


async def tend(link: Link, connection: Connection, meter: Meter) -> None:
    """Keep an engine's hello fresh while a page shows it, and its bytes on the meter, for ever."""
    while True:
        with suppress(VisionFluxError):
            if link.state.name == "connected" and _is_stale(link, connection):
                asked = time.monotonic()
                await connection.describe()
                link.described_at = time.monotonic()
                link.latency = link.described_at - asked
        await count(link, connection, meter)
        await asyncio.sleep(REFRESH)


async def count(link: Link, connection: Connection, meter: Meter) -> None:
    """Put on the meter what crossed the way to a distant engine since the last time."""
    if link.key == LOCAL or not link.engine:
        return
    before, now = link.counted, (connection.traffic.received, connection.traffic.sent)
    if now != before:
        link.counted = now
        await asyncio.to_thread(meter.add, link.engine, now[0] - before[0], now[1] - before[1])


def _is_stale(link: Link, connection: Connection) -> bool:
    """Tell whether an engine's hello is older than a page that shows it would like."""
    now, hello = time.monotonic(), connection.hello
    warming_up = hello is not None and hello.device.name == "starting"
    age = REFRESH if link.key == LOCAL or warming_up else FAR_REFRESH
    return now - link.looked_at < LOOK and now - link.described_at >= age
