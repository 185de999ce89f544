"""The current state of each job, in memory, shared by threads.

The hub writes it; routes and pages read it. A view's version grows with every change. Of the
previews only the newest is kept. It knows neither sockets nor SQL nor Streamlit.
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
    """The state of one job.

    Attributes:
        engine: id of the engine that works on it.
        last_message_at: monotonic time of the engine's last message about it.
        thumbnails: indexes of the keyframes that have thumbnails.
        downloaded: bytes of the film that were downloaded, and bytes of the whole film.
        saved: whether the film is in the library.
        reachable: whether its engine is connected.
        engine_stopped: whether the user has stopped its engine.
        preview_bytes: bytes of previews that were received.
        cancelling: whether the user has cancelled it and the engine has not confirmed.
        move_status: progress of its move to another engine, for users; empty without a move.
        move_error: why its last move failed.
        successor: id of the job that continues the film on another engine; empty if none does.
        version: grows with every change.
    """

    job: str
    recipe: Recipe
    engine: str
    progress: Progress = field(default_factory=Progress)
    last_message_at: float = field(default_factory=time.monotonic)
    preview: Preview | None = None
    thumbnails: set[int] = field(default_factory=set)
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
        """Whether the job has ended and its film, if any, was downloaded."""
        if self.successor:
            return True
        return self.saved if self.progress.status == "finished" else self.progress.final

    def copy(self) -> "JobView":
        """Return a copy that later changes do not affect."""
        unchanging = {id(value): value for value in (self.progress.plan, self.progress.film)}
        progress = copy.deepcopy(self.progress, unchanging)
        return dataclasses.replace(self, progress=progress, thumbnails=set(self.thumbnails))


class JobViews:
    """The views of all jobs; safe to use from any thread."""

    def __init__(self) -> None:
        self._views: dict[str, JobView] = {}
        self._subscribers: dict[str, set[Callable[[], None]]] = {}
        self._viewers: dict[str, set[object]] = {}
        self._lock = threading.Lock()

    def open(self, view: JobView) -> None:
        """Add a view unless its job has one."""
        with self._lock:
            self._views.setdefault(view.job, view)

    def close(self, job: str) -> None:
        """Remove the view of a job."""
        with self._lock:
            self._views.pop(job, None)

    def snapshot(self, job: str) -> JobView | None:
        """Return a copy of a job's view; None if there is none."""
        with self._lock:
            view = self._views.get(job)
            return None if view is None else view.copy()

    @contextmanager
    def reading(self, job: str) -> Iterator[JobView | None]:
        """Lock a job's view while it is read; None if there is none."""
        with self._lock:
            yield self._views.get(job)

    @contextmanager
    def changing(self, job: str) -> Iterator[JobView | None]:
        """Lock a job's view while it is changed, then wake its subscribers."""
        with self._lock:
            view = self._views.get(job)
            yield view
            if view is not None:
                view.version += 1
            subscribers = tuple(self._subscribers.get(job, ()))
        for wake in subscribers:
            wake()

    def of_engine(self, engine: str) -> list[str]:
        """Return the jobs of an engine that are not settled."""
        with self._lock:
            views = self._views.values()
            return [view.job for view in views if view.engine == engine and not view.settled]

    def set_watching(self, job: str, viewer: object, watching: bool) -> bool:
        """Set whether a viewer watches a job; return whether ``is_watched`` changed."""
        with self._lock:
            viewers = self._viewers.setdefault(job, set())
            before = bool(viewers)
            (viewers.add if watching else viewers.discard)(viewer)
            if not viewers:
                del self._viewers[job]
            return bool(viewers) != before

    def is_watched(self, job: str) -> bool:
        """Return whether any viewer watches a job, so that its engine should send previews."""
        with self._lock:
            return job in self._viewers

    @contextmanager
    def subscribed(self, job: str, woken: asyncio.Event) -> Iterator[None]:
        """Set ``woken`` whenever the job changes; call this in the event's own loop."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        with self._lock:
            self._subscribers.setdefault(job, set()).add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._subscribers[job].discard(wake)
                if not self._subscribers[job]:
                    del self._subscribers[job]
