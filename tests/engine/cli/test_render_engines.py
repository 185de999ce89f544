"""``render`` ends, or carries on, whatever becomes of the engine that makes its film."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from engine import daemon
from engine.cli import render, report
from engine.errors import (
    JobCancelledError,
    NotPairedError,
    UnknownJobError,
    VisionFluxError,
)
from engine.wire.pairing import Pairing
from tests.conftest import MODELS, PATIENCE, STAND_IN, connected
from tests.torture.rig import free_port

pytestmark = pytest.mark.anyio


def options(folder: Path, *arguments: str, output: str = "film.mp4") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    fixed = ["dawn", "--seconds", "0.5", "-o", str(folder / output)]
    found = parser.parse_args([*fixed, *arguments])
    found.rife, found.device, found.batch, found.data = "auto", "auto", 1, folder
    found.upscaler = "animevideov3"
    return found


def an_engine(data: Path, port: int = 0) -> daemon.Options:
    return daemon.Options(data=data, models=MODELS, worker=STAND_IN, port=port)


async def busy(engine: Pairing) -> str:
    """Wait until an engine makes a film; return the job."""
    async with connected(engine) as client, asyncio.timeout(PATIENCE):
        while True:
            for job in await client.connection.jobs():
                if job.status == "running":
                    return job.job
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("same_key", "expected"), [(False, NotPairedError), (True, UnknownJobError)]
)
async def test_it_ends_when_its_engine_comes_back_as_another(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_key: bool,
    expected: type[VisionFluxError],
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    port = free_port()
    async with daemon.running(an_engine(tmp_path / "a", port)) as engine:
        arguments = options(tmp_path, "--engine", engine.link, "--steps", "100")
        film = asyncio.create_task(asyncio.to_thread(render.run, arguments))
        await busy(engine)
    (tmp_path / "b").mkdir()
    if same_key:
        (tmp_path / "b" / daemon.KEY).write_text((tmp_path / "a" / daemon.KEY).read_text())
    async with daemon.running(an_engine(tmp_path / "b", port)):
        with pytest.raises(expected):
            await asyncio.wait_for(film, PATIENCE)


async def test_it_reports_a_lost_engine_at_once_and_then_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    monkeypatch.setattr(render, "RECONNECT_TIMEOUT", 2.0)
    async with daemon.running(an_engine(tmp_path / "a")) as engine:
        arguments = options(tmp_path, "--engine", engine.link, "--steps", "100")
        film = asyncio.create_task(asyncio.to_thread(render.run, arguments))
        await busy(engine)
    with pytest.raises(VisionFluxError) as raised:
        await asyncio.wait_for(film, PATIENCE)
    assert raised.value.code == "E_UNREACHABLE"
    assert "trying again for 2 s" in capsys.readouterr().err


async def test_another_client_that_cancels_the_film_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with daemon.running(an_engine(tmp_path / "a")) as engine:
        arguments = options(tmp_path, "--engine", engine.link, "--steps", "100")
        film = asyncio.create_task(asyncio.to_thread(render.run, arguments))
        job = await busy(engine)
        async with connected(engine) as client:
            await client.connection.cancel(job)
        with pytest.raises(JobCancelledError, match="another client"):
            await asyncio.wait_for(film, PATIENCE)


async def test_it_continues_a_film_when_the_engine_that_it_joined_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    own = daemon.Options
    monkeypatch.setattr(
        daemon, "Options", lambda **given: own(**(given | {"worker": STAND_IN, "models": MODELS}))
    )
    async with daemon.running(an_engine(tmp_path / "engine")) as engine:
        film = asyncio.create_task(
            asyncio.to_thread(render.run, options(tmp_path, "--steps", "60"))
        )
        await busy(engine)
        monkeypatch.setenv("STEP_SECONDS", "0")
    assert await asyncio.wait_for(film, PATIENCE) == 0
    assert (tmp_path / "film.mp4").stat().st_size


async def test_two_at_once_on_one_data_folder_both_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = daemon.Options
    monkeypatch.setattr(
        daemon, "Options", lambda **given: own(**(given | {"worker": STAND_IN, "models": MODELS}))
    )
    films = [
        asyncio.to_thread(render.run, options(tmp_path, "--seed", str(seed), output=f"{seed}.mp4"))
        for seed in (1, 2)
    ]
    assert await asyncio.wait_for(asyncio.gather(*films), PATIENCE) == [0, 0]
    assert all((tmp_path / f"{seed}.mp4").stat().st_size for seed in (1, 2))


async def test_programs_read_one_event_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "JSON_SECONDS", 0.0)
    async with daemon.running(an_engine(tmp_path / "a")) as engine:
        arguments = options(tmp_path, "--engine", engine.link, "--steps", "3", "--json")
        assert await asyncio.to_thread(render.run, arguments) == 0
        failing = options(tmp_path, "--engine", engine.link, "--json")
        with pytest.raises(VisionFluxError):
            await asyncio.to_thread(render.run, failing)
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["progress"] * (len(kinds) - 2) + ["finished", "failed"]
    assert said.err == ""
    shares = [event["fraction"] for event in events[:-2]]
    assert all(0 <= share <= 1 for share in shares)  # it falls where keyframes are added
    assert len(shares) > 3
    assert {"output": str(tmp_path / "film.mp4"), "seed": 0}.items() <= events[-2].items()
    assert events[-1]["code"] == "E_INVALID_PARAMETER"
    assert all(event["event"] != "note" for event in events)
    documented = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text()
    for event in events:
        for name in (event["event"], *event):
            assert f"`{name}`" in documented
