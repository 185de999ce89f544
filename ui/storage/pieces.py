"""The finished keyframes and segments of unfinished films, kept here to go on with elsewhere.

What is known of a piece is a row in SQL; whether it is here, its file alone tells. Files lie under
their content address, so films that share a piece share its file. It does not know connections.
"""

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from engine.files import file_sha256
from engine.film.events import KeyframeFinished, SegmentFinished
from ui.storage.tables import ENDED, KEYFRAME, SEGMENT, UNFINISHED, Film, Piece

SUFFIXES = {KEYFRAME: ".png", SEGMENT: ".mp4"}
KEPT = 3  # films that failed or were cancelled and may be started again with what they have


def piece_of(job: str, event: KeyframeFinished | SegmentFinished) -> Piece:
    """Return what an event tells of a piece."""
    segment = isinstance(event, SegmentFinished)
    return Piece(
        job=job,
        media_type=SEGMENT if segment else KEYFRAME,
        index=event.index,
        object=event.object,
        sha256=event.sha256,
        size=event.size,
        origin=event.origin,
        detail=event.judgement if isinstance(event, SegmentFinished) else event.detail,
    )


def choose(pieces: Iterable[Piece], here: set[str], keyframes: int, budget: int) -> Piece | None:
    """Return what to bring here next: a keyframe first, or a segment that no keyframe will miss.

    Args:
        pieces: of one film.
        here: content addresses of those that are here.
        keyframes: number that the film will have.
        budget: bytes that the film's pieces may take here.
    """
    known = {piece.object: piece for piece in pieces}
    painted = [piece for piece in pieces if piece.is_keyframe]
    to_come = keyframes - sum(piece.object in here for piece in painted)
    reserve = to_come * max((piece.size for piece in painted), default=budget + 1)
    room = budget - sum(piece.size for piece in known.values() if piece.object in here)
    missing = [piece for piece in known.values() if piece.object not in here]
    for piece in sorted(missing, key=lambda piece: (not piece.is_keyframe, piece.index)):
        if piece.size <= (room if piece.is_keyframe else room - reserve):
            return piece
    return None


class Pieces:
    """Files of all films, and the rows of ``ui.storage.event_log``; safe to use from any thread."""

    def __init__(self, engine: sa.Engine, folder: Path, owner: str = "") -> None:
        """Open what the library's database notes; files of one owner's films lie in ``folder``."""
        self._engine = engine
        self._owner = owner
        self._folder = folder

    def of(self, job: str) -> list[Piece]:
        """Return the pieces of a film: keyframes, then segments, each in order."""
        query = sa.select(Piece).where(Piece.job == job).order_by(Piece.media_type, Piece.index)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(query))

    def path(self, piece: Piece) -> Path:
        """Return where a piece's file is, or will be."""
        name = f"{piece.object}{SUFFIXES[piece.media_type]}"
        return self._folder / piece.object[:2] / name

    def here(self, job: str) -> dict[str, Piece]:
        """Return the pieces of a film whose files are here, by content address."""
        return {piece.object: piece for piece in self.of(job) if self.path(piece).is_file()}

    def next(self, job: str, keyframes: int, budget: int) -> Piece | None:
        """Return what to bring here next of a film; see ``choose``."""
        return choose(self.of(job), set(self.here(job)), keyframes, budget)

    def whole(self, piece: Piece) -> bool:
        """Tell whether a piece's file is what it was; one that is damaged is removed."""
        path = self.path(piece)
        try:
            same = file_sha256(path) == piece.sha256
        except FileNotFoundError:
            return False
        if not same:
            path.unlink()
        return same

    def sweep(self) -> None:
        """Remove every file that no unfinished film needs, nor one that ended a short while ago."""
        mine = Film.owner == self._owner
        ended = sa.select(Film.job).where(mine, Film.status.in_(ENDED))
        kept = ended.order_by(Film.finished_at.desc()).limit(KEPT)
        with Session(self._engine) as session:
            wanted = sa.or_(Film.status.in_(UNFINISHED), Film.job.in_(list(session.scalars(kept))))
            query = sa.select(Piece.object).join(Film, Film.job == Piece.job)
            needed = set(session.scalars(query.where(mine, wanted)))
        for path in self._folder.glob("*/*"):
            if path.name.partition(".")[0] not in needed:
                path.unlink(missing_ok=True)
