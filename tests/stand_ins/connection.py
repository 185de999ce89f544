"""An engine's connection made by hand, for tests of the app; it never opens a socket.

Unrealistic: everything arrives at once and in order, and jobs do only what a test says.
"""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from engine.errors import ConnectionLostError, UnknownJobError, VisionFluxError
from engine.film import events
from engine.film.events import Event, Logged
from engine.film.progress import Progress, fold
from engine.film.recipe import Recipe
from engine.models import Card, Defaults
from engine.wire.client import LinkState, LogRestarted
from engine.wire.messages.responses import (
    Accepted,
    DeviceInfo,
    Hello,
    JobEvent,
    ModelInfo,
    Preview,
    Snapshot,
)
from engine.wire.pairing import Pairing
from engine.wire.transport import ByteCounter
from ui.engines.hub import Hub
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

KEY = b"k" * 32
LOCAL_PAIRING = Pairing("http://127.0.0.1:1", KEY)
FILM = b"the film" * 100
CARD = Card(
    title="Landscapes",
    description="A small *model*.",
    knows={"time of day": ["dawn", "night"]},
    examples=["dawn over the sea"],
    defaults=Defaults(width=256, height=256, num_inference_steps=20, guidance_scale=4.0),
)
FINISHED = events.Finished(
    object="a" * 64,
    sha256="b" * 64,
    size=len(FILM),
    media_type="video/mp4",
    frames=96,
    seconds=4.0,
    width=256,
    height=256,
)
PLANNED = events.Planned(
    keyframes=("k0", "k1"),
    segments=("s0",),
    segment_frames=(8,),
    frames=9,
    model="landscapes@1",
    interpolator="rife@1",
)


class StandIn:
    """Behaves as ``engine.wire.client.Connection`` does."""

    def __init__(
        self,
        pairing: Pairing,
        *,
        on_message: Callable[[Any], None],
        on_state: Callable[[LinkState], None],
    ) -> None:
        self.pairing = pairing
        self.on_message, self.on_state = on_message, on_state
        self.hello: Hello | None = None
        self.logs: dict[str, list[Logged]] = {}
        self.recipes: dict[str, Recipe] = {}
        self.traffic = ByteCounter()
        self.cancelled: list[str] = []
        self.submitted: list[str] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # while a job is handed in
        self.uploading: Callable[[], Awaitable[None]] | None = None  # before an upload ends
        self.watches: list[tuple[int | None, bool, int | None]] = []
        self.shown: list[bool] = []
        self.ready: list[Event] = []  # what a job finds done when it is submitted
        self.objects: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.brought: dict[str, tuple[bytes, str, str, str]] = {}
        self.upload_failures: list[VisionFluxError] = []
        self.refusal: VisionFluxError | None = None
        self.fetch_failures: list[VisionFluxError] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.lost = False  # a lost connection tells nothing and answers nothing
        self._closed = asyncio.Event()

    async def run(self) -> None:
        self.loop = asyncio.get_running_loop()
        if self.refusal:
            self.on_state(LinkState(name="refused", error=self.refusal.report()))
            return
        self.connect()
        await self._closed.wait()

    def connect(self) -> None:
        self.lost = False
        self.hello = Hello(
            version="0.1.0",
            engine=f"engine at {self.pairing.url}",
            device=DeviceInfo(name="Two cores", kind="cpu", total_memory=8_000_000_000),
            models=(ModelInfo(name="landscapes", card=CARD),),
            queue=0,
        )
        self.on_state(LinkState(name="connected"))

    async def close(self) -> None:
        self._closed.set()

    async def describe(self) -> Hello:
        assert self.hello
        return self.hello

    async def submit(self, job: str, recipe: Recipe) -> Accepted:
        if self.refusal:
            raise self.refusal
        self.submitted.append(job)
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            await meanwhile()
        duplicate = job in self.recipes
        self.recipes[job] = recipe
        self.logs.setdefault(
            job,
            [Logged(seq=i, at=float(i), event=event) for i, event in enumerate(self.ready, 1)],
        )
        return Accepted(re=1, job=job, duplicate=duplicate)

    async def watch(
        self,
        job: str,
        *,
        after: int | None = 0,
        epoch: str = "",
        previews: bool = True,
        budget: int | None = None,
    ) -> Snapshot:
        self.watches.append((after, previews, budget))
        if self.lost:
            raise ConnectionLostError("the engine is not connected at the moment")
        if job not in self.recipes:
            raise UnknownJobError(job)
        log = self.logs[job]
        if after and after > len(log):
            after = 0
            self.on_message(LogRestarted(job=job, seq=len(log)))
        for logged in log[len(log) if after is None else after :]:
            asyncio.get_running_loop().call_soon(self._send, job, logged)
        snapshot = Snapshot(
            re=1,
            job=job,
            recipe=self.recipes[job],
            created_at=1.0,
            progress=fold(self.logs[job]),
            fraction=0.0,
            remaining=None,
        )
        self.on_message(snapshot)
        return snapshot

    async def show_previews(self, job: str, wanted: bool) -> None:
        self.shown.append(wanted)

    async def unwatch(self, job: str) -> None:
        pass

    async def pause(self, job: str) -> None:
        self._log(job, events.Paused())

    async def resume(self, job: str) -> None:
        self._log(job, events.Queued(position=0))

    async def cancel(self, job: str) -> None:
        self.cancelled.append(job)
        self._log(job, events.Cancelled())

    async def fetch(
        self, name: str, target: Path, on_bytes: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        if self.fetch_failures:
            raise self.fetch_failures.pop()
        self.fetched.append(name)
        await asyncio.to_thread(target.write_bytes, self.objects.get(name, FILM))
        on_bytes(len(FILM), len(FILM))

    async def find_missing(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in self.objects)

    async def upload(
        self,
        name: str,
        file: Path,
        media_type: str,
        *,
        origin: str = "",
        detail: str = "",
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        if self.upload_failures:
            raise self.upload_failures.pop()
        content = await asyncio.to_thread(file.read_bytes)
        if self.uploading:
            await self.uploading()
        on_bytes(len(content))
        self.brought[name] = (content, media_type, origin, detail)

    # What a test lets happen

    def say(self, job: str, *happened: Event) -> None:
        """Let events happen, in the hub's loop."""
        assert self.loop
        for event in happened:
            self.loop.call_soon_threadsafe(self._log, job, event)

    def show(self, job: str, jpeg: bytes, kind: Any = "step", index: int = 0) -> None:
        """Send a preview."""
        preview = Preview(job=job, kind=kind, index=index, step=1, steps=20, jpeg=jpeg)
        assert self.loop
        self.loop.call_soon_threadsafe(self.on_message, preview)

    def drop(self) -> None:
        """Lose the connection."""
        assert self.loop
        error = VisionFluxError("the connection to the engine broke").report()
        self.loop.call_soon_threadsafe(
            self._lose, LinkState(name="waiting", error=error, retry_in=1.0)
        )

    def _lose(self, state: LinkState) -> None:
        self.lost = True
        self.on_state(state)

    def come_back(self) -> None:
        """Have the connection again."""
        assert self.loop
        self.loop.call_soon_threadsafe(self.connect)

    def _log(self, job: str, event: Event) -> None:
        log = self.logs[job]
        log.append(Logged(seq=len(log) + 1, at=time.time(), event=event))
        self._send(job, log[-1])

    def _send(self, job: str, logged: Logged) -> None:
        if not self.lost:
            self.on_message(JobEvent(job=job, seq=logged.seq, at=logged.at, event=logged.event))


class World:
    """A hub with hand-made connections; ``start`` again is a restart of the app."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[StandIn] = []
        self.refusals: dict[str, Any] = {}
        self.hubs: list[Hub] = []
        self.failure: VisionFluxError | None = None

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        for hub in self.hubs:
            hub.close()

    def start(self) -> Hub:
        library = Library(sqlite_engine(self.folder / "library.db"), self.folder / "films")
        connect: Any = self._connect
        hub = Hub(
            library,
            self.folder,
            start_local=self._start_local,
            end_local=self._end_local,
            connect=connect,
        )
        self.hubs.append(hub)
        hub.start()
        until(lambda: (one := hub.chosen()).connected or one.state.error or one.stopped)
        return hub

    def _start_local(self, _folder: Path) -> Pairing:
        if self.failure:
            raise self.failure
        return LOCAL_PAIRING

    def _end_local(self, _folder: Path) -> None:
        if self.failure:
            raise self.failure

    def _connect(self, pairing: Pairing, **callbacks: Callable[[Any], None]) -> StandIn:
        connection = StandIn(pairing, **callbacks)
        connection.refusal = self.refusals.get(pairing.url)
        for before in self.made:
            if before.pairing == pairing:
                connection.logs, connection.recipes = before.logs, before.recipes
        self.made.append(connection)
        return connection


def progress(*happened: Event) -> Progress:
    """Return the state after some events."""
    return fold(Logged(seq=i, at=float(i), event=event) for i, event in enumerate(happened, 1))


def png(side: int = 8) -> bytes:
    """Return a small square picture."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "orange").save(file, "PNG")
    return file.getvalue()


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for a condition; return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")
