"""What pages and routes ask for, from any thread: engines, and films to be made on them.

It owns the one thread of this process, with its own event loop, in which engines are kept
connected, jobs followed, and finished films brought home. It never draws and does not know
Streamlit.
"""

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import EngineUnreachableError
from engine.film.recipe import Recipe
from engine.local import ensure_local_engine
from engine.wire.client import Connection
from engine.wire.pairing import Pairing
from ui.engines.connections import EngineLink, Engines, EngineView
from ui.engines.job_follower import Follower
from ui.engines.migration import Migration
from ui.storage.draft import DraftFile
from ui.storage.event_log import EventLog
from ui.storage.job_views import JobView, JobViews
from ui.storage.library import Library
from ui.storage.pieces import Pieces
from ui.storage.preferences import Preferences
from ui.storage.start_images import Stills
from ui.storage.tables import Piece
from ui.storage.traffic_meter import TrafficMeter

T = TypeVar("T")

PATIENCE = 20.0  # seconds that a page waits for an engine's answer


class Hub:
    """Keeps engines connected and jobs followed; ``start`` it once."""

    def __init__(
        self,
        library: Library,
        folder: Path,
        *,
        start_local: Callable[[Path], Pairing] = ensure_local_engine,
        end_local: Callable[[Path], None] | None = None,
        connect: Callable[..., Connection] = Connection,
    ) -> None:
        """Prepare a hub.

        Args:
            library: where jobs and films are noted.
            folder: the data folder, shared with the local engine.
            start_local: finds or starts the engine on this computer; may block.
            end_local: ends it; may block. None where users may not.
            connect: makes a connection.
        """
        self.library = library
        self.board = JobViews()
        self.pieces = Pieces(library.engine, folder / "mirror", library.owner)
        self.record = EventLog(library.engine)
        self.meter = TrafficMeter(library.engine, library.owner)
        self.preferences = Preferences(folder / "preferences.json")
        self.stills = Stills(folder / "stills")
        self.desk = DraftFile(folder / "storyboard.json")
        self._engines = Engines(
            folder,
            self.meter,
            start_local=start_local,
            end_local=end_local,
            connect=connect,
            follow=self._follow,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub", daemon=True)

    # Life

    def start(self) -> None:
        """Start the thread; the engines connect in the background."""
        self._thread.start()
        self._call(self._open())

    def close(self) -> None:
        """End all connections and the thread; jobs go on at their engines."""
        if self._thread.is_alive():
            self._call(self._engines.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    async def _open(self) -> None:
        await asyncio.to_thread(self.pieces.sweep)
        await self._engines.open()

    def _follow(self, connection: Connection, near: bool) -> Follower:
        return Follower(
            connection,
            self.board,
            self.library,
            self.pieces,
            self.record,
            self.preferences,
            self.stills,
            near=near,
        )

    # Engines

    def engines(self) -> list[EngineView]:
        """Return all paired engines, the one on this computer first."""
        return [self._engines.view(link) for link in self._engines.links()]

    def chosen(self) -> EngineView:
        """Return the engine that new films go to."""
        return self._engines.view(self._engines.chosen)

    def pair(self, text: str) -> EngineView:
        """Pair with the engine of a link that the user pasted, and choose it.

        If it is known under another address, this one takes over what is under way.

        Raises:
            VisionFluxError: it is no link, or no engine could be reached by it.
        """
        return self._call(self._engines.pair(Pairing.parse(text)))

    def choose(self, key: str) -> None:
        """Send new films to another paired engine."""
        self._engines.choose(key)

    def forget(self, key: str) -> None:
        """Drop a saved engine; its jobs go on there."""
        self._call(self._engines.forget(key))

    def stop_local(self) -> None:
        """End the engine on this computer, until ``wake_local``; its films wait.

        Raises:
            VisionFluxError: another program started it, or it does not end.
        """
        self._call(self._engines.stop_local())

    def wake_local(self) -> None:
        """Start the engine on this computer again; returns at once."""
        self._call(self._engines.wake_local())

    def rests(self, engine: str) -> bool:
        """Tell whether a known engine is the one on this computer, and stopped."""
        return self._engines.rests(engine)

    # Films

    def submit(self, recipe: Recipe) -> str:
        """Have a film made by the chosen engine; return its job's id.

        Raises:
            VisionFluxError: the engine refused the recipe, or is not connected.
        """
        return self._call(self._submit(recipe))

    def find(self, job: str) -> JobView | None:
        """Return what is known of a job; None if this laptop never had it."""
        with self.board.reading(job) as view:
            if view is not None:
                return view
        film = self.library.get(job)
        if film is None:
            return None
        view = self.record.view(film, self.library.pictures(job))
        view.resting = self.rests(view.engine)
        self.board.open(view)
        with self.board.reading(job) as view:
            return view

    def cancel(self, job: str) -> None:
        """Cancel a job as soon as its engine can be reached; returns at once."""
        with self.board.changing(job) as view:
            if view is None or view.progress.final or view.successor:
                return
            view.cancelling, engine = True, view.engine
        if follower := self._engines.follower(engine):
            self._loop.call_soon_threadsafe(follower.wishes.cancel, job)
        elif all(link.follower and link.follower.engine for link in self._engines.links()):
            self._give_up(job)  # no paired engine has it, so none will ever answer

    def rest(self, job: str, resting: bool) -> None:
        """Pause a job or have it go on, if its engine can be reached; returns at once."""
        if follower := self._follower(job):
            self._loop.call_soon_threadsafe(follower.wishes.rest, job, resting)

    def bring(self, job: str, pieces: Sequence[Piece]) -> None:
        """Have finished pieces of a job here.

        Raises:
            VisionFluxError: its engine cannot be reached, lacks one, or is slow: then the rest
                still comes, and asking again finds more.
        """
        follower = self._follower(job)
        if follower is None:
            raise EngineUnreachableError("the film's engine is not connected")
        self._call(follower.bring(pieces))

    def look(self, job: str, eye: object, looking: bool) -> None:
        """Note whether one page shows a job; while none does, its engine sends no previews."""
        if not self.board.look(job, eye, looking):
            return
        if follower := self._follower(job):
            self._loop.call_soon_threadsafe(follower.wishes.look, job)

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
            name = self._engines.view(link).name
            view.moving, view.trouble = f"Asking {name} what it lacks…", None
            mover = Migration(
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
        local = self._engines.local
        return local.connection if local.engine == engine else None

    def _follower(self, job: str) -> Follower | None:
        """Return who follows a job; None if its engine was not reached since the start."""
        with self.board.reading(job) as view:
            engine = view.engine if view else ""
        return self._engines.follower(engine) if engine else None

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

    def _ready(self) -> EngineLink:
        """Return the chosen engine's link, or say that it is not connected."""
        link = self._engines.chosen
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


def _may_move(view: JobView, engine: str) -> bool:
    """Tell whether a film can go on on an engine: one that ended, or one of another engine."""
    if view.moving or view.successor or view.progress.status == "finished":
        return False
    return view.progress.final or view.engine != engine
