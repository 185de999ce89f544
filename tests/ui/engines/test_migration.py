"""What a distant engine has finished is kept here, and goes on with the film on another engine."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import daemon
from engine.errors import (
    ConnectionLostError,
    EngineUnreachableError,
    ErrorReport,
    InvalidParameterError,
    VisionFluxError,
)
from engine.film import events, stages
from engine.film.plan import most_keyframes
from engine.film.recipe import Recipe, Scene
from engine.models import catalogue
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe, connected
from tests.pieces import finished as finished_pieces
from tests.pieces import kind_of
from tests.stand_ins.connection import FINISHED, StandIn, World, png, until
from tests.ui.storage.test_start_images import a_file, halves
from ui.engines import migration
from ui.engines.hub import Hub
from ui.storage.job_views import JobView
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

RECIPE = Recipe(scenes=(Scene(prompt="dawn over the sea"),))
FAR = Pairing("https://far.example", b"r" * 32)
OTHER = Pairing("https://other.example", b"o" * 32)
PLANNED = events.Planned(
    keyframes=("k0", "k1", "k2"),
    segments=("s0", "s1"),
    segment_frames=(8, 8),
    frames=17,
    model="landscapes@1",
    interpolator="rife@1",
)
KEYFRAME = png()
SEGMENT = b"a segment" * 100


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(migration, "RETRY_DELAYS_SECONDS", (0.01, 0.01))
    with World(tmp_path) as world:
        yield world


def painted(index: int) -> events.PieceFinished:
    return events.PieceFinished(stage="keyframe", index=index, object=f"k{index}", **told(KEYFRAME))


def drawn(index: int) -> events.PieceFinished:
    about = told(SEGMENT)
    return events.PieceFinished(
        stage="segment", index=index, object=f"s{index}", detail="crossfade", **about
    )


def told(content: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"sha256": sha256, "size": len(content), "reused": False, "origin": "Far GPU"}


def begin(world: World, *happened: events.Event, megabytes: int = 50) -> tuple[Hub, str, StandIn]:
    """Begin a film on a distant engine, within a budget of megabytes."""
    hub = world.start()
    hub.preferences.mirror = megabytes
    hub.pair(FAR.link)
    far = world.made[-1]
    far.objects = {f"k{index}": KEYFRAME for index in range(3)} | {"s0": SEGMENT, "s1": SEGMENT}
    job = hub.submit(RECIPE)
    far.say(job, events.Started(attempt=1, device="Far GPU"), PLANNED, *happened)
    return hub, job, far


def replace(world: World, hub: Hub, job: str, far: StandIn) -> StandIn:
    """Lose the distant engine for good and pair another one."""
    far.drop()
    until(lambda: not view_of(hub, job).reachable)
    hub.pair(OTHER.link)
    return world.made[-1]


def view_of(hub: Hub, job: str) -> JobView:
    view = hub.find(job)
    assert view is not None
    return view


def here(hub: Hub, job: str) -> set[str]:
    return set(hub.pieces.downloaded(job))


def test_finished_parts_of_a_distant_engine_are_kept_here(world: World) -> None:
    hub, job, _ = begin(world, painted(0), painted(1), drawn(0))
    until(lambda: here(hub, job) == {"k0", "k1", "s0"})
    kept = hub.pieces.downloaded(job)
    assert hub.pieces.path(kept["k0"]).read_bytes() == KEYFRAME
    assert (kept["s0"].origin, kept["s0"].detail) == ("Far GPU", "crossfade")
    until(lambda: view_of(hub, job).thumbnails == {0, 1})


def test_the_engine_on_this_computer_is_not_mirrored(world: World) -> None:
    hub = world.start()
    job = hub.submit(RECIPE)
    world.made[0].objects["k0"] = KEYFRAME
    world.made[0].say(job, PLANNED, painted(0))
    until(lambda: view_of(hub, job).thumbnails == {0})
    assert [piece.origin for piece in hub.pieces.of(job)] == ["Far GPU"]
    assert here(hub, job) == set()


def test_keyframes_have_priority_within_the_budget(world: World) -> None:
    big = [msgspec.structs.replace(painted(index), size=400_000) for index in range(3)]
    hub, job, far = begin(world, big[0], drawn(0), big[1], big[2], megabytes=1)
    until(lambda: here(hub, job) == {"k0", "k1"})
    until(lambda: len(hub.pieces.of(job)) == 4)
    assert far.fetched.count("s0") == far.fetched.count("k2") == 0


def test_a_restart_does_not_forget_what_previews_took(world: World) -> None:
    hub, job, far = begin(world)
    far.show(job, b"j" * 400_000)
    far.say(job, painted(0))
    until(lambda: hub.library.get(job).shown == 400_000)  # type: ignore[union-attr]
    hub.preferences.previews = 1
    hub.close()
    world.start()
    (back,) = (made for made in world.made[2:] if made.pairing == FAR)
    until(lambda: back.watches)
    assert back.watches[0][2] == 600_000


def test_a_budget_of_nothing_downloads_nothing(world: World) -> None:
    hub, job, far = begin(world, painted(0), drawn(0), megabytes=0)
    until(lambda: len(hub.pieces.of(job)) == 2)
    assert far.fetched == []


def test_what_could_not_be_fetched_is_fetched_when_the_engine_is_back(world: World) -> None:
    hub, job, far = begin(world)
    breaks: list[VisionFluxError] = [ConnectionLostError("it broke") for _ in range(50)]
    far.fetch_failures = breaks
    far.say(job, painted(0))
    until(lambda: len(breaks) < 50)
    assert here(hub, job) == set()
    far.fetch_failures = []
    far.come_back()
    until(lambda: here(hub, job) == {"k0"})


def test_pieces_finished_while_the_app_was_closed_are_downloaded(world: World) -> None:
    hub, job, far = begin(world)
    until(lambda: view_of(hub, job).progress.keyframes)
    hub.close()
    far.on_message = lambda _: None
    far._log(job, painted(0))
    again = world.start()
    until(lambda: here(again, job) == {"k0"})


def test_a_film_continues_elsewhere_with_the_pieces_that_are_here(world: World) -> None:
    hub, job, far = begin(world, painted(0), painted(1), drawn(0))
    until(lambda: here(hub, job) == {"k0", "k1", "s0"})
    before = hub.library.get(job)
    other = replace(world, hub, job, far)
    other.objects["k0"] = KEYFRAME
    hub.move(job)
    new = until(lambda: view_of(hub, job).successor)
    assert other.brought == {
        "k1": (KEYFRAME, "image/png", "Far GPU", ""),
        "s0": (SEGMENT, "video/mp4", "Far GPU", "crossfade"),
    }
    assert other.recipes == {new: RECIPE}
    after = hub.library.get(new)
    assert before is not None
    assert after is not None
    assert after.created_at == before.created_at
    assert hub.library.get(job) is None
    other.say(new, PLANNED, FINISHED)
    until(lambda: view_of(hub, new).settled)
    until(lambda: not list((world.folder / "mirror").glob("*/*")))


def test_messages_of_the_old_engine_are_ignored(world: World) -> None:
    hub, job, far = begin(world, painted(0))
    replace(world, hub, job, far)
    hub.move(job)
    new = until(lambda: view_of(hub, job).successor)
    far.come_back()
    far.say(job, FINISHED)
    assert far.loop
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), far.loop).result()
    assert FINISHED in [logged.event for logged in far.logs[job]]
    assert view_of(hub, job).progress.status == "running"
    assert [film.job for film in hub.library.unfinished()] == [new]


def refuse_model(other: StandIn) -> None:
    assert other.hello
    other.hello = msgspec.structs.replace(other.hello, models=())


def refuse_upload(other: StandIn) -> None:
    other.upload_failures = [InvalidParameterError("media_type", "the content is no PNG")]


def break_upload(other: StandIn) -> None:
    other.upload_failures = [ConnectionLostError("it broke") for _ in range(3)]


def refuse_recipe(other: StandIn) -> None:
    other.refusal = InvalidParameterError("width", "it is too wide", "narrow it")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (refuse_model, "E_UNKNOWN_MODEL"),
        (refuse_upload, "E_INVALID_PARAMETER"),
        (break_upload, "E_CONNECTION_LOST"),
        (refuse_recipe, "E_INVALID_PARAMETER"),
    ],
)
def test_a_move_that_fails_leaves_everything_as_it_was(
    world: World, fault: Callable[[StandIn], None], code: str
) -> None:
    hub, job, far = begin(world, painted(0))
    until(lambda: here(hub, job) == {"k0"})
    other = replace(world, hub, job, far)
    fault(other)
    hub.move(job)
    error: ErrorReport = until(lambda: view_of(hub, job).move_error)
    assert error.code == code
    assert error.remedy
    film = hub.library.get(job)
    assert film is not None
    assert film.engine == far.hello.engine  # type: ignore[union-attr]
    assert here(hub, job) == {"k0"}
    assert not view_of(hub, job).move_status
    assert hub.rescue_engine(job)


def test_a_broken_upload_is_tried_again(world: World) -> None:
    hub, job, far = begin(world, painted(0))
    until(lambda: here(hub, job) == {"k0"})
    other = replace(world, hub, job, far)
    other.upload_failures = [ConnectionLostError("it broke")]
    hub.move(job)
    until(lambda: view_of(hub, job).successor)
    assert set(other.brought) == {"k0"}


def test_a_damaged_part_is_left_behind(world: World) -> None:
    hub, job, far = begin(world, painted(0), painted(1))
    until(lambda: here(hub, job) == {"k0", "k1"})
    hub.pieces.path(hub.pieces.downloaded(job)["k0"]).write_bytes(b"damaged")
    other = replace(world, hub, job, far)
    hub.move(job)
    until(lambda: view_of(hub, job).successor)
    assert set(other.brought) == {"k1"}


def test_a_film_whose_engine_is_there_has_no_need_of_another(world: World) -> None:
    hub, job, _ = begin(world, painted(0))
    hub.pair(OTHER.link)
    assert hub.rescue_engine(job) is None


def test_a_film_whose_engine_was_forgotten_can_be_continued(world: World) -> None:
    hub, job, _ = begin(world, painted(0))
    until(lambda: here(hub, job) == {"k0"})
    hub.forget(FAR.url)
    hub.pair(OTHER.link)
    assert hub.rescue_engine(job)
    hub.move(job)
    until(lambda: view_of(hub, job).successor)
    assert set(world.made[-1].brought) == {"k0"}


FAILED = events.Failed(error=ErrorReport("E_DEVICE_MEMORY", "out of memory", "choose less"))


def end(hub: Hub, job: str, engine: StandIn, status: str) -> None:
    """Have a film fail or be cancelled."""
    if status == "failed":
        engine.say(job, FAILED)
    else:
        hub.cancel(job)
    until(lambda: (film := hub.library.get(job)) and film.status == status)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_film_that_ended_is_started_again_elsewhere_with_what_it_has(
    world: World, status: str
) -> None:
    hub, job, far = begin(world, painted(0), drawn(0))
    until(lambda: here(hub, job) == {"k0", "s0"})
    end(hub, job, far, status)
    hub.pair(OTHER.link)
    hub.move(job)
    new = until(lambda: view_of(hub, job).successor)
    assert set(world.made[-1].brought) == {"k0", "s0"}
    film = hub.library.get(new)
    assert film is not None
    until(lambda: hub.library.get(new).status == "running")  # type: ignore[union-attr]
    assert (film.error, film.finished_at) == (None, 0.0)
    assert hub.library.get(job) is None
    assert [type(logged.event).__name__ for logged in hub.event_log.of_film(new)][-1] in (
        "Failed",
        "Cancelled",
    )


def test_a_failed_film_starts_again_on_the_same_engine(world: World) -> None:
    hub, job, far = begin(world, painted(0))
    until(lambda: here(hub, job) == {"k0"})
    end(hub, job, far, "failed")
    hub.move(job)
    new = until(lambda: view_of(hub, job).successor)
    assert set(far.recipes) == {job, new}
    assert far.brought == {}  # it has them all


def test_a_failed_film_that_is_refused_stays_what_it_was(world: World) -> None:
    hub, job, far = begin(world, painted(0))
    end(hub, job, far, "failed")
    far.refusal = InvalidParameterError("width", "it is too wide", "narrow it")
    hub.move(job)
    until(lambda: view_of(hub, job).move_error)
    film = hub.library.get(job)
    assert film is not None
    assert (film.status, film.error) == ("failed", FAILED.error)
    assert hub.event_log.orphans(film.engine) == []
    far.refusal = None
    hub.move(job)
    until(lambda: view_of(hub, job).successor)


def test_a_film_of_this_computer_takes_what_is_finished_along(world: World) -> None:
    hub = world.start()
    near = world.made[0]
    near.objects |= {"k0": KEYFRAME, "s0": SEGMENT}
    job = hub.submit(RECIPE)
    near.say(job, PLANNED, painted(0), drawn(0))
    end(hub, job, near, "failed")
    hub.pair(OTHER.link)
    hub.move(job)
    until(lambda: view_of(hub, job).successor)
    assert set(world.made[-1].brought) == {"k0", "s0"}


def test_received_events_survive_engine_and_app(world: World) -> None:
    hub, job, far = begin(world, painted(0), drawn(0))
    until(lambda: hub.event_log.last(job) == 4)
    hub.forget(FAR.url)
    hub.close()
    again = world.start()
    view = view_of(again, job)
    assert not view.reachable
    assert view.progress.keyframes == ["k0", "", ""]
    assert view.progress.device == "Far GPU"
    assert again.event_log.of(job) == far.logs[job]
    again.pair(OTHER.link)
    again.move(job)
    new = until(lambda: view_of(again, job).successor)
    world.made[-1].say(new, events.Started(attempt=1, device="Two cores"), PLANNED, FINISHED)
    until(lambda: view_of(again, new).settled)
    devices = [
        logged.event.device
        for logged in again.event_log.of_film(new)
        if isinstance(logged.event, events.Started)
    ]
    assert devices == ["Far GPU", "Two cores"]
    again.library.delete(new)
    assert again.event_log.of_film(new) == again.event_log.of(job) == []


def test_steps_are_forgotten_once_a_film_is_done(world: World) -> None:
    hub, job, far = begin(
        world, events.PieceAdvanced(stage="keyframe", index=0, done=1, total=20), painted(0)
    )
    until(lambda: len(hub.event_log.of(job)) == 4)
    far.say(job, FINISHED)
    until(lambda: view_of(hub, job).settled)
    until(lambda: len(hub.event_log.of(job)) == 4)
    assert "keyframe advanced" not in [kind_of(one.event) for one in hub.event_log.of(job)]
    assert hub.event_log.last(job) == 5


# The real path: two engines with the offline model


async def eventually(condition: Callable[[], Any], seconds: float = 200.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await asyncio.to_thread(condition)):
            await asyncio.sleep(0.05)
    return found


def no_local_engine(_folder: Path) -> Pairing:
    raise EngineUnreachableError("there is none here")


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Hub]:
    library = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
    hub = Hub(library, tmp_path, start_local=no_local_engine)
    hub.start()
    yield hub
    hub.close()


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.slow
@pytest.mark.anyio
async def test_a_film_outlives_its_engine(tmp_path: Path, studio: Hub) -> None:
    """With all that is finished, and with the picture that its second scene begins from."""
    recipe = a_recipe("dawn over the sea", "a city at night", interpolation_factor=3)
    dawn, night = recipe.scenes
    night = msgspec.structs.replace(night, start_image=studio.start_images.keep(a_file(halves())))
    recipe = msgspec.structs.replace(recipe, scenes=(dawn, night))
    async with daemon.running(daemon.Options(data=tmp_path / "one", models=catalogue())) as one:
        await asyncio.to_thread(studio.pair, one.link)
        job = await asyncio.to_thread(studio.submit, recipe)
        await eventually(lambda: len(here(studio, job)) >= 5)
    await eventually(lambda: not view_of(studio, job).reachable)
    kept = studio.pieces.downloaded(job)
    keyframes = {name for name, piece in kept.items() if piece.stage is stages.KEYFRAME}
    assert 0 < len(keyframes) < most_keyframes(recipe)
    async with daemon.running(daemon.Options(data=tmp_path / "two", models=catalogue())) as two:
        await asyncio.to_thread(studio.pair, two.link)
        studio.move(job)
        new = await eventually(lambda: view_of(studio, job).successor)
        await eventually(lambda: view_of(studio, new).settled)
        async with connected(two) as client:
            await client.connection.watch(new, previews=False)
            assert await client.ended(new) == "Finished"
            assert await client.connection.find_missing(recipe.start_images) == ()
    made = [message.event for message in client.events(new)]
    finished = finished_pieces(made, "keyframe")
    assert {event.object for event in finished if event.reused} == keyframes
    started = client.types(new).count("keyframe started")
    assert started == len(finished) - len(keyframes)
    film = studio.library.get(new)
    assert film is not None
    assert studio.library.file(film).stat().st_size == film.size
    assert not studio.library.unfinished()
