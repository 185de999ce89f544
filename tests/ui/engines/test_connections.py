"""What a lost way to an engine costs: nothing. Real engines and sockets, proxies in between."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine.daemon import JOURNAL
from engine.errors import EngineUnreachableError
from engine.film.events import Logged
from engine.film.stages import KEYFRAME
from engine.wire.client import Connection
from engine.wire.messages.responses import Snapshot
from engine.wire.pairing import Pairing
from tests.conftest import PATIENCE, a_recipe, an_engine, connected
from tests.stand_ins.proxy import through
from tests.torture.rig import free_port
from ui.engines.hub import Hub
from ui.storage.event_log import TRANSIENT_KINDS
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

pytestmark = pytest.mark.anyio
SLOW_FILM = a_recipe(num_inference_steps=150)


class Watchful(Connection):
    """A real connection that remembers from which events on it was asked to follow jobs."""

    asked: ClassVar[list[int | None]] = []

    async def watch(self, job: str, *, after: int | None = 0, **options: Any) -> Snapshot:
        self.asked.append(after)
        return await super().watch(job, after=after, **options)


def no_local_engine(_folder: Path) -> Pairing:
    raise EngineUnreachableError("there is none here")


@contextmanager
def a_studio(folder: Path) -> Iterator[Hub]:
    """Run the app's hub; a second one on the same folder is a restart of the app."""
    Watchful.asked.clear()
    library = Library(sqlite_engine(folder / "library.db"), folder / "films")
    hub = Hub(library, folder, start_local=no_local_engine, connect=Watchful)
    hub.start()
    try:
        yield hub
    finally:
        hub.close()


async def eventually(condition: Callable[[], Any], patience: float = 2 * PATIENCE) -> Any:
    async with asyncio.timeout(patience):
        while not (found := await asyncio.to_thread(condition)):
            await asyncio.sleep(0.02)
    return found


def seen(hub: Hub, job: str) -> Any:
    view = hub.find(job)
    assert view is not None
    return view


def steps_of(hub: Hub, job: str) -> int:
    """Return the steps done of what is being painted."""
    return sum(piece.done for piece in seen(hub, job).progress.of(KEYFRAME).open.values())


async def followed(hub: Hub, job: str, steps: int) -> None:
    """Wait until the events of a job's first steps were heard, not only its snapshot."""
    await eventually(lambda: steps_of(hub, job) > steps)
    told = steps_of(hub, job)
    await eventually(lambda: steps_of(hub, job) > told)


@pytest.mark.slow
async def test_a_new_address_of_the_same_engine_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.01")
    async with (
        an_engine(tmp_path / "engine") as engine,
        through(engine) as (old, first),
        through(engine) as (_, second),
    ):
        with a_studio(tmp_path) as hub:
            await asyncio.to_thread(hub.pair, first.link)
            job = await asyncio.to_thread(hub.submit, SLOW_FILM)
            await followed(hub, job, 20)
            old.fall_silent()
            asked = len(Watchful.asked)
            await asyncio.to_thread(hub.pair, second.link)
            assert [view.key for view in hub.engines()] == ["local", second.url]
            assert hub.chosen().key == second.url
            await eventually(lambda: seen(hub, job).settled)
            assert set(Watchful.asked[:asked]) == {0}
            assert all(after > 20 for after in Watchful.asked[asked:])  # type: ignore[operator]
            assert len(Watchful.asked) > asked
            await eventually(lambda: not any(map(is_transient, hub.event_log.of(job))))
            kept = hub.event_log.of(job)
        async with connected(engine) as client:
            await client.connection.watch(job)
            await client.ended(job)
            told = [(one.seq, one.at, one.event) for one in client.events(job)]
    assert [(one.seq, one.at, one.event) for one in kept] == [
        one for one in told if one[2].__struct_config__.tag not in TRANSIENT_KINDS
    ]


def is_transient(logged: Logged) -> bool:
    """Return whether an event is dropped soon after its job has settled."""
    return logged.event.__struct_config__.tag in TRANSIENT_KINDS


async def test_the_local_engines_own_link_is_no_second_engine(tmp_path: Path) -> None:
    async with an_engine(tmp_path / "engine") as engine, through(engine) as (_, link):
        library = Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")
        hub = Hub(library, tmp_path, start_local=lambda _: engine)
        hub.start()
        try:
            await eventually(lambda: hub.chosen().connected)
            await asyncio.to_thread(hub.pair, link.link)
            assert [view.key for view in hub.engines()] == ["local"]
        finally:
            await asyncio.to_thread(hub.close)


async def test_a_film_that_was_half_fetched_is_fetched_on_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXT_LINES", "60000")
    async with (
        an_engine(tmp_path / "engine") as engine,
        through(engine) as (old, first),
        through(engine) as (new, second),
    ):
        old.silent_after = 2_000_000
        with a_studio(tmp_path) as hub:
            hub.preferences.mirror = 0  # so that the film alone is long
            await asyncio.to_thread(hub.pair, first.link)
            job = await asyncio.to_thread(hub.submit, a_recipe())
            await eventually(lambda: seen(hub, job).downloaded[0] > 1_000_000)
            await asyncio.to_thread(hub.close)
            film = hub.library.get(job)
            assert film is not None
            part = hub.library.file(film).with_name("film.mp4.part")
            have = part.stat().st_size
            assert have > 1_000_000
        with a_studio(tmp_path) as again:
            assert seen(again, job).progress.film  # known without a word from the engine
            await asyncio.to_thread(again.pair, second.link)
            await eventually(lambda: seen(again, job).saved)
            assert set(Watchful.asked) == {again.event_log.last(job)}
            film = again.library.get(job)
            assert film is not None
            content = again.library.file(film).read_bytes()
    assert hashlib.sha256(content).hexdigest() == film.sha256
    assert new.carried < len(content) - have + 200_000


@pytest.mark.slow
async def test_an_engine_that_returns_cancels_jobs_that_have_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.02")
    async with (
        an_engine(tmp_path / "one") as one,
        through(one) as (way, link),
        an_engine(tmp_path / "two") as two,
        connected(one) as other,
    ):
        with a_studio(tmp_path) as hub:
            await asyncio.to_thread(hub.pair, link.link)
            job = await asyncio.to_thread(hub.submit, SLOW_FILM)
            await other.connection.submit("job-of-another", a_recipe("night"))
            await other.connection.watch("job-of-another")
            await other.connection.watch(job)
            await eventually(lambda: steps_of(hub, job) > 5)
            way.fall_silent()
            way.cut()
            await asyncio.to_thread(hub.pair, two.link)
            await asyncio.to_thread(hub.move, job)
            new = await eventually(lambda: seen(hub, job).successor)
            assert hub.event_log.orphans(seen(hub, job).engine) == [job]
            way.resume()
            way.cut()
            assert await other.ended(job) == "Cancelled"
            assert await other.ended("job-of-another") == "Finished"
            await eventually(lambda: not hub.event_log.orphans(seen(hub, job).engine))
            await asyncio.to_thread(hub.cancel, new)
            await eventually(lambda: seen(hub, new).settled)


async def test_a_log_of_another_epoch_is_copied_again_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events have the numbers of those that the app has copied, and there are no fewer."""
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    port = free_port()
    async with an_engine(tmp_path / "engine", port=port) as engine:
        with a_studio(tmp_path) as hub:
            await asyncio.to_thread(hub.pair, engine.link)
            job = await asyncio.to_thread(hub.submit, a_recipe(num_inference_steps=40))
            await followed(hub, job, 1)
            await asyncio.to_thread(hub.close)
            copied, epoch = hub.event_log.of(job), hub.event_log.epoch(job)
    with closing(sqlite3.connect(tmp_path / "engine" / JOURNAL)) as db, db:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('opened', 'before the power cut')")
        db.execute("UPDATE event SET at = at + 1")
    monkeypatch.setenv("STEP_SECONDS", "0")
    async with an_engine(tmp_path / "engine", port=port) as engine:
        with a_studio(tmp_path) as again:
            await eventually(lambda: seen(again, job).settled)
            await asyncio.to_thread(again.close)
            assert Watchful.asked == [copied[-1].seq]
            assert {epoch, again.event_log.epoch(job)}.isdisjoint({""})
            assert again.event_log.epoch(job) != epoch
        async with connected(engine) as client:
            await client.connection.watch(job)
            await client.ended(job)
            sent = [Logged(seq=one.seq, at=one.at, event=one.event) for one in client.events(job)]
    kept = [one for one in sent if one.event.__struct_config__.tag not in TRANSIENT_KINDS]
    assert again.event_log.of(job) == kept
