"""The finished pieces of unfinished films, kept here to resume the films elsewhere.

What is known of a piece is a row in SQL; whether it is here, its file alone tells. Files lie under
their content address, so films that share a piece share its file. It does not know connections.
"""

import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from engine.files import file_sha256
from engine.film.events import PieceFinished
from engine.film.stages import STAGES, Stage
from ui.storage.tables import ENDED, UNFINISHED, Film, Piece, stage_key

RESTARTABLE_FILMS = (
    3  # films that failed or were cancelled and may be started again with what they have
)


def is_mirrored(stage: Stage) -> bool:
    """Tell whether the pieces of a stage are kept here while a film is made.

    What there is one of per film, such as the film itself, is downloaded at its end.
    """
    return stage.of != "film"


def piece_of(job: str, event: PieceFinished) -> Piece | None:
    """Return the row of a piece that is kept here; None for other pieces."""
    stage = STAGES.get(event.stage)
    if stage is None or not is_mirrored(stage):
        return None
    return Piece(
        job=job,
        key=stage_key(stage),
        index=event.index,
        object=event.object,
        sha256=event.sha256,
        size=event.size,
        origin=event.origin,
        detail=event.detail,
    )


def choose(
    pieces: Iterable[Piece], here: set[str], whole: Mapping[str, int], budget: int
) -> Piece | None:
    """Return what to download next: pieces of the first stage first.

    A piece is left out if pieces of an earlier stage, those to come included, may need its room.

    Args:
        pieces: of one film.
        here: content addresses of those that are here.
        whole: number of pieces that the film will have, by the stage's name.
        budget: bytes that the film's pieces may take here.
    """
    known = {piece.object: piece for piece in pieces}
    room = budget - sum(piece.size for piece in known.values() if piece.object in here)
    for stage in filter(is_mirrored, STAGES.values()):
        mine = [piece for piece in known.values() if piece.stage is stage]
        missing = [piece for piece in mine if piece.object not in here]
        for piece in sorted(missing, key=lambda piece: piece.index):
            if piece.size <= room:
                return piece
        to_come = whole.get(stage.name, 0) - (len(mine) - len(missing))
        room -= to_come * max((piece.size for piece in mine), default=budget + 1)
    return None


class Pieces:
    """Files of all films, and the rows of ``ui.storage.event_log``; safe to use from any thread."""

    def __init__(self, engine: sa.Engine, folder: Path, owner: str = "") -> None:
        """Open what the library's database notes; files of one owner's films lie in ``folder``."""
        self._engine = engine
        self._owner = owner
        self._folder = folder

    def of(self, job: str) -> list[Piece]:
        """Return the pieces of a film: keyframes, then segments, then others, each in order."""
        query = sa.select(Piece).where(Piece.job == job).order_by(Piece.key, Piece.index)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(query))

    def path(self, piece: Piece) -> Path:
        """Return where a piece's file is, or will be."""
        name = f"{piece.object}{mimetypes.guess_extension(piece.stage.media_type)}"
        return self._folder / piece.object[:2] / name

    def here(self, job: str) -> dict[str, Piece]:
        """Return the pieces of a film whose files are here, by content address."""
        return {piece.object: piece for piece in self.of(job) if self.path(piece).is_file()}

    def next(self, job: str, whole: Mapping[str, int], budget: int) -> Piece | None:
        """Return what to download next of a film; see ``choose``."""
        return choose(self.of(job), set(self.here(job)), whole, budget)

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
        kept = ended.order_by(Film.finished_at.desc()).limit(RESTARTABLE_FILMS)
        with Session(self._engine) as session:
            wanted = sa.or_(Film.status.in_(UNFINISHED), Film.job.in_(list(session.scalars(kept))))
            query = sa.select(Piece.object).join(Film, Film.job == Piece.job)
            needed = set(session.scalars(query.where(mine, wanted)))
        for path in self._folder.glob("*/*"):
            if path.name.partition(".")[0] not in needed:
                path.unlink(missing_ok=True)
