"""Connects to the engines, follows their jobs and downloads the films, for pages and routes.

The hub has a thread with an event loop of its own; its methods may be called from any thread. It
draws nothing and does not know Streamlit.
"""

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import EngineUnreachableError
from engine.film.recipe import Recipe
from engine.local import ensure_local_engine
from engine.wire.client import Connection
from engine.wire.pairing import Pairing
from ui.engines.connections import EngineLink, Engines, EngineView, Forgotten
from ui.engines.job_follower import Follower
from ui.engines.migration import Migration
from ui.engines.submission import Submissions
from ui.storage.job_views import JobView
from ui.storage.library import Library
from ui.storage.storage import Storage
from ui.storage.tables import Piece

T = TypeVar("T")

ANSWER_TIMEOUT_SECONDS = 20.0
UPLOAD_REPORT_SECONDS = 0.2  # between two reports of an upload's progress


class Hub:
    """Keeps the engines connected and follows the jobs; call ``start`` once."""

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
            library: where jobs and films are stored.
            folder: the data folder, shared with the local engine.
            start_local: finds or starts the engine on this computer; may block.
            end_local: ends it; may block. None if users may not stop that engine.
            connect: creates a connection.
        """
        self.storage = Storage.open(library, folder)
        self.library = library
        self.job_views = self.storage.job_views
        self.pieces = self.storage.pieces
        self.event_log = self.storage.event_log
        self.meter = self.storage.meter
        self.preferences = self.storage.preferences
        self.start_images = self.storage.start_images
        self.draft_file = self.storage.draft_file
        self.pending_films = self.storage.pending_films
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
        self._under_way: set[Future[Any]] = set()  # asyncio keeps weak references only

    # Start and end

    def start(self) -> None:
        """Start the thread; the engines connect in the background."""
        self._thread.start()
        self._call(self._open())

    def close(self) -> None:
        """Close all connections and end the thread; the engines continue their jobs."""
        if self._thread.is_alive():
            self._call(self._engines.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(ANSWER_TIMEOUT_SECONDS)
            self._loop.close()

    async def _open(self) -> None:
        await asyncio.to_thread(self.pieces.sweep)
        await self._engines.open()

    def _follow(self, connection: Connection, near: bool) -> Follower:
        return Follower(connection, self.storage, near=near)

    # Engines

    def engines(self) -> list[EngineView]:
        """Return all paired engines, starting with the one on this computer."""
        return [self._engines.view(link) for link in self._engines.links()]

    def chosen(self) -> EngineView:
        """Return the engine that new films are submitted to."""
        return self._engines.view(self._engines.chosen)

    def pair(self, text: str) -> EngineView:
        """Pair with the engine of a link that the user pasted, and choose it.

        If the engine is paired under another address, the new address replaces it, and its jobs
        are followed there.

        Raises:
            VisionFluxError: the text is not a link, or the engine could not be reached.
        """
        return self._call(self._engines.pair(Pairing.parse(text)))

    def choose(self, key: str) -> None:
        """Submit new films to another paired engine from now on."""
        self._engines.choose(key)

    def forget(self, key: str) -> Forgotten | None:
        """Remove a paired engine, which continues its jobs; return what ``restore`` needs."""
        return self._call(self._engines.forget(key))

    def restore(self, forgotten: Forgotten) -> None:
        """Pair with a forgotten engine again."""
        self._call(self._engines.restore(forgotten))

    def stop_local(self) -> None:
        """Stop the engine on this computer until ``start_local`` is called; its films wait.

        Raises:
            VisionFluxError: another program started the engine, or it does not end.
        """
        self._call(self._engines.stop_local())

    def start_local(self) -> None:
        """Start the engine on this computer again, in the background."""
        self._call(self._engines.start_local())

    def name_of(self, engine: str) -> str:
        """Return the name of an engine for users, by its id; "" if it is not paired."""
        return self._engines.name_of(engine)

    def connected(self, engine: str) -> EngineView | None:
        """Return an engine by its id if films can be submitted to it now."""
        found = (view for view in self.engines() if view.connected and view.hello)
        return next((view for view in found if view.hello and view.hello.engine == engine), None)

    def is_stopped(self, engine: str) -> bool:
        """Return whether an engine is the one on this computer and the user has stopped it."""
        return self._engines.is_stopped(engine)

    # Films

    def submit(
        self,
        recipe: Recipe,
        job: str | None = None,
        on_upload: Callable[[int, int], None] = lambda *_: None,
        *,
        key: str = "",
    ) -> str:
        """Submit a film to the chosen engine, or another one; return its job's id.

        The engine's answer has a time limit; the upload of start images has none. After an error
        the same film can be submitted again under the same id without making a second film.

        Args:
            recipe: of the film.
            job: id of the job; a new one by default.
            on_upload: called in this thread with the bytes sent and the bytes to send, while start
                images are uploaded.
            key: of another engine's link.

        Raises:
            VisionFluxError: the engine rejected the recipe, is not connected, or did not answer.
        """
        follower = self._connected_link(key).follower
        assert follower
        job = job or uuid.uuid4().hex
        if recipe.start_images:
            self._upload(follower.submissions, recipe, on_upload)
        self._call(follower.submissions.submit(job, recipe))
        return job

    def find(self, job: str) -> JobView | None:
        """Return a copy of a job's view; None if this library does not have the job."""
        if view := self.job_views.snapshot(job):
            return view
        film = self.library.get(job)
        if film is None:
            return None
        view = self.event_log.view(film, self.library.thumbnails(job))
        view.engine_stopped = self.is_stopped(view.engine)
        self.job_views.open(view)
        return self.job_views.snapshot(job)

    def cancel(self, job: str) -> None:
        """Cancel a job in the background, as soon as its engine can be reached."""
        with self.job_views.changing(job) as view:
            if view is None or view.progress.final or view.successor:
                return
            view.cancelling, engine = True, view.engine
        if follower := self._engines.follower(engine):
            self._loop.call_soon_threadsafe(follower.commands.cancel, job)
        elif all(link.follower and link.follower.engine for link in self._engines.links()):
            self._end_cancelled(job)  # no paired engine has the job

    def set_paused(self, job: str, paused: bool) -> None:
        """Pause or resume a job in the background, if its engine can be reached."""
        if follower := self._follower(job):
            self._loop.call_soon_threadsafe(follower.commands.set_paused, job, paused)

    def download_pieces(self, job: str, pieces: Sequence[Piece]) -> None:
        """Download finished pieces of a job.

        Raises:
            VisionFluxError: the engine cannot be reached, lacks a piece, or did not send all of
                them in time. In the last case the download continues in the background.
        """
        follower = self._follower(job)
        if follower is None:
            raise EngineUnreachableError("the film's engine is not connected")
        self._call(follower.download_pieces(pieces))

    def set_watching(self, job: str, viewer: object, watching: bool) -> None:
        """Set whether a viewer shows a job; the engine sends previews only while one does."""
        if not self.job_views.set_watching(job, viewer, watching):
            return
        if follower := self._follower(job):
            self._loop.call_soon_threadsafe(follower.commands.update_previews, job)

    def rescue_engine(self, job: str) -> EngineView | None:
        """Return the engine that can continue a film whose own engine cannot be reached."""
        view, engine = self.find(job), self.chosen()
        if view is None or view.settled or view.reachable or view.cancelling or view.move_status:
            return None
        other = engine.connected and engine.hello and engine.hello.engine != view.engine
        return engine if other else None

    def move(self, job: str) -> None:
        """Continue a film on the chosen engine, in the background; the view has the progress.

        A film that failed or was cancelled is started again with its finished pieces.

        Raises:
            EngineUnreachableError: the chosen engine is not connected.
        """
        link = self._connected_link()
        if self.find(job) is None or link.follower is None or link.connection is None:
            return
        with self.job_views.changing(job) as view:
            if view is None or not _may_move(view, link.engine):
                return
            name = self._engines.view(link).name
            view.move_status, view.move_error = f"Asking {name} which parts it lacks…", None
            mover = Migration(
                job,
                view.recipe,
                link.connection,
                link.follower,
                name,
                self.job_views,
                self.pieces,
                source=self._local_source(view.engine) if view.engine != link.engine else None,
                ended=view.progress.final,
            )
        self._loop.call_soon_threadsafe(link.follower.begin, mover.run())

    def _local_source(self, engine: str) -> Connection | None:
        """Return the connection to the engine on this computer if ``engine`` is its id."""
        local = self._engines.local
        return local.connection if local.engine == engine else None

    def _follower(self, job: str) -> Follower | None:
        """Return a job's follower; None if its engine was not reached since the start."""
        with self.job_views.reading(job) as view:
            engine = view.engine if view else ""
        return self._engines.follower(engine) if engine else None

    def _end_cancelled(self, job: str) -> None:
        self.library.end(job, "cancelled")
        with self.job_views.changing(job) as view:
            if view:
                view.progress.status, view.progress.phase = "cancelled", "done"

    def _upload(
        self,
        submissions: Submissions,
        recipe: Recipe,
        on_upload: Callable[[int, int], None],
    ) -> None:
        """Upload start images, without a time limit, and report the progress."""
        progress = (0, 0)

        def on_bytes(sent: int, whole: int) -> None:
            nonlocal progress
            progress = (sent, whole)

        upload = self._start(submissions.upload_start_images(recipe, on_bytes))
        while not wait([upload], UPLOAD_REPORT_SECONDS).done:
            on_upload(*progress)
        upload.result()

    def _connected_link(self, key: str = "") -> EngineLink:
        """Return the chosen engine's link, or that of a key; raise if it is not connected."""
        named = (link for link in self._engines.links() if link.key == key)
        link = next(named, self._engines.chosen)
        if link.follower is None or link.state.name != "connected":
            raise EngineUnreachableError(
                "the engine is not connected yet", remedy="wait a moment, then try again"
            )
        return link

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the hub's thread; it continues after the time limit."""
        try:
            return self._start(work).result(ANSWER_TIMEOUT_SECONDS)
        except TimeoutError:
            raise EngineUnreachableError("the engine did not answer in time") from None

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the hub's thread to its end, even if nobody waits for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future


def _may_move(view: JobView, engine: str) -> bool:
    """Return whether an engine can continue a film."""
    if view.move_status or view.successor or view.progress.status == "finished":
        return False
    return view.progress.final or view.engine != engine
