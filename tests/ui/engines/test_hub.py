import asyncio
import gc
import json
import stat
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import (
    BadLinkError,
    ConnectionLostError,
    EngineError,
    EngineUnreachableError,
    InvalidParameterError,
    NotPairedError,
    UnknownObjectError,
)
from engine.film import events
from engine.film.events import Logged
from engine.film.recipe import Recipe, Scene
from engine.wire.pairing import Pairing
from tests.stand_ins.connection import FILM, FINISHED, PLANNED, World, png, until
from ui.engines import hub as hub_module
from ui.engines.hub import Hub
from ui.routes.job_state import calm, state

RECIPE = Recipe(scenes=(Scene(prompt="dawn over the sea"),))
REMOTE = Pairing("https://far.example", b"r" * 32)
NEAR = Pairing("https://near.example", b"n" * 32)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def reused(index: int) -> events.PieceFinished:
    return events.PieceFinished(
        stage="keyframe", index=index, object="o", sha256="s", size=1, reused=True
    )


def settled(hub: Hub, job: str) -> bool:
    view = hub.find(job)
    return bool(view and view.settled)


def test_a_finished_film_is_downloaded(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].say(job, events.Started(attempt=1, device="cpu"), PLANNED, FINISHED)
    until(lambda: settled(hub, job))
    film = hub.library.get(job)
    assert film is not None
    assert film.status == "finished"
    assert hub.library.file(film).read_bytes() == FILM


def test_a_download_that_breaks_is_tried_again(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].fetch_failures = [ConnectionLostError("it broke")]
    world.made[0].say(job, FINISHED)
    until(lambda: settled(hub, job))
    film = hub.library.get(job)
    assert film is not None
    assert film.status == "finished"


def test_a_film_that_the_engine_lost_is_reported(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].fetch_failures = [UnknownObjectError("a" * 64)]
    world.made[0].say(job, FINISHED)
    until(lambda: (film := hub.library.get(job)) and film.status == "failed")
    view = hub.find(job)
    assert view is not None
    assert view.progress.error is not None
    assert view.progress.error.code == "E_UNKNOWN_OBJECT"


def test_a_refused_recipe_leaves_no_trace(world: World) -> None:
    hub = world.start()
    world.made[0].refusal = InvalidParameterError("width", "too wide")
    with pytest.raises(InvalidParameterError):
        hub.submit(RECIPE)
    assert hub.library.unfinished() == []


def test_a_restart_resumes_unfinished_jobs(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    until(lambda: (film := hub.library.get(job)) and film.status == "running")
    hub.close()
    again = world.start()
    world.made[1].say(job, PLANNED, FINISHED)
    until(lambda: settled(again, job))


def test_a_job_whose_submission_broke_is_submitted_again(world: World) -> None:
    hub = world.start()
    world.made[0].refusal = ConnectionLostError("it broke")  # type: ignore[assignment]
    job = hub.submit(RECIPE)
    assert job not in world.made[0].recipes
    world.made[0].refusal = None
    world.made[0].come_back()
    until(lambda: job in world.made[0].recipes)


@pytest.mark.parametrize("breaks", [False, True])
def test_a_job_is_submitted_once_if_the_link_connects_meanwhile(world: World, breaks: bool) -> None:
    """Unless the first attempt breaks: then again, by the new link, the attempt's end, or both.

    The engine knows a job by its id. The film "later" tells that the link has taken up all.
    """
    hub = world.start()
    engine = world.made[0]

    async def come_back() -> None:
        await asyncio.to_thread(hub.library.add, "later", RECIPE, hub.chosen().hello.engine)  # type: ignore[union-attr]
        engine.connect()
        async with asyncio.timeout(20):
            while "later" not in engine.recipes:
                await asyncio.sleep(0.01)
        if breaks:
            raise ConnectionLostError("it broke")

    engine.meanwhile = come_back
    job = hub.submit(RECIPE)
    until(lambda: job in engine.recipes)
    times = engine.submitted.count(job)
    assert times in ((2, 3) if breaks else (1,))


def test_a_job_that_the_engine_forgot_fails_with_its_reason(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].recipes.clear()
    world.made[0].come_back()
    until(lambda: (film := hub.library.get(job)) and film.status == "failed")
    film = hub.library.get(job)
    assert film is not None
    assert film.error is not None
    assert film.error.code == "E_UNKNOWN_JOB"


def test_a_dropped_connection_is_shown_until_it_is_back(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    view = hub.find(job)
    assert view is not None
    assert view.reachable
    world.made[0].drop()
    until(lambda: (now := hub.find(job)) and not now.reachable)
    assert view.reachable  # what a page has found does not change under its hands
    world.made[0].come_back()
    until(lambda: (now := hub.find(job)) and now.reachable)


def test_cancelling_reaches_the_engine(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    hub.cancel(job)
    until(lambda: (film := hub.library.get(job)) and film.status == "cancelled")
    assert set(world.made[0].cancelled) == {job}


def test_cancelling_what_no_paired_engine_has_ends_it_here(world: World) -> None:
    hub = world.start()
    hub.library.add("orphan01", RECIPE, "an engine that was forgotten")
    assert hub.find("orphan01")
    hub.cancel("orphan01")
    view = hub.find("orphan01")
    assert view is not None
    assert view.settled
    assert hub.library.unfinished() == []


def test_keyframe_pictures_are_kept_on_disk(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].show(job, b"jpeg", kind="keyframe", index=2)
    until(lambda: (view := hub.find(job)) and view.thumbnails == {2})
    assert hub.library.thumbnail(job, 2).read_bytes() == b"jpeg"


def test_a_reused_keyframe_is_fetched_for_the_filmstrip(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].objects["o"] = png()
    world.made[0].say(job, PLANNED, reused(1))
    until(lambda: (view := hub.find(job)) and view.thumbnails == {1})
    assert hub.library.thumbnail(job, 1).read_bytes().startswith(b"\xff\xd8")


def test_a_film_that_was_all_in_the_store_still_gets_a_poster(world: World) -> None:
    hub = world.start()
    world.made[0].objects["o"] = png()
    world.made[0].ready = [PLANNED, reused(0), reused(1), FINISHED]
    job = hub.submit(RECIPE)
    until(lambda: (view := hub.find(job)) and view.settled)
    until(lambda: hub.library.thumbnails(job) == [0])


def test_only_the_newest_preview_is_held(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    for number in range(20):
        world.made[0].show(job, bytes([number]))
    until(lambda: (view := hub.find(job)) and view.preview and view.preview.jpeg == b"\x13")


@pytest.mark.parametrize("broken", ["no link", "https://far.example", "http://far.example/#vf1"])
def test_a_saved_link_that_is_not_valid_is_skipped_and_kept(
    world: World, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    saved = world.folder / "links.json"
    links = {"https://far.example": broken, "https://near.example": NEAR.link}
    saved.write_text(json.dumps({"chosen": "https://far.example", "links": links}))
    hub = world.start()
    assert [engine.key for engine in hub.engines()] == ["local", "https://near.example"]
    assert hub.chosen().local
    assert "https://far.example is skipped" in caplog.text
    hub.choose("https://near.example")
    assert json.loads(saved.read_bytes())["links"] == links


def test_pairing_chooses_and_saves_the_engine_for_its_owner_only(world: World) -> None:
    hub = world.start()
    hub.pair(REMOTE.link)
    assert hub.chosen().name == "far.example"
    saved = world.folder / "links.json"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    hub.close()
    again = world.start()
    assert again.chosen().key == REMOTE.url
    again.forget(REMOTE.url)
    assert again.chosen().local
    assert b"far.example" not in saved.read_bytes()


@pytest.mark.parametrize("text", ["", "hello", "https://far.example", "http://far.example/#vf1.AA"])
def test_a_bad_link_is_refused_before_anything_is_opened(world: World, text: str) -> None:
    hub = world.start()
    with pytest.raises(BadLinkError):
        hub.pair(text)
    assert len(world.made) == 1


def test_an_engine_that_refuses_us_is_neither_saved_nor_chosen(world: World) -> None:
    hub = world.start()
    world.refusals[REMOTE.url] = NotPairedError("the engine refused the key in this link")
    with pytest.raises(NotPairedError):
        hub.pair(REMOTE.link)
    assert hub.chosen().local
    assert len(hub.engines()) == 1


def test_the_engine_on_this_computer_rests_until_it_is_started(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    hub.stop_local()
    assert (engine := hub.chosen()).stopped
    assert not (engine.starting)
    assert not (engine.connected)
    assert (view := hub.find(job))
    assert view.engine_stopped
    assert "stopped" in calm(view)
    assert state(view)["headline"].startswith("Waiting")
    with pytest.raises(EngineUnreachableError):
        hub.submit(RECIPE)
    hub.close()
    hub, made = world.start(), len(world.made)
    assert hub.chosen().stopped
    assert len(world.made) == made
    assert (view := hub.find(job))
    assert view.engine_stopped
    hub.start_local()
    until(lambda: hub.chosen().connected)
    until(lambda: (now := hub.find(job)) and now.reachable and not now.engine_stopped)
    assert (view := hub.find(job))
    assert calm(view) == ""


def test_an_engine_that_others_started_keeps_running(world: World) -> None:
    hub = world.start()
    world.failure = EngineError("another program started it", remedy="end it there")
    with pytest.raises(EngineError, match="another program"):
        hub.stop_local()
    world.failure = None
    until(lambda: hub.chosen().connected)
    assert not hub.chosen().stopped


def test_a_film_of_a_far_engine_does_not_wait_for_the_one_on_this_computer(world: World) -> None:
    hub = world.start()
    near = hub.chosen().hello.engine  # type: ignore[union-attr]
    far = hub.pair(REMOTE.link).hello.engine  # type: ignore[union-attr]
    hub.stop_local()
    assert near != far
    assert hub.is_stopped(near)
    assert not hub.is_stopped(far)


def test_submitting_without_an_engine_is_an_error(world: World) -> None:
    world.failure = EngineUnreachableError("the engine on this computer did not start")
    hub = world.start()
    with pytest.raises(EngineUnreachableError):
        hub.submit(RECIPE)


def test_a_film_is_downloaded_although_its_engines_log_became_shorter(world: World) -> None:
    hub = world.start()
    engine, job = world.made[0], hub.submit(RECIPE)
    steps = [
        events.PieceAdvanced(stage="keyframe", index=0, done=step, total=40)
        for step in range(1, 41)
    ]
    engine.say(job, events.Started(attempt=1, device="cpu"), PLANNED, *steps)
    until(lambda: (view := hub.find(job)) and view.progress.seq >= 42)
    until(lambda: hub.event_log.last(job) >= 42)
    engine.drop()
    until(lambda: (view := hub.find(job)) and not view.reachable)
    short = [
        *(events.Queued(position=0), events.Started(attempt=1, device="cpu"), PLANNED),
        *(events.Interrupted(reason="engine"), events.Queued(position=0)),
        *(events.Started(attempt=2, device="cpu"), FINISHED),
    ]
    engine.logs[job] = [
        Logged(seq=seq, at=float(seq), event=event) for seq, event in enumerate(short, 1)
    ]
    engine.come_back()
    until(lambda: (film := hub.library.get(job)) and film.status == "finished")
    assert hub.event_log.last(job) == len(short)


def test_a_film_that_is_submitted_again_after_a_time_limit_is_one_film(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = world.start()
    monkeypatch.setattr(hub_module, "ANSWER_TIMEOUT_SECONDS", 0.5)
    engine, release = world.made[0], threading.Event()

    async def slow() -> None:
        await asyncio.to_thread(release.wait, 20)

    engine.meanwhile = slow
    with pytest.raises(EngineUnreachableError, match="did not answer in time"):
        hub.submit(RECIPE, "job1")
    with pytest.raises(EngineUnreachableError, match="did not answer in time"):
        hub.submit(RECIPE, "job1")
    release.set()
    until(lambda: (film := hub.library.get("job1")) and film.status == "running")
    assert hub.submit(RECIPE, "job1") == "job1"
    assert engine.submitted == ["job1"]
    assert [film.job for film in hub.library.unfinished()] == ["job1"]


def test_work_that_continues_after_a_time_limit_is_not_collected(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asyncio holds tasks weakly, so that one which nobody waits for could vanish."""
    hub = world.start()
    monkeypatch.setattr(hub_module, "ANSWER_TIMEOUT_SECONDS", 0.2)
    ended, waiting = threading.Event(), []

    async def alone() -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        await future
        ended.set()

    with pytest.raises(EngineUnreachableError):
        hub._call(alone())
    gc.collect()
    future = waiting[0]()
    assert future is not None, "the task was collected"
    hub._loop.call_soon_threadsafe(future.set_result, None)
    assert ended.wait(20)


def test_an_upload_has_no_part_in_the_time_limit_and_reports_its_progress(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = world.start()
    monkeypatch.setattr(hub_module, "ANSWER_TIMEOUT_SECONDS", 0.5)
    engine, name = world.made[0], hub.start_images.keep(png(64))
    size, reported = hub.start_images.path(name).stat().st_size, []
    release = threading.Event()

    async def slow() -> None:
        await asyncio.to_thread(release.wait, 20)

    def report(sent: int, whole: int) -> None:
        reported.append((sent, whole))
        if len(reported) == 10:  # which takes longer than the limit
            release.set()

    engine.uploading = slow
    recipe = Recipe(scenes=(Scene(prompt="dawn", start_image=name),))
    job = hub.submit(recipe, on_upload=report)
    assert job in engine.recipes
    assert (0, size) in reported


@pytest.mark.parametrize("end", ["cancelled", "put aside"])
def test_a_job_that_ended_takes_no_film_any_more(world: World, end: str) -> None:
    hub = world.start()
    assert hub.library.may_submit("job1")
    hub.submit(RECIPE, "job1")
    assert hub.library.may_submit("job1")
    hub.library.end("job1", "cancelled")
    if end == "put aside":
        hub.library.discard("job1")
    assert not hub.library.may_submit("job1")
