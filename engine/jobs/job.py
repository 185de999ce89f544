"""A job in memory: its events and its watchers.

Its log and its newest preview are encoded once for all watchers. With more watchers, each
notification covers more events. It knows neither the journal nor the queue.
"""

import asyncio
from collections.abc import Callable

from engine.film import events
from engine.film.events import AnyEvent
from engine.film.progress import Progress, advance, fold
from engine.storage.journal import JobRecord
from engine.wire.messages import codec, responses
from engine.wire.transport import framed

NOTIFY_INTERVAL = 0.004  # seconds for each watcher between two notifications: 50 take 0.2 s


class Job:
    """A job in memory: its state, its log and its newest preview as frames, its watchers."""

    def __init__(self, row: JobRecord, log_: list[events.Logged]) -> None:
        self.id, self.recipe, self.created_at = row.id, row.recipe, row.created_at
        self.progress: Progress = fold(log_)
        self.frames = [self._frame(logged) for logged in log_]
        self.preview = b""
        self.preview_number = 0
        self.shown = ("", 1)  # kind and step of the newest preview
        self.watchers: set[Callable[[], None]] = set()
        self.wants: dict[object, int] = {}  # by watcher: the quality of the next preview
        self.stop: AnyEvent | None = None  # that a client stops it with
        self.client: object = None  # that submitted it
        self._calling, self._quiet_until = False, 0.0  # the watchers; by the loop's clock

    def add(self, logged: events.Logged) -> None:
        """Add an event that is in the journal."""
        advance(self.progress, logged)
        self.frames.append(self._frame(logged))
        self.wake()

    def show(self, preview: bytes, shown: tuple[str, int]) -> None:
        """Replace the newest preview; watchers request each following one again."""
        self.preview, self.preview_number = framed(preview), self.preview_number + 1
        self.shown = shown
        self.wants.clear()
        self.wake()

    def wake(self) -> None:
        """Notify all watchers together, after a short delay."""
        if self.watchers and not self._calling:
            self._calling = True
            asyncio.get_running_loop().call_at(self._quiet_until, self._call)

    def _call(self) -> None:
        self._calling = False
        self._quiet_until = asyncio.get_running_loop().time() + NOTIFY_INTERVAL * len(self.watchers)
        for watcher in tuple(self.watchers):
            watcher()

    def _frame(self, logged: events.Logged) -> bytes:
        message = responses.JobEvent(job=self.id, seq=logged.seq, at=logged.at, event=logged.event)
        return framed(codec.encode(message))
