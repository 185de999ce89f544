"""Several workers: who is asked, who is left out, and what happens when one dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from engine import tasks
from engine.crew import Crew, MemoryShortError
from engine.errors import DeviceMemoryError
from engine.foreman import Foreman, TaskStoppedError, WorkerDiedError
from engine.graph import KeyframeNode, Weighted
from tests.conftest import MODELS, PATIENCE, STAND_IN

pytestmark = pytest.mark.anyio
JOB = "job-0001"
LOAD = tasks.Load(job=JOB, model=MODELS["landscapes"])
OTHER = {"WEIGHTS": "other"}


@asynccontextmanager
async def a_crew(*environments: dict[str, str]) -> AsyncIterator[Crew]:
    """Run a crew of stand-in workers, one for each environment, all of them ready."""
    crew = Crew([Foreman(STAND_IN, "cpu", lambda _: None, each) for each in environments])
    try:
        await crew.start()
        await until(lambda: crew.ready == crew.size)
        yield crew
    finally:
        await crew.close()


async def until(condition: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def loaded(crew: Crew, **changes: object) -> tasks.Loaded:
    return await crew.load(msgspec.structs.replace(LOAD, **changes), lambda _: None)


def a_painting(target: Path, prompt: str = "dawn", steps: int = 2) -> tasks.Paint:
    node = KeyframeNode(
        model="landscapes@0",
        prompt=Weighted(prompt, prompt, 0.0),
        negative_prompt="",
        noise=Weighted(1, 1, 0.0),
        width=64,
        height=64,
        num_inference_steps=steps,
        guidance_scale=1.0,
        scheduler="ddim",
    )
    return tasks.Paint(job=JOB, index=0, node=node, target=str(target))


class Borrower:
    """Holds a worker in a task of its own until it is let go."""

    def __init__(self, crew: Crew) -> None:
        self.foreman: Foreman | None = None
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(crew))

    async def _hold(self, crew: Crew) -> None:
        async with crew.borrowed() as self.foreman:
            await self.go.wait()

    async def end(self) -> None:
        self.go.set()
        await self.task


async def test_each_borrower_has_a_worker_of_its_own_and_the_next_one_waits() -> None:
    async with a_crew({}, {}) as crew:
        await loaded(crew)
        first, second = Borrower(crew), Borrower(crew)
        await until(lambda: first.foreman and second.foreman)
        assert first.foreman is not second.foreman
        third = Borrower(crew)
        await asyncio.sleep(0.05)
        assert third.foreman is None
        await second.end()
        await until(lambda: third.foreman)
        assert third.foreman is second.foreman
        await first.end()
        await third.end()


async def test_who_holds_the_model_is_asked_first() -> None:
    async with a_crew({}, {}) as crew:
        await loaded(crew)
        seen = []
        for _ in range(3):
            async with crew.borrowed() as foreman:
                seen.append(foreman)
    assert len(set(seen)) == 1


async def test_a_dead_worker_comes_back_and_loads_again(tmp_path: Path) -> None:
    async with a_crew({}) as crew:
        await loaded(crew)
        with pytest.raises(WorkerDiedError):
            async with crew.borrowed() as foreman:
                await foreman.run(a_painting(tmp_path / "1.png", "always crash"))
        heard: list[tasks.AnyReply] = []
        async with crew.borrowed(heard.append) as foreman:
            await foreman.run(a_painting(tmp_path / "2.png"))
    assert [type(reply) for reply in heard] == [tasks.Loading]
    assert (tmp_path / "2.png").exists()


async def test_a_worker_that_dies_idle_is_passed_over_until_the_next_film() -> None:
    async with a_crew({}, {}) as crew:
        await loaded(crew)
        victim = next(iter(crew._holding))
        kill(victim)
        await until(lambda: crew.ready == 1)
        async with crew.borrowed() as foreman:
            assert foreman is not victim
        await loaded(crew, job="job-0002")
        await until(lambda: crew.ready == 2)


async def test_a_worker_with_other_weights_takes_no_part() -> None:
    async with a_crew({}, OTHER) as crew:
        assert (await loaded(crew)).model == "landscapes@0"
        first, second = Borrower(crew), Borrower(crew)
        await until(lambda: first.foreman and second.foreman is None and len(crew._unfit) == 1)
        await first.end()
        await second.end()
        assert first.foreman is second.foreman


async def test_none_is_left_when_only_other_weights_remain(tmp_path: Path) -> None:
    async with a_crew({}, OTHER) as crew:
        await loaded(crew)
        with pytest.raises(MemoryShortError):  # which rules the first one out
            async with crew.borrowed() as foreman:
                await foreman.run(a_painting(tmp_path / "1.png", "fail"))
        with pytest.raises(WorkerDiedError):
            await Borrower(crew).end()


async def test_whoever_waits_is_told_of_a_stop() -> None:
    async with a_crew({}) as crew:
        await loaded(crew)
        first, second = Borrower(crew), Borrower(crew)
        await until(lambda: first.foreman)
        crew.stop(JOB)
        with pytest.raises(TaskStoppedError):
            await second.task
        await first.end()
        await loaded(crew)  # as a job that is resumed
        await Borrower(crew).end()


async def test_want_of_memory_makes_only_that_worker_thriftier(tmp_path: Path) -> None:
    async with a_crew({}, {}) as crew:
        await loaded(crew)
        with pytest.raises(MemoryShortError):
            async with crew.borrowed() as short:
                await short.run(a_painting(tmp_path / "1.png", "fresh worker"))
        await until(lambda: crew.ready == 2)
        one, other = Borrower(crew), Borrower(crew)
        await until(lambda: one.foreman and other.foreman)
        await one.end()
        await other.end()
        ways = {foreman: len(foreman.ways) for foreman in crew._foremen}
        assert sorted(ways.values()) == [0, 1]
        assert ways[short] == 1
        await short.run(a_painting(tmp_path / "2.png", "fresh worker"))  # it has room now
        await loaded(crew, job="job-0002")
        assert not short.ways


async def test_the_last_worker_without_room_says_so(tmp_path: Path) -> None:
    async with a_crew({}) as crew:
        await loaded(crew)
        with pytest.raises(DeviceMemoryError):
            async with crew.borrowed() as foreman:
                await foreman.run(a_painting(tmp_path / "1.png", "fail"))


def kill(foreman: Foreman) -> None:
    assert foreman._process
    psutil.Process(foreman._process.pid).kill()
