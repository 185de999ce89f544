"""Connections whose other end falls silent without closing, as behind a tunnel that died.

A real proxy swallows everything and closes nothing. No time is shortened: each end has the 30 s
that the protocol promises.
"""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConnectionLostError
from engine.wire.handshake import open_socket
from engine.wire.messages.limits import CONTROL_PATH
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe, connected
from tests.stand_ins.proxy import through

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PROMISE = 30.0  # seconds
JOB, OBJECT = "job-0001", "a" * 64
SEGMENT = b"\0\0\0\x18ftyp" + bytes(8 * 2**20)


async def client_notices(engine: Pairing, job: str) -> None:
    """Lose a client's connection in silence; it comes back and goes on from the last event."""
    async with through(engine) as (proxy, link), connected(link) as client:
        await client.connection.submit(job, a_recipe())
        await client.connection.watch(job)
        await client.count(job, 3)
        proxy.fall_silent()
        async with asyncio.timeout(PROMISE):
            while client.connection.state.name == "connected":
                await asyncio.sleep(0.1)
        proxy.resume()
        await client.ended(job)
        numbers = [event.seq for event in client.events(job)]
        assert numbers == list(range(1, len(numbers) + 1))


async def download_notices(engine: Pairing, folder: Path) -> None:
    """Lose a download in silence; the next attempt fetches only the rest."""
    target = folder / "film.mp4"
    now = asyncio.get_running_loop().time
    async with through(engine) as (proxy, link), connected(link) as client:
        async with asyncio.timeout(None) as noticing:  # from when it fell silent

            def arrived(have: int, _whole: int) -> None:
                if have > 2**20 and noticing.when() is None:
                    proxy.fall_silent()
                    noticing.reschedule(now() + PROMISE)

            with pytest.raises(ConnectionLostError):
                await client.connection.fetch(OBJECT, target, arrived)
        have = target.with_name("film.mp4.part").stat().st_size
        assert have >= 2**20
        proxy.resume()
        before = proxy.carried
        await client.connection.fetch(OBJECT, target)
        assert target.read_bytes() == SEGMENT
        assert proxy.carried - before < len(SEGMENT) - have + 100_000


async def upload_notices(engine: Pairing, file: Path) -> None:
    """Lose an upload in silence."""
    async with through(engine) as (proxy, link), connected(link) as client:
        sending = client.connection.upload("b" * 64, file, "video/mp4")
        task = asyncio.create_task(sending)
        while proxy.carried < 2**20:
            await asyncio.sleep(0.01)
        proxy.fall_silent()
        with pytest.raises(ConnectionLostError):
            async with asyncio.timeout(PROMISE):
                await task


async def dead_watcher(engine: Pairing) -> None:
    """Lose a watcher in silence; the engine ends its side, which the proxy sees."""
    async with through(engine) as (proxy, link), connected(link) as client:
        await client.connection.submit("job-watched", a_recipe())
        await client.connection.watch("job-watched")
        proxy.fall_silent()
        async with asyncio.timeout(PROMISE):
            await proxy.left_by_engine()


async def deaf_reader(engine: Pairing) -> None:
    """Read nothing of more answers than all buffers in between can hold."""
    async with through(engine) as (proxy, link), open_socket(link, CONTROL_PATH) as deaf:
        deaf.transport.pause_reading()
        own = deaf.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking = asyncio.create_task(_ask_for_ever(deaf))
        async with asyncio.timeout(PROMISE):
            await proxy.left_by_engine()
        asking.cancel()


async def _ask_for_ever(deaf: Any) -> None:
    while True:
        await deaf.send('{"type":"describe","id":1}')


async def test_silence_is_noticed_within_30_seconds_at_both_ends(
    engine: Pairing, tmp_path: Path
) -> None:
    file = tmp_path / "segment.mp4"
    file.write_bytes(SEGMENT)
    async with connected(engine) as client:
        await client.connection.upload(OBJECT, file, "video/mp4")
        async with asyncio.TaskGroup() as group:
            group.create_task(client_notices(engine, JOB))
            group.create_task(download_notices(engine, tmp_path))
            group.create_task(upload_notices(engine, file))
            group.create_task(dead_watcher(engine))
            group.create_task(deaf_reader(engine))
        assert len(await client.connection.jobs()) == 2  # who stayed was not disturbed
