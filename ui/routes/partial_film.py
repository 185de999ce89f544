"""The part of a film that is finished, joined so that it can be played while the rest is made.

It knows pieces and ffmpeg; ``ui.engines.hub`` brings what is not here yet. What it makes lies among
the pieces under an address of its own, so that their sweep takes it away with them.
"""

import hashlib
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

from engine.errors import AssemblyError, LimitError
from ui.engines.hub import Hub
from ui.storage.tables import SEGMENT, Piece

SAFE = ("-protocol_whitelist", "file", "-format_whitelist", "concat,mov")  # no playlists


class PartialFilms:
    """Joins finished segments; safe to use from any thread."""

    def __init__(self) -> None:
        self._newest: dict[str, Path] = {}  # by job
        self._joining = threading.Lock()

    def play(self, hub: Hub, job: str, count: int) -> Path:
        """Return a film of the first ``count`` segments of a job; may take a while.

        Raises:
            VisionFluxError: they are not all finished, or cannot be had now.
        """
        segments = _first(hub.pieces.of(job), count)
        hub.bring(job, [piece for piece in segments if not hub.pieces.path(piece).is_file()])
        names = "".join(piece.object for piece in segments)
        address = hashlib.sha256(names.encode()).hexdigest()
        whole = Piece(job=job, media_type=SEGMENT, index=0, object=address, sha256="", size=0)
        target = hub.pieces.path(whole)
        with self._joining:
            if not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _join([hub.pieces.path(piece) for piece in segments], target)
            self._keep(job, target)
        return target

    def _keep(self, job: str, newest: Path) -> None:
        """Let a longer part take the place of the one before it."""
        before = self._newest.get(job)
        if before and before != newest:
            before.unlink(missing_ok=True)
        self._newest[job] = newest


def _first(pieces: Sequence[Piece], count: int) -> list[Piece]:
    segments = [piece for piece in pieces if not piece.is_keyframe][:count]
    if not count or [piece.index for piece in segments] != list(range(count)):
        raise LimitError(f"fewer than {count} segments are finished")
    return segments


def _join(segments: Sequence[Path], target: Path) -> None:
    """Copy the packets of segments into one file.

    Raises:
        AssemblyError: ffmpeg could not do it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch, "segments.txt")
        lines = ("file '" + str(path).replace("'", r"'\''") + "'\n" for path in segments)
        listing.write_text("".join(lines), "utf-8")
        part = target.with_suffix(".joining")
        source = [*SAFE, "-f", "concat", "-safe", "0", "-i", str(listing)]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *source]
        command += ["-c", "copy", "-movflags", "+faststart", "-f", "mp4", str(part)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            part.unlink(missing_ok=True)
            said = error.stderr.decode(errors="replace").strip()
            raise AssemblyError(f"the finished part could not be joined: {said[-200:]}") from error
        part.replace(target)
