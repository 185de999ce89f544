"""Notices within 25 seconds that the other end of a socket is gone without a word.

websockets' own keepalive waits until its buffer has room before it pings, and before it closes:
with a peer that takes nothing it waits for ever. It knows no messages.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

PAUSE = 10.0  # seconds between pings
PATIENCE = 15.0  # seconds until a missing pong ends the connection


@asynccontextmanager
async def pulse(socket: Connection) -> AsyncIterator[None]:
    """Ping while the context lasts; a peer that does not answer in time finds itself cut off."""
    beating = asyncio.create_task(_beat(socket))
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def _beat(socket: Connection) -> None:
    while True:
        await asyncio.sleep(PAUSE)
        try:
            async with asyncio.timeout(PATIENCE):
                await (await socket.ping())
        except TimeoutError:
            socket.transport.abort()
            return
        except ConnectionClosed:  # by itself
            return
