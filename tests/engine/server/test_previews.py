"""What previews cost: the real server and client, and a worker that encodes noise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.film.preview_budget import PreviewBudget
from engine.jobs.job import Job
from engine.server import control
from engine.storage.journal import JobRecord
from engine.wire.messages import codec
from engine.wire.messages.responses import Preview
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe, an_engine, connected
from tests.stand_ins.proxy import through

pytestmark = pytest.mark.anyio
JOB = "job-0001"


@asynccontextmanager
async def a_film(
    data: Path, monkeypatch: pytest.MonkeyPatch, steps: int = 60
) -> AsyncIterator[Pairing]:
    """Run an engine that works on one film of two keyframes, for some seconds at the least."""
    monkeypatch.setenv("STEP_SECONDS", "0.006")
    async with an_engine(data) as engine, connected(engine) as client:
        await client.connection.submit(
            JOB, a_recipe(num_inference_steps=steps, interpolation_factor=12)
        )
        yield engine


def size(preview: Preview) -> int:
    """Return the bytes of a preview on the wire."""
    return len(codec.encode_preview(preview))


def number(preview: Preview) -> int:
    """Return how many previews the worker had encoded by then, this one included."""
    return int.from_bytes(preview.jpeg[2:6], "big")


@pytest.mark.parametrize("budget", [0, 1, 20_000, 60_000, 200_000])
async def test_a_budget_is_exceeded_by_less_than_a_preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    async with a_film(tmp_path, monkeypatch) as engine, connected(engine) as client:
        await client.connection.watch(JOB, budget=budget)
        assert await client.ended(JOB) == "Finished"
    sizes = [size(preview) for preview in client.previews]
    assert sum(sizes) < budget + max(sizes, default=1)
    assert bool(sizes) == (budget > 0)


async def test_a_larger_budget_gives_more_previews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        a_film(tmp_path, monkeypatch) as engine,
        connected(engine) as poor,
        connected(engine) as rich,
    ):
        await poor.connection.watch(JOB, budget=40_000)
        await rich.connection.watch(JOB)
        await rich.ended(JOB)
        await poor.ended(JOB)
    assert 2 <= len(poor.previews) < len(rich.previews)


async def test_a_reconnection_does_not_fill_the_purse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = 60_000
    async with a_film(tmp_path, monkeypatch) as engine, connected(engine) as client:
        await client.connection.watch(JOB, budget=budget)
        for wanted in (2, 4):
            await client.until(lambda: len(client.previews) >= wanted)  # noqa: B023
            assert client.connection._socket
            client.connection._socket.transport.abort()
        assert await client.ended(JOB) == "Finished"
    sizes = [size(preview) for preview in client.previews]
    assert sum(sizes) < budget + 3 * max(sizes)  # one for each connection


async def test_while_nobody_looks_nothing_is_encoded_or_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_film(tmp_path, monkeypatch, steps=150) as engine, connected(engine) as client:
        await client.connection.watch(JOB)
        await client.until(lambda: len(client.previews) >= 3)
        await client.connection.show_previews(JOB, False)
        before, steps = list(client.previews), client.types(JOB).count("keyframe advanced")
        await client.until(lambda: client.types(JOB).count("keyframe advanced") >= steps + 30)
        assert client.previews == before
        await client.connection.show_previews(JOB, True)
        await client.until(lambda: len(client.previews) > len(before))
        missed = number(client.previews[len(before)]) - number(before[-1]) - 1
        assert missed <= 1  # one may have been on its way when the wish to see none arrived


async def test_a_client_that_acknowledges_nothing_is_sent_few_previews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        a_film(tmp_path, monkeypatch) as engine,
        through(engine) as (proxy, link),
        connected(link) as client,
    ):
        await client.connection.watch(JOB)
        await client.until(lambda: len(client.previews) >= 2)
        proxy.up.clear()
        before = len(client.previews)
        assert await client.ended(JOB) == "Finished"
    assert len(client.previews) <= before + control.PREVIEW_WINDOW + control.PREVIEW_STRIDE - 1


async def test_a_queued_film_asks_for_no_previews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_film(tmp_path, monkeypatch, steps=100) as engine, connected(engine) as client:
        await client.connection.submit("job-0002", a_recipe(num_inference_steps=5))
        await client.connection.watch("job-0002")
        await client.ended("job-0002")
    assert {preview.job for preview in client.previews} == {"job-0002"}
    assert number(client.previews[0]) == 1  # nothing was encoded of the film before it


def a_watching() -> control.Subscriber:
    job = Job(JobRecord(JOB, a_recipe(), 0.0, False), [])
    job.show(b"a preview", ("step", 1))
    return control.Subscriber(job, 0, PreviewBudget())


def test_quick_pongs_stand_for_more_previews_and_slow_ones_for_one() -> None:
    watching = a_watching()
    assert watching.stride == 1
    for _ in range(5):
        watching.acknowledged(0, 0.01)
    assert watching.stride == control.PREVIEW_STRIDE
    watching.acknowledged(0, 2.0)
    assert watching.stride == 1


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.0, 3.0)), max_size=60))
def test_there_is_always_room_or_a_pong_to_wait_for(moves: list[tuple[int, float]]) -> None:
    watching, asked = a_watching(), []
    for previews, seconds in moves:
        for _ in range(previews):
            if watching.has_room:
                watching.preview()
            if watching.unasked >= watching.stride:
                asked.append(watching.unasked)
                watching.unasked = 0
        assert watching.under_way <= control.PREVIEW_WINDOW + control.PREVIEW_STRIDE - 1
        assert watching.has_room or asked
        if asked:
            watching.acknowledged(asked.pop(0), seconds)
            if watching.unasked >= watching.stride:
                asked.append(watching.unasked)
                watching.unasked = 0
    assert watching.has_room or asked
