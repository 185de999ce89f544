"""What the notebook does on a lent machine, and what it says when something is in the way."""

import json
import os
import signal
import socket
import sys
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from engine import hosted
from engine.hosted import display, process, runtime
from engine.hosted.process import Options, Trouble
from engine.local import healthy
from engine.wire.pairing import Pairing, new_key
from tests.stand_ins.connection import until
from tests.stand_ins.tunnels.agent import TOKEN
from tests.stand_ins.tunnels.edge import Edge, an_edge
from tests.torture.rig import PATIENCE, alive
from tests.torture.tls import lacking

pytestmark = pytest.mark.anyio
KEY = new_key().hex()
OPTIONS = Options(tunnel="none")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    hosted.stop(tmp_path / "data")


@pytest.fixture
async def edge(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Edge]:
    if lacking():
        pytest.skip(f"{lacking()} is not installed")
    async with an_edge(monkeypatch) as edge:
        yield edge


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "There is no GPU here"),
        ({"name": "Tesla T4", "free": 15 * 10**9, "total": 16 * 10**9}, "1.5 fits well. SDXL"),
        ({"name": "Tesla T4", "free": 8 * 10**9, "total": 16 * 10**9}, "1.5 fits well."),
        ({"name": "GTX 1650", "free": 3 * 10**9, "total": 4 * 10**9}, "That is little"),
    ],
)
def test_a_gpu_is_judged_in_plain_words(found: dict[str, str | int], says: str) -> None:
    assert says in runtime.verdict(found)


def test_packages_that_would_change_torch_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "requirements.txt"
    wrong.write_text("torch<2\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(runtime, "ROOT", tmp_path)
    monkeypatch.setattr(runtime, "REQUIREMENTS", wrong)
    with pytest.raises(Trouble, match="pip could not install") as refused:
        hosted.install()
    assert "torch" in (tmp_path / "constraints.txt").read_text()
    assert refused.value._render_traceback_() == [str(refused.value)]
    assert "as it was" not in capsys.readouterr().out


def test_without_torch_the_runtime_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_version", lambda _name: None)
    with pytest.raises(Trouble, match="Choose another"):
        hosted.install()


def test_the_token_of_the_form_goes_before_the_one_in_colabs_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NotThere(Exception):
        pass

    kept = {"NGROK_AUTHTOKEN": "kept"}
    userdata = types.SimpleNamespace(
        get=lambda name: kept[name], SecretNotFoundError=KeyError, NotebookAccessError=NotThere
    )
    for name in ("google", "google.colab"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["google.colab"].userdata = userdata  # type: ignore[attr-defined]
    assert hosted.ngrok_token(" given ") == "given"
    assert hosted.ngrok_token("") == "kept"
    kept.clear()
    assert hosted.ngrok_token("") == ""


def test_options_do_not_show_the_token() -> None:
    options = Options(tunnel="ngrok", token=TOKEN)
    assert TOKEN not in repr(options) + options.fingerprint(KEY)
    assert options.fingerprint(KEY) != Options(tunnel="ngrok").fingerprint(KEY)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.slow
def test_an_engine_continues_until_its_settings_change(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        link = hosted.start(data, KEY, OPTIONS, port=taken.getsockname()[1])
    assert "is taken; the engine takes another" in capsys.readouterr().out
    assert Pairing.parse(link).key.hex() == KEY
    assert healthy(Pairing.parse(link))
    assert hosted.start(data, KEY, OPTIONS) == link
    other = new_key().hex()
    new = hosted.start(data, other, OPTIONS, port=0)
    assert "Ending the engine that runs" in capsys.readouterr().out
    assert Pairing.parse(new).key.hex() == other
    assert healthy(Pairing.parse(new))
    hosted.stop(data)
    assert not process.alive(data)
    assert "has ended" in display.status(data)


@pytest.mark.slow
def test_an_engine_that_cannot_start_reports_the_reason(data: Path) -> None:
    with pytest.raises(Trouble, match=r"E_MODEL_LOAD: .*it is neither"):
        hosted.start(data, KEY, Options(tunnel="none", model="no such model"))


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.slow
async def test_a_wrong_token_is_reported_and_the_right_one_opens_the_tunnel(
    edge: Edge, data: Path
) -> None:
    with pytest.raises(Trouble, match="ERR_NGROK_105") as refused:
        hosted.start(data, KEY, Options(tunnel="ngrok", token="ak-wrong"), port=0)
    assert "ak-wrong" not in str(refused.value)
    link = hosted.start(data, KEY, Options(tunnel="ngrok", token=TOKEN), port=0)
    assert link.startswith("https://")
    assert f"Pairing link: {link}" in display.status(data)
    files = [path for path in data.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert json.loads((data / "hosted.json").read_text())["tunnel"] == "ngrok"


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.slow
async def test_what_a_killed_engine_left_behind_is_ended_before_another_starts(
    edge: Edge, data: Path
) -> None:
    options = Options(tunnel="ngrok", token=TOKEN)
    hosted.start(data, KEY, options, port=0)
    agent = psutil.Process(edge.commands()[0][-1])
    os.kill(json.loads((data / "hosted.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: not process.alive(data), PATIENCE)
    assert alive(agent)
    assert hosted.start(data, KEY, options, port=0).startswith("https://")
    until(lambda: not alive(agent), PATIENCE)


@pytest.mark.slow
def test_a_film_that_cannot_be_made_reports_the_reason(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="E_INVALID_PARAMETER: output"):
        hosted.film(data, ["dawn"], 1.0, "landscapes", tmp_path / "film.avi")
