"""Several workers: who is asked, who is left out, and what happens when one dies."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from engine.errors import DeviceMemoryError
from engine.film.events import PieceLost
from engine.film.graph import Blend, KeyframeNode
from engine.film.progress import Progress, advance, fold
from engine.film.stages import KEYFRAME, SEGMENT
from engine.wire.messages.responses import DeviceInfo, label
from engine.workers import messages
from engine.workers.pool import SECOND_WORKER_MEMORY, MemoryShortError, WorkerPool, has_room_for_two
from engine.workers.process import TaskStoppedError, WorkerDiedError, WorkerProcess
from tests.conftest import MODELS, PATIENCE, STAND_IN, Client, a_recipe, an_engine, connected
from tests.pieces import finished

pytestmark = pytest.mark.anyio
JOB = "job-0001"
LOAD = messages.Load(job=JOB, model=MODELS["landscapes"])
OTHER = {"WEIGHTS": "other"}


@asynccontextmanager
async def a_pool(*environments: dict[str, str], helpers: int = 0) -> AsyncIterator[WorkerPool]:
    """Run a pool of stand-in workers, one for each environment, all of them ready.

    ``helpers``: how often there is room for one.
    """
    rooms = iter(range(helpers))

    def second(device: DeviceInfo) -> WorkerProcess | None:
        return None if next(rooms, None) is None else a_foreman({})

    pool = WorkerPool([a_foreman(each) for each in environments], second)
    try:
        await pool.start()
        await until(lambda: pool.ready == pool.size)
        yield pool
    finally:
        await pool.close()


def a_foreman(environment: dict[str, str]) -> WorkerProcess:
    return WorkerProcess(STAND_IN, "cpu", lambda _: None, environment)


async def until(condition: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_a_cancellation_that_arrives_with_a_reply_is_obeyed() -> None:
    silent = WorkerProcess((sys.executable, "-c", "input()"), "cpu", lambda _: None)
    work = asyncio.create_task(silent.run(LOAD))
    await until(lambda: silent._process)
    await asyncio.sleep(0)  # from here on it waits for a reply
    silent._replies.put_nowait(messages.Advanced(index=0, done=1, total=2))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(work, PATIENCE)
    await silent.close()


async def loaded(pool: WorkerPool, **changes: object) -> messages.Loaded:
    return await pool.load(msgspec.structs.replace(LOAD, **changes), lambda _: None)


def a_painting(target: Path, prompt: str = "dawn", steps: int = 2) -> messages.Make:
    node = KeyframeNode(
        model="landscapes@0",
        prompt=Blend(prompt, prompt, 0.0),
        negative_prompt="",
        noise=Blend(1, 1, 0.0),
        width=64,
        height=64,
        num_inference_steps=steps,
        guidance_scale=1.0,
        scheduler="ddim",
    )
    piece = messages.Piece(index=0, node=node, target=str(target))
    return messages.Make(job=JOB, stage="keyframe", pieces=(piece,))


class Borrower:
    """Holds a worker in a task of its own until it is let go."""

    def __init__(self, pool: WorkerPool, *, paints: bool = False) -> None:
        self.foreman: WorkerProcess | None = None
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(pool, paints))

    async def _hold(self, pool: WorkerPool, paints: bool) -> None:
        async with pool.borrowed(paints=paints) as self.foreman:
            await self.go.wait()

    async def end(self) -> None:
        self.go.set()
        await self.task


async def test_each_borrower_has_a_worker_of_its_own_and_the_next_one_waits() -> None:
    async with a_pool({}, {}) as pool:
        await loaded(pool)
        first, second = Borrower(pool), Borrower(pool)
        await until(lambda: first.foreman and second.foreman)
        assert first.foreman is not second.foreman
        third = Borrower(pool)
        await asyncio.sleep(0.05)
        assert third.foreman is None
        await second.end()
        await until(lambda: third.foreman)
        assert third.foreman is second.foreman
        await first.end()
        await third.end()


async def test_a_worker_that_has_the_model_is_preferred() -> None:
    async with a_pool({}, {}) as pool:
        assert label(pool.devices) == "2 × stand-in"
        await loaded(pool)
        seen = []
        for _ in range(3):
            async with pool.borrowed() as foreman:
                seen.append(foreman)
    assert len(set(seen)) == 1


async def test_a_dead_worker_comes_back_and_loads_again(tmp_path: Path) -> None:
    async with a_pool({}) as pool:
        await loaded(pool)
        with pytest.raises(WorkerDiedError):
            async with pool.borrowed() as foreman:
                await foreman.run(a_painting(tmp_path / "1.png", "always crash"))
        heard: list[messages.AnyReply] = []
        async with pool.borrowed(heard.append) as foreman:
            await foreman.run(a_painting(tmp_path / "2.png"))
    assert [type(reply) for reply in heard] == [messages.Loading]
    assert (tmp_path / "2.png").exists()


async def test_a_worker_that_dies_between_two_tasks_loads_before_the_next_one(
    tmp_path: Path,
) -> None:
    async with a_pool({}) as pool:
        await loaded(pool)
        async with pool.borrowed() as foreman:
            kill(foreman)
            await until(lambda: foreman._process and foreman._process.returncode is not None)
            with pytest.raises(WorkerDiedError, match="between two tasks"):
                await foreman.run(a_painting(tmp_path / "1.png"))
        heard: list[messages.AnyReply] = []
        async with pool.borrowed(heard.append) as foreman:
            await foreman.run(a_painting(tmp_path / "2.png"))
    assert [type(reply) for reply in heard] == [messages.Loading]


async def test_a_worker_that_dies_idle_is_passed_over_until_the_next_film() -> None:
    async with a_pool({}, {}) as pool:
        await loaded(pool)
        victim = next(iter(pool._holding))
        kill(victim)
        await until(lambda: pool.ready == 1)
        async with pool.borrowed() as foreman:
            assert foreman is not victim
        await loaded(pool, job="job-0002")
        await until(lambda: pool.ready == 2)


async def test_a_worker_with_other_weights_takes_no_part() -> None:
    async with a_pool({}, OTHER) as pool:
        assert (await loaded(pool)).model == "landscapes@0"
        first, second = Borrower(pool), Borrower(pool)
        await until(lambda: first.foreman and second.foreman is None and len(pool._unfit) == 1)
        await first.end()
        await second.end()
        assert first.foreman is second.foreman


async def test_none_is_left_when_only_other_weights_remain(tmp_path: Path) -> None:
    async with a_pool({}, OTHER) as pool:
        await loaded(pool)
        with pytest.raises(MemoryShortError):  # which rules the first one out
            async with pool.borrowed() as foreman:
                await foreman.run(a_painting(tmp_path / "1.png", "fail"))
        with pytest.raises(WorkerDiedError):
            await Borrower(pool).end()


async def test_those_who_wait_for_a_worker_learn_of_a_stop() -> None:
    async with a_pool({}) as pool:
        await loaded(pool)
        first, second = Borrower(pool), Borrower(pool)
        await until(lambda: first.foreman)
        pool.stop(JOB)
        with pytest.raises(TaskStoppedError):
            await second.task
        await first.end()
        await loaded(pool)  # as a job that is resumed
        await Borrower(pool).end()


async def test_want_of_memory_makes_only_that_worker_thriftier(tmp_path: Path) -> None:
    async with a_pool({}, {}) as pool:
        await loaded(pool)
        with pytest.raises(MemoryShortError):
            async with pool.borrowed() as short:
                await short.run(a_painting(tmp_path / "1.png", "fresh worker"))
        await until(lambda: pool.ready == 2)
        one, other = Borrower(pool), Borrower(pool)
        await until(lambda: one.foreman and other.foreman)
        await one.end()
        await other.end()
        ways = {foreman: len(foreman.ways) for foreman in pool._workers}
        assert sorted(ways.values()) == [0, 1]
        assert ways[short] == 1
        await short.run(a_painting(tmp_path / "2.png", "fresh worker"))  # it has room now
        await loaded(pool, job="job-0002")
        assert not short.ways


async def test_the_last_worker_without_memory_reports_it(tmp_path: Path) -> None:
    async with a_pool({}) as pool:
        await loaded(pool)
        with pytest.raises(DeviceMemoryError):
            async with pool.borrowed() as foreman:
                await foreman.run(a_painting(tmp_path / "1.png", "fail"))


# A device with room for two


@asynccontextmanager
async def a_worker_and_its_mate() -> AsyncIterator[WorkerPool]:
    """Run a pool of one that has loaded the model, with a helper that is ready."""
    async with a_pool({}, helpers=1) as pool:
        assert pool.helpers == 0
        await loaded(pool)
        await until(lambda: pool.helpers == 1)
        yield pool


async def test_a_helper_does_all_but_painting() -> None:
    async with a_worker_and_its_mate() as pool:
        assert (pool.size, label(pool.devices)) == (1, "stand-in")
        painting, drawing = Borrower(pool, paints=True), Borrower(pool)
        await until(lambda: painting.foreman and drawing.foreman)
        assert painting.foreman is pool._workers[0]
        waiting = [Borrower(pool, paints=True), Borrower(pool)]
        await asyncio.sleep(0.05)
        assert [each.foreman for each in waiting] == [None, None]
        for borrower in (painting, drawing, *waiting):
            await borrower.end()
        assert waiting[0].foreman is painting.foreman
        assert waiting[1].foreman is drawing.foreman is not painting.foreman


async def test_a_helper_that_dies_leaves_its_work_to_the_other_until_the_next_film(
    tmp_path: Path,
) -> None:
    async with a_worker_and_its_mate() as pool:
        with pytest.raises(WorkerDiedError):
            async with pool.borrowed() as helper:
                await helper.run(a_painting(tmp_path / "1.png", "always crash"))
        await loaded(pool)  # as after an interruption
        async with pool.borrowed() as foreman:
            assert foreman is pool._workers[0]
        assert pool.helpers == 0
        await loaded(pool, job="job-0002")
        await until(lambda: pool.helpers == 1)


async def test_a_helper_without_room_leaves_its_work_to_the_other(tmp_path: Path) -> None:
    async with a_worker_and_its_mate() as pool:
        with pytest.raises(MemoryShortError):
            async with pool.borrowed() as helper:
                await helper.run(a_painting(tmp_path / "1.png", "fail"))
        async with pool.borrowed() as foreman:
            assert foreman is pool._workers[0]


async def test_a_helper_goes_where_painting_needs_its_memory(tmp_path: Path) -> None:
    async with a_worker_and_its_mate() as pool:
        (helper,) = pool._helpers.values()
        async with pool.borrowed(paints=True) as foreman:
            await foreman.run(a_painting(tmp_path / "1.png", "run short"))
        async with pool.borrowed() as other:
            assert other is foreman
        assert not helper.ready
        await loaded(pool, job="job-0002")  # when there is no room for another
        assert not pool._helpers


@pytest.mark.parametrize(
    ("kind", "free", "expected"),
    [
        ("cuda:0", SECOND_WORKER_MEMORY, True),
        ("cuda:1", SECOND_WORKER_MEMORY - 1, False),
        ("mps", SECOND_WORKER_MEMORY, False),
        ("cpu", SECOND_WORKER_MEMORY, False),
    ],
)
def test_a_gpu_with_enough_memory_has_room_for_two(kind: str, free: int, expected: bool) -> None:
    assert has_room_for_two(DeviceInfo(kind=kind, free_memory=free)) is expected


# Whole films

SETTINGS = {"interpolation_factor": 2, "num_inference_steps": 5}
TWO_DEVICES: dict[str, Any] = {"device": "cpu,cpu"}
A_MATE: dict[str, Any] = {"device": "cpu", "has_room": lambda _: True, "spacing": "even"}
SEVERAL = pytest.mark.parametrize("several", [TWO_DEVICES, A_MATE], ids=["two devices", "a helper"])


async def filmed(
    data: Path,
    meanwhile: Callable[[Client], Awaitable[None]] | None = None,
    prompts: tuple[str, ...] = ("a", "b"),
    spacing: str = "adaptive",
    **options: Any,
) -> Client:
    """Have a film made by an engine of its own; return who watched."""
    async with an_engine(data, **options) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe(*prompts, spacing=spacing, **SETTINGS))
        if meanwhile:
            await meanwhile(client)
        await client.ended(JOB)
    return client


def objects(client: Client) -> dict[str, str]:
    """Return the hash of everything that was finished, by name."""
    events = [message.event for message in client.events(JOB)]
    made = finished(events)
    assert len(made) == len({event.object for event in made})  # nothing is made twice
    return {event.object: event.sha256 for event in made}


def both_at_once(client: Client) -> bool:
    """Tell whether a segment was drawn while a keyframe was painted."""
    progress = Progress()
    for message in client.events(JOB):
        advance(progress, message)
        if progress.of(KEYFRAME).open and progress.of(SEGMENT).open:
            return True
    return False


async def one_and_two(
    folder: Path,
    several: dict[str, Any],
    meanwhile: Callable[[Client], Awaitable[None]] | None = None,
) -> tuple[Client, Client]:
    """Have the same film made by one worker and by two that are both there from the beginning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEP_SECONDS", "0.01")
        one = await filmed(folder / "1", spacing=several.get("spacing", "adaptive"))
        patch.setenv("ROLL", str(folder / "roll"))
        return one, await filmed(folder / "2", meanwhile, **several)


@SEVERAL
async def test_two_workers_make_what_one_makes(tmp_path: Path, several: dict[str, Any]) -> None:
    one, two = await one_and_two(tmp_path, several)
    assert objects(one) == objects(two)
    assert not both_at_once(one)
    assert both_at_once(two) or several is TWO_DEVICES
    at_once = [fold(client.events(JOB)).at_once for client in (one, two)]
    assert at_once == [1, 2 if several is TWO_DEVICES else 1]  # which is by how many it is priced


@pytest.mark.parametrize(("several", "victim"), [(TWO_DEVICES, -1), (A_MATE, 0), (A_MATE, -1)])
async def test_a_worker_that_is_killed_loses_only_its_task(
    tmp_path: Path, several: dict[str, Any], victim: int
) -> None:
    async def kill_one(client: Client) -> None:
        await client.reached(JOB, "keyframe finished", 3)
        psutil.Process().children()[victim].kill()

    one, two = await one_and_two(tmp_path, several, kill_one)
    assert objects(one) == objects(two)
    begun = two.types(JOB).count("keyframe started") + two.types(JOB).count("segment started")
    assert begun <= len(objects(two))  # one more than there are, and the film is not among them


async def test_while_one_worker_dies_the_others_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    two = await filmed(tmp_path, prompts=("a", "crash once"), **TWO_DEVICES)
    lost = [m.event for m in two.events(JOB) if isinstance(m.event, PieceLost)]
    assert [(event.reason, event.stage) for event in lost] == [("worker", "keyframe")]
    assert two.types(JOB).count("Started") == 1
    assert two.types(JOB)[-1] == "Finished"


@SEVERAL
async def test_a_pause_stops_all_workers_and_the_film_resumes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: dict[str, Any]
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.02")

    async def pause(client: Client) -> None:
        await client.reached(JOB, "keyframe finished", 3)
        await client.rest(JOB)
        said = len(client.events(JOB))
        await asyncio.sleep(0.2)
        assert len(client.events(JOB)) == said
        await client.connection.resume(JOB)

    monkeypatch.setenv("ROLL", str(tmp_path / "roll"))
    two = await filmed(tmp_path, pause, **several)
    assert two.types(JOB)[-1] == "Finished"
    assert len(objects(two)) > 3


async def test_a_keyframe_that_kills_every_worker_fails_the_film(tmp_path: Path) -> None:
    async with an_engine(tmp_path, device="cpu,cpu") as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe("a", "always crash"))
        assert await client.ended(JOB) == "Failed"
        error = client.events(JOB)[-1].event.error  # type: ignore[union-attr]
        assert error.code == "E_WORKER_LOST"
        await client.begin("job-0002", a_recipe("b"))
        assert await client.ended("job-0002") == "Finished"


async def test_a_device_that_is_not_there_leaves_the_film_to_the_others(tmp_path: Path) -> None:
    good, bad = (
        WorkerProcess(STAND_IN, "cpu", lambda _: None),
        WorkerProcess(("false",), "x", lambda _: None),
    )
    pool = WorkerPool([bad, good])
    try:
        await pool.start()
        await until(lambda: good.ready)
        await loaded(pool)
        async with pool.borrowed() as foreman:
            assert foreman is good
        assert [device.name for device in pool.devices] == ["stand-in"]
    finally:
        await pool.close()


def kill(foreman: WorkerProcess) -> None:
    assert foreman._process
    psutil.Process(foreman._process.pid).kill()
