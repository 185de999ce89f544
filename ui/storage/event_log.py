"""Copies of the engines' event logs of this library's films, which remain if an engine is lost.

A film that was moved has the logs of all its jobs, in order. It knows events and rows, not
connections.
"""

import threading
from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from engine.film import older
from engine.film.events import Logged, PieceFinished
from engine.film.progress import fold
from ui.storage.job_views import JobView
from ui.storage.pieces import piece_of
from ui.storage.tables import UNFINISHED, EventLogEpoch, EventRow, Film, FormerJob

# Dropped when a job has ended; the last two are from version 1.
TRANSIENT_KINDS = ("piece_advanced", "model_loading", "keyframe_step", "segment_frame")


class EventLog:
    """Reads and writes rows of events; safe to use from any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._write_lock = threading.Lock()

    def add(self, job: str, events: Sequence[Logged]) -> None:
        """Store events and the finished pieces that they report; storing one twice is harmless."""
        with self._write_lock, Session(self._engine) as session, session.begin():
            for logged in events:
                session.merge(_entry(job, logged))
                piece = isinstance(logged.event, PieceFinished) and piece_of(job, logged.event)
                if piece:
                    session.merge(piece)

    def drop_after(self, job: str, seq: int) -> None:
        """Delete a job's events after number ``seq``, which its engine has lost."""
        query = sa.delete(EventRow).where(EventRow.job == job, EventRow.seq > seq)
        with self._write_lock, Session(self._engine) as session, session.begin():
            session.execute(query)

    def last(self, job: str) -> int:
        """Return the number of a job's last stored event; 0 if there is none."""
        query = sa.select(sa.func.max(EventRow.seq)).where(EventRow.job == job)
        with Session(self._engine) as session:
            return session.scalar(query) or 0

    def epoch(self, job: str) -> str:
        """Return the epoch of the log from which a job's events were copied; "" if unknown."""
        with Session(self._engine) as session:
            row = session.get(EventLogEpoch, job)
            return row.epoch if row else ""

    def set_epoch(self, job: str, epoch: str) -> None:
        """Store that all events of a job were copied from a log of that epoch."""
        with self._write_lock, Session(self._engine) as session, session.begin():
            session.merge(EventLogEpoch(job=job, epoch=epoch))

    def of(self, job: str) -> list[Logged]:
        """Return a job's events in order."""
        query = sa.select(EventRow).where(EventRow.job == job).order_by(EventRow.seq)
        with Session(self._engine) as session:
            return [_logged(entry) for entry in session.scalars(query)]

    def of_film(self, job: str) -> list[Logged]:
        """Return a film's events: those of its former jobs, then those of its job."""
        query = sa.select(FormerJob.job).where(FormerJob.film == job).order_by(FormerJob.number)
        with Session(self._engine) as session:
            jobs = [*session.scalars(query), job]
        return [logged for one in jobs for logged in self.of(one)]

    def view(self, film: Film, thumbnails: Iterable[int]) -> JobView:
        """Return a job's view from its stored events; ``reachable`` is False.

        Args:
            film: the job's row.
            thumbnails: indexes of the keyframes that have thumbnails.
        """
        view = JobView(film.job, film.recipe, film.engine, reachable=False)
        view.progress = fold(self.of(film.job))
        view.thumbnails, view.preview_bytes = set(thumbnails), film.shown
        if film.status not in UNFINISHED:
            view.progress.status = film.status  # type: ignore[assignment]
            view.progress.phase, view.progress.error = "done", film.error
            view.saved = film.status == "finished"
        return view

    def drop_transient(self, job: str) -> None:
        """Delete the events of a job that matter only while its film is made."""
        query = sa.delete(EventRow).where(EventRow.job == job, EventRow.kind.in_(TRANSIENT_KINDS))
        with self._write_lock, Session(self._engine) as session, session.begin():
            session.execute(query)

    # Jobs whose film has moved to another engine

    def orphans(self, engine: str) -> list[str]:
        """Return an engine's jobs whose films have moved and that it may still work on."""
        query = sa.select(FormerJob.job).where(
            FormerJob.engine == engine, FormerJob.told.is_(False)
        )
        with Session(self._engine) as session:
            return list(session.scalars(query))

    def confirm_orphan(self, job: str) -> None:
        """Store that an engine has cancelled a job whose film has moved."""
        query = sa.update(FormerJob).where(FormerJob.job == job).values(told=True)
        with self._write_lock, Session(self._engine) as session, session.begin():
            session.execute(query)


def _entry(job: str, logged: Logged) -> EventRow:
    return EventRow(
        job=job,
        seq=logged.seq,
        at=logged.at,
        kind=logged.event.__struct_config__.tag,
        event_json=msgspec.json.encode(logged.event).decode(),
    )


def _logged(entry: EventRow) -> Logged:
    return Logged(seq=entry.seq, at=entry.at, event=older.read_event(entry.event_json))
