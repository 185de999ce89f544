"""A client in another language, written from docs/protocol.md alone, makes a film.

It pairs, submits, takes previews, drops its socket in mid-job, resumes, and fetches the film over a
data socket that it drops as well.
"""

import asyncio
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from engine import daemon
from engine.models import catalogue

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("forked_workers")]
CLIENT = Path(__file__).parents[1] / "node" / "client.mjs"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node.js is missing: apt-get install nodejs")
async def test_a_stranger_can_write_a_client_from_the_page(tmp_path: Path) -> None:
    assert NODE
    film = tmp_path / "film.mp4"
    async with daemon.running(daemon.Options(data=tmp_path / "e", models=catalogue())) as engine:
        process = await asyncio.create_subprocess_exec(
            *(NODE, str(CLIENT), engine.link, "dawn over the sea", str(film), "--seconds", "1"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    said = json.loads(out)
    assert said["seq_ok"]
    assert said["duplicate_ok"]
    assert said["reconnects"] == 2
    assert said["previews"] >= 5
    assert said["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
