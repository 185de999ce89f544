"""What the app knows of each job right now, for many readers at once.

The hub writes, relays and pages read; a version number per job tells readers that something
changed. It keeps the newest preview only. It knows neither sockets nor SQL nor Streamlit.
"""

import asyncio
import copy
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engine.errors import ErrorReport
from engine.film.progress import Progress
from engine.film.recipe import Recipe
from engine.wire.messages.responses import Preview


@dataclass
class JobView:
    """One job as this app sees it.

    Attributes:
        engine: id of the engine that works on it.
        last_message_at: monotonic time of the last word about it.
        pictures: indexes of the keyframes whose small pictures are on this laptop.
        downloaded: bytes of the film that are here, and bytes of the whole film.
        saved: whether the film is in the library.
        reachable: whether its engine is connected right now.
        engine_stopped: whether that was stopped by the user, and is not connected since.
        preview_bytes: bytes of previews that came.
        cancelling: whether the user asked to cancel it.
        move_status: how its move to another engine is going, in words; empty while there is none.
        move_error: why its last move did not succeed.
        successor: the job that goes on in its place on another engine.
    """

    job: str
    recipe: Recipe
    engine: str
    progress: Progress = field(default_factory=Progress)
    last_message_at: float = field(default_factory=time.monotonic)
    preview: Preview | None = None
    pictures: set[int] = field(default_factory=set)
    downloaded: tuple[int, int] = (0, 0)
    saved: bool = False
    reachable: bool = True
    engine_stopped: bool = False
    preview_bytes: int = 0
    cancelling: bool = False
    move_status: str = ""
    move_error: ErrorReport | None = None
    successor: str = ""
    version: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen, the film's arrival here included."""
        if self.successor:
            return True
        return self.saved if self.progress.status == "finished" else self.progress.final

    def copy(self) -> "JobView":
        """Return a copy that shares only what never changes."""
        unchanging = {id(value): value for value in (self.progress.plan, self.progress.film)}
        progress = copy.deepcopy(self.progress, unchanging)
        return dataclasses.replace(self, progress=progress, pictures=set(self.pictures))


class JobViews:
    """All views; every read and write goes through one lock."""

    def __init__(self) -> None:
        self._views: dict[str, JobView] = {}
        self._readers: dict[str, set[Callable[[], None]]] = {}
        self._viewers: dict[str, set[object]] = {}
        self._lock = threading.Lock()

    def open(self, view: JobView) -> None:
        """Put a view on the board unless its job has one."""
        with self._lock:
            self._views.setdefault(view.job, view)

    def close(self, job: str) -> None:
        """Take a job from the board."""
        with self._lock:
            self._views.pop(job, None)

    def snapshot(self, job: str) -> JobView | None:
        """Return a copy of a view, which later changes do not touch; None if there is none."""
        with self._lock:
            view = self._views.get(job)
            return None if view is None else view.copy()

    @contextmanager
    def reading(self, job: str) -> Iterator[JobView | None]:
        """Hold a view still while it is read; None if there is none."""
        with self._lock:
            yield self._views.get(job)

    @contextmanager
    def changing(self, job: str) -> Iterator[JobView | None]:
        """Hold a view still while it is changed, then wake whoever follows it."""
        with self._lock:
            view = self._views.get(job)
            yield view
            if view is not None:
                view.version += 1
            readers = tuple(self._readers.get(job, ()))
        for wake in readers:
            wake()

    def of_engine(self, engine: str) -> list[str]:
        """Return the jobs of an engine that are not settled."""
        with self._lock:
            views = self._views.values()
            return [view.job for view in views if view.engine == engine and not view.settled]

    def set_watching(self, job: str, viewer: object, watching: bool) -> bool:
        """Note whether one reader's viewers are on a job; return whether that changed ``seen``."""
        with self._lock:
            viewers = self._viewers.setdefault(job, set())
            before = bool(viewers)
            (viewers.add if watching else viewers.discard)(viewer)
            if not viewers:
                del self._viewers[job]
            return bool(viewers) != before

    def is_watched(self, job: str) -> bool:
        """Return whether anybody's viewers are on a job, so that previews are worth their bytes."""
        with self._lock:
            return job in self._viewers

    @contextmanager
    def subscribed(self, job: str, woken: asyncio.Event) -> Iterator[None]:
        """Set ``woken`` whenever the job changes; call it in the event's own loop."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        with self._lock:
            self._readers.setdefault(job, set()).add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._readers[job].discard(wake)
                if not self._readers[job]:
                    del self._readers[job]
