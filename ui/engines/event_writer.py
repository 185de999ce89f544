"""Writes the events of one engine's jobs to the event log.

Finished pieces and ended jobs are written at once, other events together after a short delay. It
knows events and their log, not what they mean for a film.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine.film.events import FINAL, Logged, PieceFinished
from engine.wire.messages.responses import JobEvent
from ui.storage.event_log import EventLog

WRITE_DELAY_SECONDS = 1.0  # of events that are not written at once
WRITTEN_AT_ONCE = (PieceFinished, *FINAL)


class EventWriter:
    """Keeps events in memory until they are written, in order."""

    def __init__(
        self, event_log: EventLog, begin: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        """Prepare the writer.

        Args:
            event_log: where events are written.
            begin: runs a coroutine in the background.
        """
        self._event_log = event_log
        self._begin = begin
        self._last_seq: dict[str, int] = {}  # number of each job's last event
        self._unwritten: dict[str, list[Logged]] = {}
        self._valid_until: dict[str, int] = {}  # last event to keep, by job
        self._epochs: dict[str, str] = {}  # of the engine's log, by job
        self._unwritten_epochs: dict[str, tuple[str, int]] = {}  # each with an event to wait for
        self._writing = asyncio.Lock()

    def last(self, job: str) -> int:
        """Return the number of a job's last received event; 0 if there is none."""
        return self._last_seq.get(job, 0)

    async def recall(self, job: str) -> tuple[int, str]:
        """Return the number of a job's last event, and the epoch of its log.

        After a restart they are those of the event log. The epoch is "" if it is unknown.
        """
        if job not in self._last_seq:
            epoch = await asyncio.to_thread(self._event_log.epoch, job)
            last = await asyncio.to_thread(self._event_log.last, job)
            self._last_seq.setdefault(job, last)
            self._epochs.setdefault(job, epoch)
        return self._last_seq[job], self._epochs.get(job, "")

    def add(
        self, message: JobEvent, on_written: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        """Add an event; ``on_written`` is called with its job after it was written."""
        self._last_seq[message.job] = max(message.seq, self.last(message.job))
        waiting = self._unwritten.setdefault(message.job, [])
        waiting.append(Logged(seq=message.seq, at=message.at, event=message.event))
        at_once = isinstance(message.event, WRITTEN_AT_ONCE)
        if at_once or len(waiting) == 1:
            self._begin(
                self._write_later(message.job, 0.0 if at_once else WRITE_DELAY_SECONDS, on_written)
            )

    def restart(self, job: str, seq: int) -> None:
        """Drop a job's events after number ``seq``; the engine sends its log again."""
        self._last_seq[job], self._valid_until[job] = 0, seq
        self._unwritten.pop(job, None)
        self._begin(self.write(job))

    def set_epoch(self, job: str, epoch: str, seq: int) -> None:
        """Note that the engine's log has ``seq`` events and an epoch.

        The epoch is written once the copy has these events. If the app ends before, the next start
        finds the former epoch, and copies the log again.
        """
        if epoch and epoch != self._epochs.get(job):
            self._epochs[job], self._unwritten_epochs[job] = epoch, (epoch, seq)
            self._begin(self.write(job))

    async def _write_later(
        self, job: str, wait: float, on_written: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        await asyncio.sleep(wait)
        await self.write(job)
        await on_written(job)

    async def write(self, job: str) -> None:
        """Write a job's events that are not written yet, and the epoch if they were the last."""
        async with self._writing:
            waiting, epoch = self._unwritten.pop(job, None), self._due_epoch(job)
            if (seq := self._valid_until.pop(job, None)) is not None:
                await asyncio.to_thread(self._event_log.drop_after, job, seq)
            if waiting:
                await asyncio.to_thread(self._event_log.add, job, waiting)
            if epoch:
                await asyncio.to_thread(self._event_log.set_epoch, job, epoch)

    def _due_epoch(self, job: str) -> str:
        """Return the epoch to write after all events that were received; "" if there is none."""
        epoch, seq = self._unwritten_epochs.get(job, ("", 0))
        if self.last(job) < seq:
            return ""
        self._unwritten_epochs.pop(job, None)
        return epoch

    async def close(self) -> None:
        """Write all events."""
        for job in {*self._unwritten, *self._unwritten_epochs}:
            await self.write(job)
