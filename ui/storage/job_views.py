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
        heard_at: monotonic time of the last word about it.
        pictures: indexes of the keyframes whose small pictures are on this laptop.
        fetched: bytes of the film that are here, and bytes of the whole film.
        saved: whether the film is in the library.
        reachable: whether its engine is connected right now.
        resting: whether that was stopped by the user, and is not connected since.
        shown: bytes of previews that came.
        cancelling: whether the user asked to cancel it.
        moving: how its move to another engine is going, in words; empty while there is none.
        trouble: why its last move did not succeed.
        successor: the job that goes on in its place on another engine.
    """

    job: str
    recipe: Recipe
    engine: str
    progress: Progress = field(default_factory=Progress)
    heard_at: float = field(default_factory=time.monotonic)
    preview: Preview | None = None
    pictures: set[int] = field(default_factory=set)
    fetched: tuple[int, int] = (0, 0)
    saved: bool = False
    reachable: bool = True
    resting: bool = False
    shown: int = 0
    cancelling: bool = False
    moving: str = ""
    trouble: ErrorReport | None = None
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
        self._eyes: dict[str, set[object]] = {}
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

    def look(self, job: str, eye: object, looking: bool) -> bool:
        """Note whether one reader's eyes are on a job; return whether that changed ``seen``."""
        with self._lock:
            eyes = self._eyes.setdefault(job, set())
            before = bool(eyes)
            (eyes.add if looking else eyes.discard)(eye)
            if not eyes:
                del self._eyes[job]
            return bool(eyes) != before

    def seen(self, job: str) -> bool:
        """Return whether anybody's eyes are on a job, so that previews are worth their bytes."""
        with self._lock:
            return job in self._eyes

    @contextmanager
    def following(self, job: str, woken: asyncio.Event) -> Iterator[None]:
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
