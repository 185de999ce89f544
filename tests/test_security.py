"""What docs/security.md promises and no other test shows."""

import asyncio
import base64
import logging
import re
import time
import tomllib
from pathlib import Path

import psutil
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from engine.errors import NotPairedError
from engine.jobs.queue import JobQueue
from engine.server.server import EngineServer
from engine.storage.journal import Journal
from engine.storage.object_store import ObjectStore
from engine.wire import pairing, transport
from engine.wire.handshake import open_socket
from engine.wire.messages import codec, limits
from engine.wire.pairing import Pairing, new_key
from engine.workers.process import WorkerProcess
from tests.conftest import PATIENCE, STAND_IN, a_recipe, an_engine, connected

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent


def test_every_promise_names_a_test_that_exists() -> None:
    promised = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "security.md").read_text()))
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(promised) > 30
    assert {name for name in promised if f"def {name}(" not in tests} == set()


async def test_an_imposter_learns_nothing() -> None:
    """A server that lets everybody in but cannot prove the key hears not a single message."""
    heard: list[object] = []

    async def listen(connection: ServerConnection) -> None:
        async for message in connection:
            heard.append(message)

    server = await serve(listen, "127.0.0.1", 0, subprotocols=[limits.SUBPROTOCOL])  # type: ignore[list-item]
    async with server:
        port = server.sockets[0].getsockname()[1]
        engine = Pairing(f"http://127.0.0.1:{port}", pairing.new_key())
        with pytest.raises(NotPairedError, match="does not know"):
            async with open_socket(engine, limits.CONTROL_PATH) as socket:
                await socket.send("secret")
    assert heard == []


async def test_guessing_is_slow_and_disturbs_nobody(engine: Pairing) -> None:
    async def guess() -> None:
        wrong = Pairing(engine.url, pairing.new_key())
        with pytest.raises((NotPairedError, InvalidStatus)):
            async with open_socket(wrong, limits.CONTROL_PATH):
                pass

    began = time.monotonic()
    guesses = [asyncio.create_task(guess()) for _ in range(12)]
    async with connected(engine) as client:
        assert await client.connection.jobs() == ()
        admitted = time.monotonic() - began
    await asyncio.gather(*guesses)
    refused = time.monotonic() - began
    assert refused > 0.5  # four at a time, a quarter of a second each
    assert admitted < refused


async def test_half_requests_bar_nobody(engine: Pairing) -> None:
    """Connections that never finish their request; websockets ends each after 10 s."""
    host, port = engine.url.removeprefix("http://").split(":")
    half = [await asyncio.open_connection(host, port) for _ in range(150)]
    for _, writer in half:
        writer.write(b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    async with connected(engine) as client:
        assert await client.connection.jobs() == ()
    for _, writer in half:
        writer.close()


async def test_only_so_many_stand_at_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "HALF_OPEN_LIMIT", 20)
    journal = Journal(tmp_path / "engine.db")
    store, idle = ObjectStore(tmp_path, journal), WorkerProcess(STAND_IN, "cpu", lambda _: None)
    door = EngineServer(JobQueue(journal, store, {}, idle), journal, store, {}, new_key())
    listening = await door.start("127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
    first = asyncio.create_task(half[0][0].read())
    async with asyncio.timeout(PATIENCE):
        while not first.done():
            assert len(door.half_open) <= 20
            await asyncio.sleep(0.01)
    for _, writer in half:
        writer.close()
    listening.close()
    await listening.wait_closed()
    assert not door.half_open
    journal.close()


async def test_the_key_is_nowhere_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.submit("job-0001", a_recipe())
        await client.connection.watch("job-0001")
        await client.ended("job-0001")
        children = psutil.Process().children(recursive=True)
        commands = [" ".join(child.cmdline()) for child in children]
        hello = codec.encode(client.connection.hello)  # type: ignore[arg-type]
    raw = base64.urlsafe_b64encode(engine.key).decode().rstrip("=")
    for secret in (raw, engine.key.hex()):
        assert secret not in caplog.text
        assert secret not in hello
        assert not any(secret in command for command in commands)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        holders = {path.name for path in files if secret.encode() in path.read_bytes()}
        assert holders <= {"engine.key"}


def test_the_app_listens_on_loopback_only() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert set(config["server"]["allowedHosts"]) == {"127.0.0.1", "localhost"}
    assert config["server"]["enableXsrfProtection"]
    assert not config["browser"]["gatherUsageStats"]
