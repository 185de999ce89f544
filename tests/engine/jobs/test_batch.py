"""Keyframes handed out several at once: by the stand-in, whose pixels do not matter."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.film import events
from engine.film.progress import fold
from engine.film.recipe import Recipe
from tests.conftest import Client, a_recipe, an_engine, connected

pytestmark = pytest.mark.anyio
JOB = "job-0001"
FACTS: dict[str, Any] = {"interpolation_factor": 2, "num_inference_steps": 3, "spacing": "even"}
RECIPE = a_recipe("a", "b", **FACTS)  # 13 keyframes


async def filmed(data: Path, recipe: Recipe = RECIPE, job: str = JOB, **options: Any) -> Client:
    """Have a film made by an engine that paints four keyframes at once; return who watched."""
    async with an_engine(data, **{"batch": 4, **options}) as engine, connected(engine) as client:
        await client.begin(job, recipe)
        assert await client.ended(job) == "Finished"
    return client


def heard(client: Client, kind: type, job: str = JOB) -> list[Any]:
    return [m.event for m in client.events(job) if isinstance(m.event, kind)]


def rows(client: Client, job: str = JOB) -> list[int]:
    started = heard(client, events.PieceStarted, job)
    return [event.row for event in started if event.stage == "keyframe"]


def objects(client: Client, job: str = JOB) -> dict[str, str]:
    made = [m.event for m in client.events(job) if hasattr(m.event, "sha256")]
    return {event.object: event.sha256 for event in made}


async def test_ready_keyframes_fill_a_batch_and_each_is_reported(tmp_path: Path) -> None:
    client = await filmed(tmp_path)
    keyframes = len(heard(client, events.Planned)[0].keyframes)
    assert keyframes % 4  # so that the last batch is not full
    assert rows(client) == [index % 4 for index in range(keyframes)]
    steps = [
        (event.index, event.done)
        for event in heard(client, events.PieceAdvanced)
        if event.stage == "keyframe"
    ]
    assert sorted(steps) == [(index, step) for index in range(keyframes) for step in (1, 2, 3)]
    assert sorted(client.finished(JOB)) == list(range(keyframes))
    progress = fold(client.events(JOB))
    assert (progress.at_once, heard(client, events.Planned)[0].batch) == (1, 4)


async def test_several_workers_make_the_same_film(tmp_path: Path) -> None:
    one, two = await filmed(tmp_path / "1"), await filmed(tmp_path / "2", device="cpu,cpu")
    assert objects(one) == objects(two)
    assert rows(one).count(0) == rows(two).count(0)  # as few batches as there can be


async def test_what_was_painted_before_takes_no_row(tmp_path: Path) -> None:
    first = await filmed(tmp_path)
    longer = a_recipe("a", "c", **FACTS)  # whose first keyframes are the same
    second = await filmed(tmp_path, longer, "job-0002")
    reused = [
        event.reused
        for event in heard(second, events.PieceFinished, "job-0002")
        if event.stage == "keyframe"
    ]
    assert 3 <= reused.count(True) < len(reused)
    assert rows(second, "job-0002") == [index % 4 for index in range(reused.count(False))]
    assert set(objects(first)) & set(objects(second, "job-0002"))


async def test_another_batch_is_another_film_and_one_is_as_before(tmp_path: Path) -> None:
    plain, one = await filmed(tmp_path / "0", batch=1), await filmed(tmp_path / "4")
    assert set(rows(plain)) == {0}
    kept = set(objects(plain)) & set(objects(one))
    assert not kept


@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
async def test_a_worker_that_is_killed_loses_only_its_task(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = await filmed(tmp_path / "1")
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with (
        an_engine(tmp_path / "2", batch=4, device=device) as engine,
        connected(engine) as client,
    ):
        await client.begin(JOB, RECIPE)
        await client.reached(JOB, "keyframe finished", 4)
        started = client.types(JOB).count("keyframe started")
        await client.reached(JOB, "keyframe started", started + 1)
        psutil.Process().children()[-1].kill()
        assert await client.ended(JOB) == "Finished"
    assert objects(client) == objects(fresh)
    if device == "cpu":  # one of two may be idle at that instant
        assert "Interrupted" in client.types(JOB)
    done = client.finished(JOB)
    assert len(done) == len(set(done))  # nothing that was finished is told, or made, again
    assert client.types(JOB).count("keyframe started") - len(done) <= 4


async def test_losses_of_a_batch_are_reported_while_others_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    crashing = a_recipe("a", "crash once", **FACTS)
    client = await filmed(tmp_path, crashing, device="cpu,cpu")
    lost = heard(client, events.PieceLost)
    told = [(event.stage, event.index) for event in lost]
    assert told == [("keyframe", lost[0].index + row) for row in range(4)]
    assert client.types(JOB).count("Started") == 1


async def test_a_batch_over_which_workers_die_fails_the_film(tmp_path: Path) -> None:
    async with an_engine(tmp_path, batch=4) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe("a", "always crash", **FACTS))
        assert await client.ended(JOB) == "Failed"
        assert client.types(JOB).count("Interrupted") == 2
