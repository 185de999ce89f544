"""Writes down what one engine says of its jobs: what is finished at once, steps a little later.

It knows events and the record, not what they mean for a film.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine.film.events import FINAL, Logged, PieceFinished
from engine.wire.messages.responses import JobEvent
from ui.storage.event_log import EventLog

SOON = 1.0  # seconds until events that tell of steps are written down
WEIGHTY = (PieceFinished, *FINAL)


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
        self._heard: dict[str, int] = {}  # number of the last event of each job
        self._unwritten: dict[str, list[Logged]] = {}
        self._void: dict[str, int] = {}  # number of the last event that still counts, by job
        self._writing = asyncio.Lock()

    def last(self, job: str) -> int:
        """Return the number of the last event that was heard of a job; 0 before the first."""
        return self._heard.get(job, 0)

    async def recall(self, job: str) -> int:
        """Return what ``last`` returns, or what was written down before a restart."""
        if job not in self._heard:
            last = await asyncio.to_thread(self._event_log.last, job)
            self._heard.setdefault(job, last)
        return self._heard[job]

    def hear(self, message: JobEvent, then: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Take in an event; ``then`` is called with its job after it was written down."""
        self._heard[message.job] = max(message.seq, self.last(message.job))
        waiting = self._unwritten.setdefault(message.job, [])
        waiting.append(Logged(seq=message.seq, at=message.at, event=message.event))
        weighty = isinstance(message.event, WEIGHTY)
        if weighty or len(waiting) == 1:
            self._begin(self._write_soon(message.job, 0.0 if weighty else SOON, then))

    def restart(self, job: str, seq: int) -> None:
        """Begin a job's log again; events after number ``seq`` are void."""
        self._heard[job], self._void[job] = 0, seq
        self._unwritten.pop(job, None)
        self._begin(self.write(job))

    async def _write_soon(
        self, job: str, wait: float, then: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        await asyncio.sleep(wait)
        await self.write(job)
        await then(job)

    async def write(self, job: str) -> None:
        """Write down what was heard of a job so far."""
        async with self._writing:
            if (seq := self._void.pop(job, None)) is not None:
                await asyncio.to_thread(self._event_log.drop_after, job, seq)
            if waiting := self._unwritten.pop(job, None):
                await asyncio.to_thread(self._event_log.add, job, waiting)

    async def close(self) -> None:
        """Write down everything."""
        for job in tuple(self._unwritten):
            await self.write(job)
