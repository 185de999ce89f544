"""Writes down what one engine says of its jobs: what is finished at once, steps a little later.

It knows events and the record, not what they mean for a film.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine.film.events import FINAL, Logged, PieceFinished
from engine.wire.messages.responses import JobEvent
from ui.storage.event_log import EventLog

WRITE_DELAY_SECONDS = 1.0  # seconds until events that tell of steps are written down
WRITTEN_AT_ONCE = (PieceFinished, *FINAL)


class EventWriter:
    """Keeps events in memory until they are in the record, in order."""

    def __init__(
        self, event_log: EventLog, begin: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        """Write nothing yet.

        Args:
            event_log: where events are written.
            begin: runs work beside the caller's.
        """
        self._event_log = event_log
        self._begin = begin
        self._last_seq: dict[str, int] = {}  # number of the last event of each job
        self._unwritten: dict[str, list[Logged]] = {}
        self._valid_until: dict[str, int] = {}  # number of the last event that still counts, by job
        self._writing = asyncio.Lock()

    def last(self, job: str) -> int:
        """Return the number of the last event that was heard of a job; 0 before the first."""
        return self._last_seq.get(job, 0)

    async def recall(self, job: str) -> int:
        """Return what ``last`` returns, or what was written down before a restart."""
        if job not in self._last_seq:
            last = await asyncio.to_thread(self._event_log.last, job)
            self._last_seq.setdefault(job, last)
        return self._last_seq[job]

    def add(
        self, message: JobEvent, on_written: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        """Take in an event; ``then`` is called with its job after it was written down."""
        self._last_seq[message.job] = max(message.seq, self.last(message.job))
        waiting = self._unwritten.setdefault(message.job, [])
        waiting.append(Logged(seq=message.seq, at=message.at, event=message.event))
        at_once = isinstance(message.event, WRITTEN_AT_ONCE)
        if at_once or len(waiting) == 1:
            self._begin(
                self._write_later(message.job, 0.0 if at_once else WRITE_DELAY_SECONDS, on_written)
            )

    def restart(self, job: str, seq: int) -> None:
        """Begin a job's log again; events after number ``seq`` are void."""
        self._last_seq[job], self._valid_until[job] = 0, seq
        self._unwritten.pop(job, None)
        self._begin(self.write(job))

    async def _write_later(
        self, job: str, wait: float, on_written: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        await asyncio.sleep(wait)
        await self.write(job)
        await on_written(job)

    async def write(self, job: str) -> None:
        """Write down what was heard of a job so far."""
        async with self._writing:
            if (seq := self._valid_until.pop(job, None)) is not None:
                await asyncio.to_thread(self._event_log.drop_after, job, seq)
            if waiting := self._unwritten.pop(job, None):
                await asyncio.to_thread(self._event_log.add, job, waiting)

    async def close(self) -> None:
        """Write down everything."""
        for job in tuple(self._unwritten):
            await self.write(job)
