"""The finished pieces of unfinished films, stored here so that another engine can continue them.

A piece has a row in SQL and, once it is downloaded, a file. Files are named by content address, so
films that share a piece share its file. It does not know connections.
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

RESTARTABLE_FILMS = 3  # failed or cancelled films whose pieces are kept


def is_mirrored(stage: Stage) -> bool:
    """Return whether the pieces of a stage are downloaded while a film is made.

    Stages with one piece per film, such as the film itself, are downloaded at the end.
    """
    return stage.of != "film"


def piece_of(job: str, event: PieceFinished) -> Piece | None:
    """Return the row of a finished piece; None if its stage is not mirrored."""
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
    pieces: Iterable[Piece], downloaded: set[str], whole: Mapping[str, int], budget: int
) -> Piece | None:
    """Return the piece to download next, in the order of the stages; None if there is none.

    A piece is skipped if pieces of an earlier stage, finished or not, may need its bytes.

    Args:
        pieces: of one film.
        downloaded: content addresses of the pieces that were downloaded.
        whole: number of pieces that the film will have, by stage.
        budget: bytes that the film's pieces may take.
    """
    known = {piece.object: piece for piece in pieces}
    room = budget - sum(piece.size for piece in known.values() if piece.object in downloaded)
    for stage in filter(is_mirrored, STAGES.values()):
        mine = [piece for piece in known.values() if piece.stage is stage]
        missing = [piece for piece in mine if piece.object not in downloaded]
        for piece in sorted(missing, key=lambda piece: piece.index):
            if piece.size <= room:
                return piece
        to_come = whole.get(stage.name, 0) - (len(mine) - len(missing))
        room -= to_come * max((piece.size for piece in mine), default=budget + 1)
    return None


class Pieces:
    """Reads the rows of pieces and manages their files; safe to use from any thread."""

    def __init__(self, engine: sa.Engine, folder: Path, owner: str = "") -> None:
        """Open the pieces of one owner's films.

        Args:
            engine: of the library's database.
            folder: of the pieces' files.
            owner: id of the account; empty for an app without accounts.
        """
        self._engine = engine
        self._owner = owner
        self._folder = folder

    def of(self, job: str) -> list[Piece]:
        """Return the pieces of a film, sorted by stage and index."""
        query = sa.select(Piece).where(Piece.job == job).order_by(Piece.key, Piece.index)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(query))

    def path(self, piece: Piece) -> Path:
        """Return the path of a piece's file."""
        name = f"{piece.object}{mimetypes.guess_extension(piece.stage.media_type)}"
        return self._folder / piece.object[:2] / name

    def downloaded(self, job: str) -> dict[str, Piece]:
        """Return the downloaded pieces of a film, by content address."""
        return {piece.object: piece for piece in self.of(job) if self.path(piece).is_file()}

    def next(self, job: str, whole: Mapping[str, int], budget: int) -> Piece | None:
        """Return the piece of a film to download next; see ``choose``."""
        return choose(self.of(job), set(self.downloaded(job)), whole, budget)

    def is_intact(self, piece: Piece) -> bool:
        """Return whether a piece's file exists and is intact; remove a damaged one."""
        path = self.path(piece)
        try:
            same = file_sha256(path) == piece.sha256
        except FileNotFoundError:
            return False
        if not same:
            path.unlink()
        return same

    def sweep(self) -> None:
        """Remove the files that neither unfinished nor restartable films need."""
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
