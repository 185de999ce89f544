"""The one owner of engine connections in this process.

A thread with its own event loop keeps every paired engine connected, follows the jobs of this
laptop, and brings finished films home by itself. Pages and routes call its methods from any
thread; it never draws and does not know Streamlit.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.client import Connection, LinkState, Message
from engine.errors import EngineUnreachableError, VisionFluxError
from engine.local import ensure_local_engine
from engine.pairing import Pairing
from engine.recipe import Recipe
from ui.aside import aside
from ui.board import Board, View
from ui.desk import Desk
from ui.engine_view import CONNECTING, EngineView, Link
from ui.follower import Follower, remembered
from ui.library import Library
from ui.links import LOCAL, Links
from ui.meter import Meter
from ui.mover import Mover
from ui.pieces import Pieces
from ui.preferences import Preferences
from ui.record import Record
from ui.stills import Stills
from ui.tables import Piece
from ui.tending import count, tend

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 20.0  # seconds that a page waits for an engine's answer
LOST = 4.0  # seconds without the local engine after which it is started again


class Hub:
    """Keeps engines connected and jobs followed; ``start`` it once."""

    def __init__(
        self,
        library: Library,
        folder: Path,
        *,
        start_local: Callable[[Path], Pairing] = ensure_local_engine,
        connect: Callable[..., Connection] = Connection,
    ) -> None:
        """Prepare a hub.

        Args:
            library: where jobs and films are noted.
            folder: the data folder, shared with the local engine.
            start_local: finds or starts the engine on this computer; may block.
            connect: makes a connection.
        """
        self.library = library
        self.board = Board()
        self._folder = folder
        self._start_local = start_local
        self._connect = connect
        self.pieces = Pieces(library.engine, folder / "mirror", library.owner)
        self.record = Record(library.engine)
        self.meter = Meter(library.engine, library.owner)
        self.preferences = Preferences(folder / "preferences.json")
        self.stills = Stills(folder / "stills")
        self.desk = Desk(folder / "storyboard.json")
        self._saved = Links(folder / "links.json")
        self._links: dict[str, Link] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub", daemon=True)

    # Life

    def start(self) -> None:
        """Start the thread; the engines connect in the background."""
        self._thread.start()
        self._call(self._open_all())

    def close(self) -> None:
        """End all connections and the thread; jobs go on at their engines."""
        if self._thread.is_alive():
            self._call(self._close_all())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    async def _open_all(self) -> None:
        await asyncio.to_thread(self.pieces.sweep)
        local = self._links[LOCAL] = Link(LOCAL)
        local.task = asyncio.create_task(self._keep_local(local))
        for key, pairing in self._saved.pairings().items():
            self._links[key] = self._open(Link(key, self._saved.engine(key)), pairing)

    async def _close_all(self) -> None:
        for link in self._links.values():
            await self._shut(link)

    # Engines

    def engines(self) -> list[EngineView]:
        """Return all paired engines, the one on this computer first."""
        return [self._view(link) for link in self._links.copy().values()]

    def chosen(self) -> EngineView:
        """Return the engine that new films go to."""
        return self._view(self._chosen())

    def pair(self, text: str) -> EngineView:
        """Pair with the engine of a link that the user pasted, and choose it.

        If it is known under another address, this one takes over what is under way.

        Raises:
            VisionFluxError: it is no link, or no engine could be reached by it.
        """
        return self._call(self._pair(Pairing.parse(text)))

    def choose(self, key: str) -> None:
        """Send new films to another paired engine."""
        self._saved.choose(key)

    def forget(self, key: str) -> None:
        """Drop a saved engine; its jobs go on there."""
        self._saved.forget(key)
        link = self._links.pop(key, None)
        if link:
            self._call(self._shut(link))

    async def _pair(self, pairing: Pairing) -> EngineView:
        link = self._open(Link(pairing.url, joined=False), pairing)
        try:
            await self._answer(link)
        except VisionFluxError:
            await self._shut(link)
            raise
        local = self._links[LOCAL]
        if link.engine == local.engine:
            await self._shut(link)
            self._saved.choose(LOCAL)
            return self._view(local)
        for key, known in self._links.copy().items():
            if link.key == key or link.engine == known.engine:
                del self._links[key]
                self._saved.forget(key)
                await self._shut(known)
        return self._join(link, pairing)

    def _join(self, link: Link, pairing: Pairing) -> EngineView:
        """Save and choose a new engine, and follow its jobs."""
        self._links[link.key] = link
        self._saved.save(pairing)
        self._saved.choose(link.key)
        link.joined = True
        self._note(link, link.state)
        return self._view(link)

    async def _answer(self, link: Link) -> None:
        """Wait until the engine lets us in; raise what stands in the way."""
        try:
            async with asyncio.timeout(PATIENCE - 5):
                while link.state.name in ("connecting", "closed"):
                    link.changed.clear()
                    await link.changed.wait()
        except TimeoutError:
            raise EngineUnreachableError("the engine did not answer in time") from None
        if link.state.error:
            raise VisionFluxError.restore(link.state.error)

    async def _keep_local(self, link: Link) -> None:
        """Find or start the engine on this computer, and again whenever it is lost."""
        delay = 1.0
        while True:
            try:
                pairing = await aside(lambda: self._start_local(self._folder))
            except VisionFluxError as error:
                log.warning("the local engine did not start: %s", error)
                self._note(link, LinkState(name="waiting", error=error.report(), retry_in=delay))
                await asyncio.sleep(delay)
                delay = min(60.0, delay * 2)
                continue
            delay = 1.0
            self._open(link, pairing)
            await self._lost(link)
            await self._disconnect(link)

    async def _lost(self, link: Link) -> None:
        """Return once the engine has been out of reach for a while."""
        missed = 0
        while missed < LOST:
            await asyncio.sleep(1)
            missed = 0 if link.state.name in ("connected", "connecting") else missed + 1

    def _open(self, link: Link, pairing: Pairing) -> Link:
        link.connection = self._connect(
            pairing,
            on_message=lambda message: self._hear(link, message),
            on_state=lambda state: self._note(link, state),
        )
        link.follower = Follower(
            link.connection,
            self.board,
            self.library,
            self.pieces,
            self.record,
            self.preferences,
            self.stills,
            near=link.key == LOCAL,
        )
        link.follower.begin(link.connection.run())
        link.follower.begin(tend(link, link.connection, self.meter))
        return link

    def _hear(self, link: Link, message: Message) -> None:
        if link.follower:
            link.follower.hear(message)

    async def _disconnect(self, link: Link) -> None:
        if link.connection:
            await link.connection.close()
        if link.follower:
            link.follower.link_changed(False)  # its last word may not come any more
            await link.follower.close()
        if link.connection:
            await count(link, link.connection, self.meter)
            link.counted = (0, 0)  # the next connection counts anew
        link.connection = link.follower = None
        link.state = CONNECTING

    async def _shut(self, link: Link) -> None:
        if link.task:
            link.task.cancel()
        await self._disconnect(link)

    def _note(self, link: Link, state: LinkState) -> None:
        link.state = state
        if state.name == "connected" and link.connection and link.connection.hello:
            link.engine = link.connection.hello.engine
            self._saved.met(link.key, link.engine)
        link.changed.set()
        if link.follower and link.joined:
            link.follower.link_changed(state.name == "connected")

    def _chosen(self) -> Link:
        return self._links.get(self._saved.chosen) or self._links[LOCAL]

    def _view(self, link: Link) -> EngineView:
        connection, link.looked_at = link.connection, time.monotonic()
        return EngineView(
            key=link.key,
            state=link.state,
            hello=connection.hello if connection else None,
            latency=link.latency if link.state.name == "connected" else None,
            chosen=link is self._chosen(),
            starting=link.key == LOCAL and connection is None and link.state.error is None,
        )

    # Jobs

    def submit(self, recipe: Recipe) -> str:
        """Have a film made by the chosen engine; return its job's id.

        Raises:
            VisionFluxError: the engine refused the recipe, or is not connected.
        """
        return self._call(self._submit(recipe))

    def find(self, job: str) -> View | None:
        """Return what is known of a job; None if this laptop never had it."""
        with self.board.reading(job) as view:
            if view is not None:
                return view
        film = self.library.get(job)
        if film is None:
            return None
        self.board.open(remembered(film, self.library, self.record))
        with self.board.reading(job) as view:
            return view

    def cancel(self, job: str) -> None:
        """Cancel a job as soon as its engine can be reached; returns at once."""
        with self.board.changing(job) as view:
            if view is None or view.progress.final or view.successor:
                return
            view.cancelling, engine = True, view.engine
        followers = [link.follower for link in self._links.copy().values()]
        for follower in followers:
            if follower and follower.engine == engine:
                self._loop.call_soon_threadsafe(follower.cancel, job)
                return
        if all(follower and follower.engine for follower in followers):
            self._give_up(job)  # no paired engine has it, so none will ever answer

    def rest(self, job: str, resting: bool) -> None:
        """Pause a job or have it go on, if its engine can be reached; returns at once."""
        with self.board.reading(job) as view:
            engine = view.engine if view else ""
        for link in self._links.copy().values():
            if link.follower and engine and link.follower.engine == engine:
                self._loop.call_soon_threadsafe(link.follower.rest, job, resting)

    def bring(self, job: str, pieces: Sequence[Piece]) -> None:
        """Have finished pieces of a job here.

        Raises:
            VisionFluxError: its engine cannot be reached, lacks one, or is slow: then the rest
                still comes, and asking again finds more.
        """
        with self.board.reading(job) as view:
            engine = view.engine if view else ""
        for link in self._links.copy().values():
            if link.follower and engine and link.follower.engine == engine:
                self._call(link.follower.bring(pieces))
                return
        raise EngineUnreachableError("the film's engine is not connected")

    def look(self, job: str, eye: object, looking: bool) -> None:
        """Note whether one page shows a job; while none does, its engine sends no previews."""
        if not self.board.look(job, eye, looking):
            return
        for link in self._links.copy().values():
            if link.follower:
                self._loop.call_soon_threadsafe(link.follower.look, job)

    def refuge(self, job: str) -> EngineView | None:
        """Return the engine on which an unfinished film could go on, if its own is out of reach."""
        view, engine = self.find(job), self.chosen()
        if view is None or view.settled or view.reachable or view.cancelling or view.moving:
            return None
        other = engine.connected and engine.hello and engine.hello.engine != view.engine
        return engine if other else None

    def move(self, job: str) -> None:
        """Go on with a film on the chosen engine; returns at once, the view tells.

        A film that failed or was cancelled is started again, with all that is finished of it.

        Raises:
            EngineUnreachableError: that engine is not connected.
        """
        link = self._ready()
        if self.find(job) is None or link.follower is None or link.connection is None:
            return
        with self.board.changing(job) as view:
            if view is None or not _may_move(view, link.engine):
                return
            name = self._view(link).name
            view.moving, view.trouble = f"Asking {name} what it lacks…", None
            mover = Mover(
                job,
                view.recipe,
                link.connection,
                link.follower,
                name,
                self.board,
                self.pieces,
                source=self._near_source(view.engine) if view.engine != link.engine else None,
                ended=view.progress.final,
            )
        self._loop.call_soon_threadsafe(link.follower.begin, mover.run())

    def _near_source(self, engine: str) -> Connection | None:
        """Return the connection to the engine on this computer, if it is the one that is named."""
        local = self._links[LOCAL]
        return local.connection if local.engine == engine else None

    def _give_up(self, job: str) -> None:
        self.library.end(job, "cancelled")
        with self.board.changing(job) as view:
            if view:
                view.progress.status, view.progress.phase = "cancelled", "done"

    async def _submit(self, recipe: Recipe) -> str:
        job, follower = uuid.uuid4().hex, self._ready().follower
        assert follower
        await follower.submit(job, recipe)
        return job

    def _ready(self) -> Link:
        """Return the chosen engine's link, or say that it is not connected."""
        link = self._chosen()
        if link.follower is None or link.state.name != "connected":
            raise EngineUnreachableError(
                "the engine is not connected yet", remedy="wait a moment, then try again"
            )
        return link

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the hub's thread and wait for it."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)
        except TimeoutError:
            raise EngineUnreachableError("the engine did not answer in time") from None


def _may_move(view: View, engine: str) -> bool:
    """Tell whether a film can go on on an engine: one that ended, or one of another engine."""
    if view.moving or view.successor or view.progress.status == "finished":
        return False
    return view.progress.final or view.engine != engine
