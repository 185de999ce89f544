"""Keeps the paired engines connected: those of saved links, and the one on this computer.

It knows addresses and connections; ``ui.engines.job_follower`` follows the jobs. Coroutines run in
the hub's loop; the other methods may be called from any thread.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from engine.errors import EngineUnreachableError, VisionFluxError
from engine.wire.client import Connection, LinkState, Message
from engine.wire.messages.responses import Hello
from engine.wire.pairing import Pairing
from ui.engines.job_follower import Follower
from ui.storage.pairings import LOCAL, Pairings
from ui.storage.traffic_meter import TrafficMeter

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECTING = LinkState(name="connecting")
REFRESH_SECONDS = 4.0  # between two requests for an engine's device and queue
REMOTE_REFRESH_SECONDS = 30.0  # the same for remote engines, whose traffic may be limited
VIEWED_SECONDS = 10.0  # after which an engine that no page has shown is not refreshed
PAIRING_TIMEOUT_SECONDS = 15.0  # in which a new engine must answer
LOST_AFTER_SECONDS = 4.0  # without the local engine, after which it is started again
MAX_START_DELAY_SECONDS = 60.0  # between two attempts to start it


@dataclass
class EngineLink:
    """One engine and the connection to it.

    Attributes:
        engine: id of the engine; empty until it was reached once.
        joined: whether its jobs are followed; False until no other link leads to the same engine.
        counted: bytes received and sent that the traffic meter has already counted.
        viewed_at: monotonic time at which a page last showed the engine.
        described_at: monotonic time at which its hello was last refreshed.
        latency: seconds between the last request for a hello and the answer.
        task: keeps the engine on this computer running; None for others.
        changed: set when the state changes.
    """

    key: str
    engine: str = ""
    joined: bool = True
    counted: tuple[int, int] = (0, 0)
    viewed_at: float = 0.0
    described_at: float = 0.0
    connection: Connection | None = None
    follower: Follower | None = None
    state: LinkState = CONNECTING
    latency: float | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class EngineView:
    """What a page can show of an engine.

    Attributes:
        hello: how the engine described itself; None before the first connection.
        latency: seconds that it took to answer; None while it is not connected.
        chosen: whether new films are submitted to it.
        starting: whether it is being started; only for the engine on this computer.
        stopped: whether the user has stopped it; likewise.
        stoppable: whether the user may stop it; likewise.
    """

    key: str
    state: LinkState
    hello: Hello | None
    latency: float | None
    chosen: bool
    starting: bool
    stopped: bool
    stoppable: bool

    @property
    def local(self) -> bool:
        """Whether it is the engine on this computer."""
        return self.key == LOCAL

    @property
    def connected(self) -> bool:
        """Whether it can make films now."""
        return self.state.name == "connected" and self.hello is not None

    @property
    def name(self) -> str:
        """Name to show to users."""
        return display_name(self.key)


def display_name(key: str) -> str:
    """Return the name of an engine for users, by its link's key."""
    return "This computer" if key == LOCAL else urlsplit(key).netloc


@dataclass(frozen=True)
class Forgotten:
    """A paired engine that was removed, and whether new films were submitted to it."""

    pairing: Pairing
    chosen: bool


async def refresh_hello(link: EngineLink, connection: Connection, meter: TrafficMeter) -> None:
    """Refresh an engine's hello while pages show it, and count its traffic; never return."""
    while True:
        with suppress(VisionFluxError):
            if link.state.name == "connected" and _is_stale(link, connection):
                asked = time.monotonic()
                await connection.describe()
                link.described_at = time.monotonic()
                link.latency = link.described_at - asked
        await count_traffic(link, connection, meter)
        await asyncio.sleep(REFRESH_SECONDS)


async def count_traffic(link: EngineLink, connection: Connection, meter: TrafficMeter) -> None:
    """Count a remote engine's traffic since the last call."""
    if link.key == LOCAL or not link.engine:
        return
    before, now = link.counted, (connection.traffic.received, connection.traffic.sent)
    if now != before:
        link.counted = now
        await asyncio.to_thread(meter.add, link.engine, now[0] - before[0], now[1] - before[1])


def _is_stale(link: EngineLink, connection: Connection) -> bool:
    """Return whether a page shows an engine whose hello is out of date."""
    now, hello = time.monotonic(), connection.hello
    warming_up = hello is not None and hello.device.name == "starting"
    age = REFRESH_SECONDS if link.key == LOCAL or warming_up else REMOTE_REFRESH_SECONDS
    return now - link.viewed_at < VIEWED_SECONDS and now - link.described_at >= age


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Call ``work`` in a thread; unlike ``asyncio.to_thread``, an exit does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return  # the caller was cancelled
        if error:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="daemon-work", daemon=True).start()
    return await future


class Engines:
    """The links to all paired engines."""

    def __init__(
        self,
        folder: Path,
        meter: TrafficMeter,
        *,
        start_local: Callable[[Path], Pairing],
        end_local: Callable[[Path], None] | None,
        connect: Callable[..., Connection],
        follow: Callable[[Connection, bool], Follower],
    ) -> None:
        """Prepare the links; ``open`` connects them.

        Args:
            folder: the data folder, shared with the local engine.
            meter: counts the bytes of remote engines.
            start_local: finds or starts the engine on this computer; may block.
            end_local: ends it; may block. None if users may not stop that engine.
            connect: creates a connection.
            follow: creates the follower of a connection's jobs; its second argument is whether
                the engine is the one on this computer.
        """
        self._folder = folder
        self._meter = meter
        self._start_local = start_local
        self._end_local = end_local
        self._connect = connect
        self._follow = follow
        self._saved = Pairings(folder / "links.json")
        self._links: dict[str, EngineLink] = {}

    # From any thread

    def links(self) -> list[EngineLink]:
        """Return all links, starting with the one to the engine on this computer."""
        return list(self._links.copy().values())

    @property
    def local(self) -> EngineLink:
        """The link to the engine on this computer."""
        return self._links[LOCAL]

    @property
    def chosen(self) -> EngineLink:
        """The link to the engine that new films are submitted to."""
        return self._links.get(self._saved.chosen) or self.local

    @property
    def local_stopped(self) -> bool:
        """Whether the user has stopped the engine on this computer."""
        return self._end_local is not None and self._saved.local_stopped

    def is_stopped(self, engine: str) -> bool:
        """Return whether an engine is the one on this computer and the user has stopped it."""
        far = {link.engine for link in self.links() if link.key != LOCAL}
        return self.local_stopped and engine not in far

    def follower(self, engine: str) -> Follower | None:
        """Return the follower of an engine's jobs; None if it was not reached since the start."""
        followers = [link.follower for link in self.links()]
        return next((found for found in followers if found and found.engine == engine), None)

    def name_of(self, engine: str) -> str:
        """Return the name of an engine for users, by its id; "" if it is not paired."""
        keys = (link.key for link in self.links() if link.engine == engine)
        return next((display_name(key) for key in keys), "")

    def view(self, link: EngineLink) -> EngineView:
        """Return what a page can show of an engine, and record that a page shows it."""
        connection, link.viewed_at = link.connection, time.monotonic()
        local, stopped = link.key == LOCAL, link.key == LOCAL and self.local_stopped
        return EngineView(
            key=link.key,
            state=link.state,
            hello=connection.hello if connection else None,
            latency=link.latency if link.state.name == "connected" else None,
            chosen=link is self.chosen,
            starting=local and not (connection or link.state.error or stopped),
            stopped=stopped,
            stoppable=local and self._end_local is not None,
        )

    def choose(self, key: str) -> None:
        """Submit new films to another paired engine from now on."""
        self._saved.choose(key)

    # In the hub's loop

    async def open(self) -> None:
        """Connect all engines, in the background."""
        local = self._links[LOCAL] = EngineLink(LOCAL)
        if not self.local_stopped:
            local.task = asyncio.create_task(self._keep_local(local))
        for key, pairing in self._saved.pairings().items():
            self._links[key] = self._open(EngineLink(key, self._saved.engine(key)), pairing)

    async def close(self) -> None:
        """Close all connections; the engines continue their jobs."""
        for link in self._links.values():
            await self._close_link(link)

    async def stop_local(self) -> None:
        """Stop the engine on this computer until ``start_local`` is called; its films wait.

        Raises:
            EngineError: another program started the engine; it keeps running.
        """
        link, end = self.local, self._end_local
        if end is None or self.local_stopped:
            return
        self._saved.stop_local(True)
        await self._close_link(link)
        try:
            await in_daemon_thread(lambda: end(self._folder))
        except VisionFluxError:
            await self.start_local()
            raise

    async def start_local(self) -> None:
        """Start the engine on this computer again."""
        if self.local_stopped:
            self._saved.stop_local(False)
            self.local.task = asyncio.create_task(self._keep_local(self.local))

    async def forget(self, key: str) -> Forgotten | None:
        """Remove a paired engine, which continues its jobs; return what ``restore`` needs."""
        pairing, chosen = self._saved.pairings().get(key), self._saved.chosen == key
        self._saved.forget(key)
        if link := self._links.pop(key, None):
            await self._close_link(link)
        return Forgotten(pairing, chosen) if pairing else None

    async def restore(self, forgotten: Forgotten) -> None:
        """Pair with a forgotten engine again, which need not answer now."""
        pairing = forgotten.pairing
        if pairing.url in self._links:
            return
        self._saved.save(pairing)
        self._links[pairing.url] = self._open(EngineLink(pairing.url), pairing)
        if forgotten.chosen:
            self._saved.choose(pairing.url)

    async def pair(self, pairing: Pairing) -> EngineView:
        """Connect a new engine and choose it.

        If the engine is paired under another address, the new address replaces it, and its jobs
        are followed there.

        Raises:
            VisionFluxError: the engine could not be reached.
        """
        link = self._open(EngineLink(pairing.url, joined=False), pairing)
        try:
            await self._wait_until_connected(link)
        except VisionFluxError:
            await self._close_link(link)
            raise
        if link.engine == self.local.engine:
            await self._close_link(link)
            self._saved.choose(LOCAL)
            return self.view(self.local)
        for known in self.links():
            if link.key == known.key or link.engine == known.engine:
                await self.forget(known.key)
        return self._join(link, pairing)

    def _join(self, link: EngineLink, pairing: Pairing) -> EngineView:
        """Save and choose a new engine, and follow its jobs."""
        self._links[link.key] = link
        self._saved.save(pairing)
        self._saved.choose(link.key)
        link.joined = True
        self._set_state(link, link.state)
        return self.view(link)

    async def _wait_until_connected(self, link: EngineLink) -> None:
        """Wait until the engine accepts the connection.

        Raises:
            VisionFluxError: it could not be reached, or rejected the key.
        """
        try:
            async with asyncio.timeout(PAIRING_TIMEOUT_SECONDS):
                while link.state.name in ("connecting", "closed"):
                    link.changed.clear()
                    await link.changed.wait()
        except TimeoutError:
            raise EngineUnreachableError("the engine did not answer in time") from None
        if link.state.error:
            raise VisionFluxError.restore(link.state.error)

    async def _keep_local(self, link: EngineLink) -> None:
        """Find or start the engine on this computer, again after each loss; never return."""
        delay = 1.0
        while True:
            try:
                pairing = await in_daemon_thread(lambda: self._start_local(self._folder))
            except VisionFluxError as error:
                log.warning("the local engine did not start: %s", error)
                self._set_state(
                    link, LinkState(name="waiting", error=error.report(), retry_in=delay)
                )
                await asyncio.sleep(delay)
                delay = min(MAX_START_DELAY_SECONDS, delay * 2)
                continue
            delay = 1.0
            self._open(link, pairing)
            await self._wait_until_lost(link)
            await self._disconnect(link)

    async def _wait_until_lost(self, link: EngineLink) -> None:
        """Return after the engine was unreachable for ``LOST_AFTER_SECONDS``."""
        missed = 0
        while missed < LOST_AFTER_SECONDS:
            await asyncio.sleep(1)
            missed = 0 if link.state.name in ("connected", "connecting") else missed + 1

    def _open(self, link: EngineLink, pairing: Pairing) -> EngineLink:
        link.connection = self._connect(
            pairing,
            on_message=lambda message: self._receive(link, message),
            on_state=lambda state: self._set_state(link, state),
        )
        link.follower = self._follow(link.connection, link.key == LOCAL)
        link.follower.begin(link.connection.run())
        link.follower.begin(refresh_hello(link, link.connection, self._meter))
        return link

    def _receive(self, link: EngineLink, message: Message) -> None:
        if link.follower:
            link.follower.receive(message)

    def _set_state(self, link: EngineLink, state: LinkState) -> None:
        link.state = state
        if state.name == "connected" and link.connection and link.connection.hello:
            link.engine = link.connection.hello.engine
            self._saved.save_engine(link.key, link.engine)
        link.changed.set()
        if link.follower and link.joined:
            self._report_link(link, link.follower, connected=state.name == "connected")

    def _report_link(self, link: EngineLink, follower: Follower, *, connected: bool) -> None:
        stopped = link.key == LOCAL and self.local_stopped
        follower.link_changed(connected, engine_stopped=stopped and not connected)

    async def _close_link(self, link: EngineLink) -> None:
        if link.task:
            link.task.cancel()
        await self._disconnect(link)

    async def _disconnect(self, link: EngineLink) -> None:
        if link.connection:
            await link.connection.close()
        if link.follower:
            self._report_link(
                link, link.follower, connected=False
            )  # the connection may not report it
            await link.follower.close()
        if link.connection:
            await count_traffic(link, link.connection, self._meter)
            link.counted = (0, 0)  # the next connection counts from zero
        link.connection = link.follower = None
        link.state = CONNECTING
