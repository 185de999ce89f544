"""Joins the finished segments of a film so that they can be played while the rest is made.

It knows pieces; ``ui.engines.hub`` downloads those that are not here yet. A partial film is stored
among the pieces under an address of its own, so that sweeping the pieces removes it too.
"""

import hashlib
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from engine.errors import AssemblyError, LimitError
from engine.film.stages import SEGMENT
from ui.engines.hub import Hub
from ui.routes import ffmpeg
from ui.storage.files import make_private_folder
from ui.storage.tables import Piece, stage_key

PARTS_PER_JOB = 4  # partial films to keep; a page may still play an older one


class PartialFilms:
    """Joins finished segments; safe to use from any thread."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Path]] = {}  # by job, the last requested one at the end
        self._joining = threading.Lock()

    def play(self, hub: Hub, job: str, count: int) -> Path:
        """Return a film of a job's first ``count`` segments; may take a while.

        Raises:
            VisionFluxError: not all of them are finished, or one cannot be downloaded.
        """
        segments = _first(hub.pieces.of(job), count)
        hub.download_pieces(
            job, [piece for piece in segments if not hub.pieces.path(piece).is_file()]
        )
        names = "".join(piece.object for piece in segments)
        address = hashlib.sha256(names.encode()).hexdigest()
        whole = Piece(job=job, key=stage_key(SEGMENT), index=0, object=address, sha256="", size=0)
        target = hub.pieces.path(whole)
        with self._joining:
            if not target.is_file():
                make_private_folder(target.parent)
                _join([hub.pieces.path(piece) for piece in segments], target)
            self._keep(job, target)
        return target

    def _keep(self, job: str, requested: Path) -> None:
        """Keep a job's partial films that were requested last; remove the others."""
        parts = [part for part in self._parts.get(job, []) if part != requested] + [requested]
        self._parts[job] = parts[-PARTS_PER_JOB:]
        for part in parts[:-PARTS_PER_JOB]:
            part.unlink(missing_ok=True)


def _first(pieces: Sequence[Piece], count: int) -> list[Piece]:
    segments = [piece for piece in pieces if piece.stage is SEGMENT][:count]
    if not count or [piece.index for piece in segments] != list(range(count)):
        raise LimitError(f"fewer than {count} segments are finished")
    return segments


def _join(segments: Sequence[Path], target: Path) -> None:
    """Join segments into one file without encoding them again.

    Raises:
        AssemblyError: ffmpeg could not join them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        part = target.with_suffix(".joining")
        films = ffmpeg.joined_input(segments, Path(scratch, "segments.txt"))
        copied = ["-c", "copy", "-movflags", "+faststart", *ffmpeg.output(part, "mp4")]
        failure = AssemblyError("the finished part could not be joined")
        try:
            ffmpeg.run([*films, *copied], failure)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
