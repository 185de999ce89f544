"""The life of jobs: reuse, cancelling, failures, dying workers, restarts."""

import asyncio
import gc
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from engine.errors import (
    InvalidParameterError,
    JobConflictError,
    LimitError,
    UnknownModelError,
)
from engine.film.events import Interrupted
from engine.film.progress import fold
from engine.film.stages import KEYFRAME
from engine.jobs.film_builder import FilmBuilder
from engine.jobs.job import Job
from engine.jobs.queue import JobQueue
from engine.storage.journal import Journal
from engine.storage.object_store import ObjectStore
from engine.wire.messages import limits
from engine.wire.messages.responses import JobEvent
from engine.wire.pairing import Pairing
from engine.workers.process import WorkerProcess
from tests.conftest import MODELS, STAND_IN, Client, a_recipe, an_engine, connected
from tests.processes import Process
from tests.stand_ins.worker import MEMORY

pytestmark = pytest.mark.anyio
JOB = "job-0001"


async def made(client: Client, job: str, *prompts: str, **settings: object) -> list[str]:
    """Have a film made and return the types of its events."""
    await client.begin(job, a_recipe(*prompts, **settings))
    await client.ended(job)
    return client.types(job)


def painted(client: Client, job: str) -> int:
    return client.types(job).count("keyframe started")


async def test_the_log_has_all_events_in_order(engine: Pairing) -> None:
    async with connected(engine) as client:
        types = await made(client, JOB)
    first_seen = list(dict.fromkeys(types))
    assert first_seen == [
        "Queued",
        "Started",
        "ModelLoading",
        "Planned",
        "keyframe started",
        "keyframe advanced",
        "keyframe finished",
        "Grown",
        "segment started",
        "segment advanced",
        "segment finished",
        "film started",
        "film finished",
        "poster started",
        "poster finished",
        "Finished",
    ]
    assert types.count("segment advanced") == a_recipe().frames


async def test_the_same_id_twice_starts_nothing_twice(engine: Pairing) -> None:
    async with connected(engine) as client:
        first = await client.connection.submit(JOB, a_recipe())
        second = await client.connection.submit(JOB, a_recipe())
        assert (first.duplicate, second.duplicate) == (False, True)
        with pytest.raises(JobConflictError):
            await client.connection.submit(JOB, a_recipe("else"))
        assert len(await client.connection.jobs()) == 1


async def test_the_same_recipe_again_computes_nothing(engine: Pairing) -> None:
    async with connected(engine) as client:
        await made(client, "job-0001", "a", "b")
        types = await made(client, "job-0002", "a", "b")
    assert not {"keyframe started", "segment started", "film started"} & set(types)
    first, second = (client.events(job)[-1].event for job in ("job-0001", "job-0002"))
    assert (first.memory, second.memory) == (MEMORY, 0)  # type: ignore[union-attr]
    assert msgspec.structs.replace(first, memory=0) == second


async def test_a_changed_prompt_computes_only_what_changed(engine: Pairing) -> None:
    settings = {"interpolation_factor": 2}
    async with connected(engine) as client:
        await made(client, "job-0001", "a", "b", **settings)
        await made(client, "job-0002", "a", "c", **settings)
        everything, changed = painted(client, "job-0001"), painted(client, "job-0002")
    assert 0 < changed < everything


async def test_a_gif_of_a_film_reuses_every_segment(engine: Pairing) -> None:
    async with connected(engine) as client:
        await made(client, "job-0001", "a")
        types = await made(client, "job-0002", "a", format="gif")
        film = client.events("job-0002")[-1].event
    assert not {"keyframe started", "segment started"} & set(types)
    assert film.media_type == "image/gif"  # type: ignore[union-attr]


async def test_cancel_takes_effect_within_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe(num_inference_steps=150))
        await client.until(lambda: client.types(JOB).count("keyframe advanced") >= 3)
        await client.connection.cancel(JOB)
        at_cancel = client.types(JOB).count("keyframe advanced")
        assert await client.ended(JOB) == "Cancelled"
        assert client.types(JOB).count("keyframe advanced") <= at_cancel + 2
        await client.connection.cancel(JOB)  # again: nothing happens
        assert await made(client, "job-0002", num_inference_steps=1)


async def test_a_waiting_job_is_cancelled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.submit("job-0001", a_recipe())
        await client.begin("job-0002", a_recipe(seed=2))
        await client.connection.cancel("job-0002")
        assert await client.ended("job-0002") == "Cancelled"
        assert "Started" not in client.types("job-0002")


async def test_a_paused_job_waits_and_resumes_with_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.02")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe("a", "b", num_inference_steps=5))
        await client.reached(JOB, "keyframe finished", 2)
        await client.rest(JOB)
        await client.connection.pause(JOB)  # again: nothing happens
        assert await made(client, "job-0002", num_inference_steps=1)  # others go first
        assert client.types(JOB)[-1] == "Paused"
        await client.connection.resume(JOB)
        assert await client.ended(JOB) == "Finished"
        await client.connection.resume(JOB)
    finished = client.finished(JOB)
    assert len(finished) == len(set(finished))
    assert client.types(JOB).count("Paused") == 1


async def test_a_job_that_is_resumed_before_it_has_paused_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe(num_inference_steps=5))
        await client.reached(JOB, "keyframe advanced", 2)
        await asyncio.gather(client.connection.pause(JOB), client.connection.resume(JOB))
        assert await client.ended(JOB) == "Finished"


async def test_cancelling_wins_over_pausing_and_resuming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe(num_inference_steps=150))
        await client.reached(JOB, "keyframe advanced", 2)
        ask = client.connection
        await asyncio.gather(ask.pause(JOB), ask.cancel(JOB), ask.pause(JOB), ask.resume(JOB))
        assert await client.ended(JOB) == "Cancelled"


async def test_a_job_that_waits_or_rests_can_be_paused_and_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.submit("job-0001", a_recipe(num_inference_steps=150))
        await client.connection.submit("job-0002", a_recipe(seed=2))
        for job in ("job-0001", "job-0002"):
            await client.connection.watch(job)
        await client.rest("job-0002")
        await client.reached("job-0001", "keyframe advanced", 1)
        await client.rest("job-0001")
        for job in ("job-0001", "job-0002"):
            await client.connection.cancel(job)
            assert await client.ended(job) == "Cancelled"
        assert await made(client, "job-0003", num_inference_steps=1)


async def test_a_paused_job_still_rests_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.02")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe(num_inference_steps=5))
        await client.reached(JOB, "keyframe finished", 1)
        await client.rest(JOB)
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        await client.connection.watch(JOB, after=0)
        assert await made(client, "job-0002", num_inference_steps=1)
        assert client.types(JOB)[-1] == "Paused"
        await client.connection.resume(JOB)
        assert await client.ended(JOB) == "Finished"


async def test_only_so_many_jobs_may_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIMITS", limits.Limits(queued_jobs=1))
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        for number in (1, 2):
            await client.begin(f"job-000{number}", a_recipe(num_inference_steps=150))
            await client.reached(f"job-000{number}", "keyframe advanced", 1)
            if number == 1:
                await client.connection.pause("job-0001")
        with pytest.raises(LimitError):
            await client.connection.pause("job-0002")


async def test_a_failed_task_fails_its_job_with_a_coded_error(engine: Pairing) -> None:
    async with connected(engine) as client:
        await made(client, JOB, "fail")
        failed = client.events(JOB)[-1].event
        assert failed.error.code == "E_DEVICE_MEMORY"  # type: ignore[union-attr]
        assert (await made(client, "job-0002"))[-1] == "Finished"


async def test_a_film_is_tried_again_by_a_fresh_worker_that_begins_thriftily(
    engine: Pairing,
) -> None:
    async with connected(engine) as client:
        types = await made(client, JOB, "fresh worker")
        told = [message.event for message in client.events(JOB)]
    assert types[-1] == "Finished"
    assert [event for event in told if isinstance(event, Interrupted)] == [
        Interrupted(reason="memory")
    ]
    assert types.count("Started") == 2


async def test_a_film_fails_once_an_attempt_finds_no_further_way(engine: Pairing) -> None:
    async with connected(engine) as client:
        types = await made(client, JOB, "run short and fail")
    assert types[-1] == "Failed"
    assert types.count("Interrupted") == 1


async def test_a_worker_that_dies_is_replaced_and_the_film_continues(engine: Pairing) -> None:
    async with connected(engine) as client:
        types = await made(client, JOB, "crash once", interpolation_factor=2)
    assert types[-1] == "Finished"
    assert types.count("Interrupted") == 1
    finished = client.finished(JOB)
    assert len(finished) == len(set(finished))


async def test_tasks_that_end_badly_leave_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.01")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        assert (await made(client, "job-0001", "always crash"))[-1] == "Failed"
        assert (await made(client, "job-0002", "fail"))[-1] == "Failed"
        await client.begin("job-0003", a_recipe(num_inference_steps=150))
        await client.reached("job-0003", "keyframe advanced", 1)
        await client.connection.cancel("job-0003")
        assert await client.ended("job-0003") == "Cancelled"
        assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_task_that_kills_every_worker_fails_its_job_alone(engine: Pairing) -> None:
    async with connected(engine) as client:
        assert (await made(client, JOB, "always crash"))[-1] == "Failed"
        assert client.events(JOB)[-1].event.error.code == "E_WORKER_LOST"  # type: ignore[union-attr]
        assert (await made(client, "job-0002"))[-1] == "Finished"


async def test_a_worker_that_hangs_is_replaced(
    engine: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(engine) as client:
        with monkeypatch.context() as impatient:
            impatient.setattr("engine.workers.process.SILENCE_TIMEOUT", 1.5)
            types = await made(client, JOB, "hang")
        # On a busy machine a worker that only starts may count as hung as well.
        assert types.count("Interrupted") >= 2
        assert client.events(JOB)[-1].event.error.code == "E_WORKER_LOST"  # type: ignore[union-attr]
        assert (await made(client, "job-0002"))[-1] == "Finished"


async def test_an_unknown_model_is_refused_with_the_known_ones(engine: Pairing) -> None:
    async with connected(engine) as client:
        with pytest.raises(UnknownModelError) as caught:
            await client.connection.submit(JOB, a_recipe(model="of/somebody"))
        assert "landscapes" in caught.value.remedy


async def test_what_a_model_cannot_do_is_refused_with_a_remedy(engine: Pairing) -> None:
    async with connected(engine) as client:
        with pytest.raises(InvalidParameterError, match="too coarsely") as caught:
            await client.connection.submit(JOB, a_recipe(anchor_attention=True))
        assert caught.value.field == "anchor_attention"
        assert "switch it off" in caught.value.remedy
        assert (await made(client, JOB))[-1] == "Finished"  # the id is free


SERVE = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from tests.conftest import an_engine

async def main():
    async with an_engine(Path(sys.argv[1])) as engine:
        print(engine.link, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def start(data: Path) -> tuple[Process, Pairing]:
    """Start an engine in a process of its own, to be killed."""
    process = Process([sys.executable, "-c", SERVE, str(data)], data / "log", STEP_SECONDS="0.005")
    return process, Pairing.parse(process.line())


@pytest.mark.slow
async def test_a_killed_engine_resumes_its_job(tmp_path: Path) -> None:
    recipe = a_recipe("a", "b", interpolation_factor=2, num_inference_steps=20)
    seen: list[JobEvent] = []
    for keyframes in (2, 3, 99):  # killed after so many, twice; then left to finish
        process, engine = await asyncio.to_thread(start, tmp_path)
        async with connected(engine) as client:
            await client.connection.submit(JOB, recipe)
            await client.connection.watch(JOB, after=len(seen))
            await client.reached(JOB, "keyframe finished", keyframes)
            process.kill()
            seen += client.events(JOB)
        process.end()
    names = [type(message.event).__name__ for message in seen]
    assert names[-1] == "Finished"
    assert names.count("Interrupted") == 2
    assert [message.seq for message in seen] == list(range(1, len(seen) + 1))
    for kind in ("keyframe finished", "segment finished"):
        indexes = [m.event.index for m in seen if type(m.event).__name__ == kind]  # type: ignore[union-attr]
        assert len(indexes) == len(set(indexes))


def test_cancelled_jobs_are_not_kept_in_memory(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    idle = WorkerProcess(STAND_IN, "cpu", lambda _: None)
    jobs = JobQueue(journal, ObjectStore(tmp_path, journal), MODELS, idle)
    jobs.submit(JOB, a_recipe())
    for _ in range(2):  # while it waits, and once it has ended
        job = weakref.ref(jobs.get(JOB))
        jobs.cancel(jobs.get(JOB))
        gc.collect()
        assert job() is None
    assert jobs.get(JOB).progress.status == "cancelled"
    journal.close()


async def test_a_refused_watch_leaves_nothing_in_memory(
    engine: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = msgspec.structs.replace(limits.LIMITS, watched_jobs=1)
    monkeypatch.setattr(limits, "LIMITS", fewer)
    async with connected(engine) as client:
        for job in ("job-refused", "job-watched"):
            await made(client, job)
            await client.connection.unwatch(job)
        await client.connection.watch("job-watched")
        with pytest.raises(LimitError):
            await client.connection.watch("job-refused")
        gc.collect()
        kept = [found.id for found in gc.get_objects() if type(found) is Job]
        assert "job-watched" in kept
        assert "job-refused" not in kept


async def film_of(client: Client, job: str) -> str:
    assert await client.ended(job) == "Finished"
    return str(client.events(job)[-1].event.object)  # type: ignore[union-attr]


async def test_an_interrupted_film_grows_into_what_it_would_have_been(tmp_path: Path) -> None:
    settings = {"interpolation_factor": 2, "num_inference_steps": 1}
    async with an_engine(tmp_path / "one") as engine, connected(engine) as client:
        await made(client, JOB, "a", "b", "c", **settings)
        fresh = await film_of(client, JOB)
        grown = client.types(JOB).count("Grown")
        log = client.events(JOB)
    assert grown > 1
    async with an_engine(tmp_path / "two") as engine, connected(engine) as client:
        await client.begin(JOB, a_recipe("a", "b", "c", **settings))
        await client.reached(JOB, "Grown", 1)
    async with an_engine(tmp_path / "two") as engine, connected(engine) as client:
        await client.connection.watch(JOB, after=0)
        assert await film_of(client, JOB) == fresh
        assert client.types(JOB).count("Planned") == 1  # what was told is not told again
        assert fold(client.events(JOB)).plan == fold(log).plan


async def test_a_blank_keyframe_is_reported_and_replaced(engine: Pairing) -> None:
    async with connected(engine) as client:
        types = await made(client, JOB, "a", "paint nothing", motion="cut", interpolation_factor=4)
        progress = fold(client.events(JOB))
    assert types[-1] == "Finished"
    blank = [index for index, word in progress.of(KEYFRAME).details.items() if word == "blank"]
    assert blank
    assert len(blank) < len(progress.keyframes)


async def test_a_film_of_blank_keyframes_fails_with_that_reason(engine: Pairing) -> None:
    async with connected(engine) as client:
        await made(client, JOB, "paint nothing")
        assert client.events(JOB)[-1].event.error.code == "E_BLANK"  # type: ignore[union-attr]


async def test_a_worker_that_cannot_be_started_fails_its_jobs_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        an_engine(tmp_path, worker=(str(tmp_path / "no-python"),)) as engine,
        connected(engine) as client,
    ):
        await client.begin(JOB, a_recipe())
        assert await client.ended(JOB) == "Failed"
        assert client.events(JOB)[-1].event.error.code == "E_WORKER_START"  # type: ignore[union-attr]
    assert "no-python" in caplog.text


async def test_planning_leaves_the_loop_to_others() -> None:
    """A plan at the limits takes a second or two, in which clients want their answers."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def load(*_: object) -> SimpleNamespace:
        return SimpleNamespace(model="m", interpolator="i", upscaler="", notice="")

    nodes = SimpleNamespace(
        recipe=a_recipe("a", "b"),
        load=load,
        stopping=lambda: None,
        progress=SimpleNamespace(plan=None),
        record=lambda _: None,
        store=SimpleNamespace(hold=lambda *_: None),
        job=JOB,
    )
    busy = asyncio.create_task(others())
    await asyncio.sleep(0)
    plan = await FilmBuilder(nodes, {})._plan(MODELS["landscapes"])  # type: ignore[arg-type]
    busy.cancel()
    assert plan.keyframes
    assert turns
