"""Tunnels: all but the vendors' own network is real; see ``tests.stand_ins.tunnels.edge``."""

import asyncio
import contextlib
import json
import logging
import signal
import stat
import sys
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from engine import daemon, tunnels
from engine.errors import EngineUnreachableError, TunnelError
from engine.tunnels import cloudflared, ngrok, supervisor
from engine.wire import outages, transport
from engine.wire.handshake import open_socket
from engine.wire.messages.limits import CONTROL_PATH
from engine.wire.pairing import LINK_FILE, TUNNEL_FILE, Pairing
from tests.conftest import PATIENCE, a_recipe, connected
from tests.processes import Process
from tests.stand_ins.tunnels.agent import TOKEN
from tests.stand_ins.tunnels.edge import Edge, an_edge
from tests.torture.tls import lacking

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(lacking()), reason=f"{lacking()} is not installed"),
]
ROOT = Path(__file__).parents[3]
VENDORS = ("ngrok", "cloudflared")
DOMAIN = "somebody.ngrok-free.dev"


@pytest.fixture
async def edge(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Edge]:
    async with an_edge(monkeypatch) as edge:
        yield edge


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHECK_INTERVAL", "RECHECK_INTERVAL", "FIRST_DELAY"):
        monkeypatch.setattr(supervisor, name, 0.05)
    monkeypatch.setattr(ngrok, "ANSWER_TIMEOUT", 2.0)


class Kept:
    """A tunnel that is kept open; ``ways`` are what was told of it, None for a loss."""

    def __init__(self) -> None:
        self.ways: list[Pairing | None] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)

    async def way(self, number: int = 1) -> Pairing:
        """Wait until the way was told ``number`` times."""
        await self.until(lambda: len(self.ways) - self.ways.count(None) >= number)
        assert self.ways[-1]
        return self.ways[-1]


@asynccontextmanager
async def kept(engine: Pairing, folder: Path, name: str, **more: str) -> AsyncIterator[Kept]:
    """Keep a tunnel to an engine open while the context lasts."""
    tunnel, told = tunnels.choose(name, folder, token=TOKEN, **more), Kept()
    assert tunnel
    task = asyncio.create_task(supervisor.keep_open(tunnel, engine, told.ways.append))
    try:
        yield told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def refusal(way: Pairing) -> str:
    """Return what a client is told by whom it finds at an address."""
    with pytest.raises(EngineUnreachableError) as refused:
        async with open_socket(way, CONTROL_PATH):
            pass
    return f"{refused.value}: {refused.value.remedy}"


@pytest.mark.parametrize("name", VENDORS)
async def test_a_film_is_made_through_a_tunnel(
    edge: Edge, engine: Pairing, tmp_path: Path, name: str
) -> None:
    async with kept(engine, tmp_path, name) as told:
        way = await told.way()
        assert way.url.startswith("https://")
        assert way.key == engine.key
        async with connected(way) as client:
            await client.connection.submit("job-0001", a_recipe())
            await client.connection.watch("job-0001")
            assert await client.ended("job-0001") == "Finished"
    assert [psutil.pid_exists(command[-1]) for command in edge.commands()] == [False]


@pytest.mark.parametrize(
    ("name", "says"), [("ngrok", "ERR_NGROK_3200"), ("cloudflared", "newest link")]
)
async def test_a_lost_tunnel_is_opened_again_and_its_link_reported(
    edge: Edge, engine: Pairing, tmp_path: Path, name: str, says: str
) -> None:
    async with kept(engine, tmp_path, name) as told:
        first = await told.way()
        async with connected(first) as client:
            await client.connection.submit("job-0001", a_recipe())
            edge.strike(signal.SIGKILL)
            second = await told.way(2)
            await client.connection.close()
        assert second.url != first.url
        assert told.ways == [first, None, second]
        assert says in await refusal(first)
        async with connected(second) as client:
            await client.connection.watch("job-0001")
            assert await client.ended("job-0001") == "Finished"


async def test_with_an_own_domain_clients_come_back_by_themselves(
    edge: Edge, engine: Pairing, tmp_path: Path
) -> None:
    async with kept(engine, tmp_path, "ngrok", domain=f"https://{DOMAIN}/") as told:
        way = await told.way()
        assert way.url == f"https://{DOMAIN}"
        async with connected(way) as client:
            first = client.connection._socket
            edge.strike(signal.SIGKILL)
            assert await told.way(2) == way
            await told.until(lambda: client.connection._socket not in (first, None))
            assert await client.connection.jobs() == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", VENDORS)
async def test_an_agent_that_hangs_is_replaced(
    monkeypatch: pytest.MonkeyPatch, engine: Pairing, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(supervisor, "PROBE_INTERVAL", 0.2)
    monkeypatch.setattr(cloudflared, "CLOSE_TIMEOUT", 0.5)
    async with (
        an_edge(monkeypatch, patience="1s") as edge,
        kept(engine, tmp_path, name) as told,
    ):
        first = await told.way()
        edge.strike(signal.SIGSTOP)
        second = await told.way(2)
        assert told.ways == [first, None, second]
        async with connected(second) as client:
            assert await client.connection.jobs() == ()


async def test_a_lost_engine_and_a_lost_tunnel_are_distinguished(
    edge: Edge, tmp_path: Path
) -> None:
    tunnel = ngrok.Ngrok(tmp_path, TOKEN)
    try:
        url = await asyncio.to_thread(tunnel.open, 9)
        assert "ERR_NGROK_8012" in await refusal(Pairing(url, b"k" * 32))
        assert not supervisor.answering(url)
    finally:
        tunnel.close()


@pytest.mark.slow
async def test_pings_keep_a_silent_connection_through_a_proxy_that_ends_idle_ones(
    monkeypatch: pytest.MonkeyPatch, engine: Pairing, tmp_path: Path
) -> None:
    monkeypatch.setattr(transport, "PING_INTERVAL", 0.2)
    async with (
        an_edge(monkeypatch, patience="1s"),
        kept(engine, tmp_path, "ngrok") as told,
        connected(await told.way()) as client,
    ):
        first = client.connection._socket
        await asyncio.sleep(3)
        assert client.connection._socket is first
        monkeypatch.setattr(transport, "PING_INTERVAL", 3600.0)  # the next beat, and no other
        await told.until(lambda: client.connection._socket not in (first, None))
        assert await client.connection.jobs() == ()


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "ERR_NGROK_4018"),
        ("ak_something_else", "accept this as an authtoken (ERR_NGROK_105)"),
        (TOKEN[::-1], "does not know this authtoken"),
    ],
)
async def test_a_wrong_token_is_reported_without_the_token(
    edge: Edge, tmp_path: Path, caplog: pytest.LogCaptureFixture, token: str, says: str
) -> None:
    caplog.set_level(logging.DEBUG)
    tunnel = ngrok.Ngrok(tmp_path, token)
    with pytest.raises(TunnelError) as refused:
        await asyncio.to_thread(tunnel.open, 9)
    assert says in str(refused.value)
    assert refused.value.remedy
    assert not refused.value.passes
    for text in (caplog.text, str(refused.value), repr(tunnel)):
        assert not token or token not in text


async def test_what_may_pass_is_tried_again(
    edge: Edge, engine: Pairing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOOD", "ERR_NGROK_334")
    async with kept(engine, tmp_path, "ngrok") as told:
        await told.until(lambda: len(edge.commands()) >= 2)
        assert told.ways == []
        monkeypatch.delenv("MOOD")
        assert await told.way()


@pytest.mark.parametrize("mood", ["refused", "silent"])
async def test_an_agent_without_an_address_is_given_up(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    monkeypatch.setenv("MOOD", mood)
    monkeypatch.setattr(cloudflared, "START_TIMEOUT", 1.0)
    tunnel = cloudflared.Cloudflared()
    with pytest.raises(TunnelError, match="no address") as refused:
        await asyncio.to_thread(tunnel.open, 9)
    assert refused.value.passes
    assert not tunnel.alive()


@pytest.mark.parametrize("name", VENDORS)
async def test_an_agent_that_cannot_be_downloaded_is_reported(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    nowhere = types.SimpleNamespace(executable=str(tmp_path / "no"), url="http://127.0.0.1:9/no")
    monkeypatch.setenv("PYNGROK_NGROK_PATH", nowhere.executable)
    monkeypatch.setattr("pyngrok.installer.get_ngrok_cdn_url", lambda _version: nowhere.url)
    monkeypatch.setattr("pycloudflared.util.get_info", lambda: nowhere)
    tunnel = tunnels.choose(name, tmp_path, token=TOKEN)
    assert tunnel
    with pytest.raises(TunnelError, match="agent cannot be downloaded") as refused:
        await asyncio.to_thread(tunnel.open, 9)
    assert not refused.value.passes


class Unseen:
    """A tunnel whose address leads nowhere from here, as behind some firewalls."""

    name = "unseen"

    def __init__(self) -> None:
        self.looks = 0

    def open(self, port: int) -> str:
        return "https://127.0.0.1:9"

    def alive(self) -> bool:
        self.looks += 1
        return True

    def close(self) -> None:
        pass


async def test_an_address_that_was_never_reached_is_reported_and_kept(
    engine: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "REACHABLE_TIMEOUT", 0.1)
    monkeypatch.setattr(supervisor, "PROBE_INTERVAL", 0.0)
    tunnel, ways = Unseen(), Kept()
    task = asyncio.create_task(supervisor.keep_open(tunnel, engine, ways.ways.append))
    await ways.until(lambda: tunnel.looks > 5 * supervisor.MISS_LIMIT)
    assert ways.ways == [Pairing("https://127.0.0.1:9", engine.key)]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_inspector_is_off(edge: Edge, tmp_path: Path) -> None:
    tunnel = ngrok.Ngrok(tmp_path, TOKEN)
    try:
        await asyncio.to_thread(tunnel.open, 9)
        asked = json.loads((edge.nginx.folder / "asked.json").read_text())
        assert asked["inspect"] is False
        assert asked["upstream"] == {"url": "http://127.0.0.1:9"}
        assert "inspect_db_size: -1" in (tmp_path / "ngrok.yml").read_text()
    finally:
        tunnel.close()


@pytest.mark.parametrize("code", sorted(outages._NGROK))
def test_every_known_code_of_ngrok_has_a_remedy(code: int) -> None:
    found = outages.of_answer(404, f"ERR_NGROK_{code}", cloudflare=False)
    assert found
    assert f"ERR_NGROK_{code}" in found.problem
    assert found.remedy


def test_other_codes_lead_to_their_page_and_other_answers_to_none() -> None:
    assert "err_ngrok_9999" in outages.of_ngrok(9999).remedy
    assert outages.of_answer(502, "", cloudflare=True)
    assert outages.of_answer(502, "", cloudflare=False) is None


class Served:
    """``python -m engine serve`` with a tunnel."""

    def __init__(self, data: Path, name: str, **environment: str) -> None:
        command = [sys.executable, "-m", "engine", "serve", "--data", str(data), "--tunnel", name]
        environment = {"NGROK_AUTHTOKEN": TOKEN, **environment}
        self.process = Process(command, data / "log", **environment)
        self._read: list[str] = []

    async def line(self) -> str:
        self._read.append(await asyncio.to_thread(self.process.line))
        return self._read[-1]

    def end(self) -> str:
        """Stop it as a terminal or a service does; return what it wrote beside the lines read."""
        self.process.end()
        said = self.process.output
        for line in self._read:
            said = said.replace(line, "", 1)
        return said


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.slow
@pytest.mark.parametrize("name", VENDORS)
async def test_serve_prints_each_new_link(edge: Edge, tmp_path: Path, name: str) -> None:
    served = Served(tmp_path, name)
    folder = tmp_path / "engine"
    try:
        assert (await served.line()).startswith("On this machine: http://127.0.0.1:")
        first = (await served.line()).removeprefix("Pairing link: ")
        file = folder / TUNNEL_FILE
        assert file.read_text() == first
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        async with connected(Pairing.parse(first)) as client:
            assert await client.connection.jobs() == ()
        edge.strike(signal.SIGKILL)
        second = (await served.line()).removeprefix("Pairing link: ")
        assert second != first
        async with connected(Pairing.parse(second)) as client:
            assert await client.connection.jobs() == ()
        command = served.process.command
        environments = [
            child.environ()
            for child in served.process.popen.children(recursive=True)
            if "agent.py" not in " ".join(child.cmdline())
        ]
    finally:
        said = served.end()
    assert not any(psutil.pid_exists(command[-1]) for command in edge.commands())
    assert not (folder / TUNNEL_FILE).exists()
    assert not (folder / LINK_FILE).exists()
    secret = second.partition("#vf1.")[2]
    assert secret not in said.replace(second, "")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert TOKEN not in said + json.dumps(edge.commands()) + repr(command)
    assert not [path for path, held in files.items() if TOKEN.encode() in held]
    assert not any("NGROK_AUTHTOKEN" in environment for environment in environments)
    assert len(edge.commands()) == 2


async def test_serve_ends_with_plain_words_if_the_token_is_wrong(
    edge: Edge, tmp_path: Path
) -> None:
    served = Served(tmp_path, "ngrok", NGROK_AUTHTOKEN="zz-some-secret")
    assert await asyncio.to_thread(served.process.wait, 60) == 1
    said = served.end()
    assert "E_TUNNEL: ngrok: ngrok does not accept this as an authtoken (ERR_NGROK_105)" in said
    assert "Traceback" not in said
    assert "zz-some-secret" not in said


def test_without_a_tunnel_there_is_none(tmp_path: Path) -> None:
    assert tunnels.choose("none", tmp_path) is None
    assert daemon.Options(data=tmp_path, models={}).tunnel is None
