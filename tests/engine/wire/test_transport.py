"""What a client counts is what a proxy between it and the engine carries, byte for byte."""

import asyncio
from pathlib import Path

import pytest

from engine.wire.pairing import Pairing
from tests.conftest import PATIENCE, a_recipe, connected
from tests.stand_ins.proxy import through

pytestmark = pytest.mark.anyio
JOB = "job-0001"


async def test_every_byte_of_every_socket_is_counted(engine: Pairing, tmp_path: Path) -> None:
    async with through(engine) as (proxy, link):
        async with connected(link) as client:
            await client.connection.submit(JOB, a_recipe())
            await client.connection.watch(JOB)
            await client.ended(JOB)
            film = client.events(JOB)[-1].event
            await client.connection.fetch(film.object, tmp_path / "film.mp4")  # type: ignore[union-attr]
        traffic = client.connection.traffic
        async with asyncio.timeout(PATIENCE):
            while proxy.carried < traffic.whole:
                await asyncio.sleep(0.01)
        assert proxy.carried == traffic.whole
        assert traffic.received > traffic.sent > 0
