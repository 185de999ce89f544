"""The small pictures of keyframes: kept as they arrive, or made from keyframes fetched for them.

It knows a connection, the board and the library, not what the pictures are shown for.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from PIL import Image

from engine.errors import VisionFluxError
from engine.film.events import PieceFinished, remarks
from engine.film.progress import Progress
from engine.film.stages import KEYFRAME
from engine.wire.client import Connection
from engine.wire.messages.responses import JobEvent, Preview, Snapshot
from ui.storage.files import write_private
from ui.storage.job_views import JobViews
from ui.storage.library import Library
from ui.storage.preferences import Preferences
from ui.storage.tables import Piece

log = logging.getLogger(__name__)

PREVIEW_WAIT_SECONDS = 1.0  # seconds in which a finished keyframe's own preview may still come
MAX_SIDE_PIXELS = 512  # pixels of a small picture's longer side


class Thumbnails:
    """The pictures of one engine's jobs."""

    def __init__(
        self,
        connection: Connection,
        job_views: JobViews,
        library: Library,
        preferences: Preferences,
        begin: Callable[[Coroutine[Any, Any, None]], None],
        *,
        near: bool,
    ) -> None:
        """Show nothing yet.

        Args:
            connection: to the engine.
            job_views: where the jobs' views are.
            library: where the pictures are.
            preferences: whether a film's pieces may be brought here.
            begin: runs work beside the caller's.
            near: whether fetching costs nothing, since the engine is on this laptop.
        """
        self._connection = connection
        self._job_views = job_views
        self._library = library
        self._preferences = preferences
        self._begin = begin
        self._near = near
        self._download_lock = asyncio.Lock()

    def receive(self, message: Snapshot | JobEvent | Preview, final: bool) -> None:
        """Show what a message tells or shows of keyframes; ``final``: its job has ended."""
        match message:
            case Preview(kind="keyframe"):
                self._begin(self._keep(message))
            case JobEvent(job=job, event=PieceFinished(stage=KEYFRAME.name) as event):
                if self._near and not final and "blank" not in remarks(event.detail):
                    self._begin(self._download(job, event.index, event.object))
            case Snapshot(job=job, progress=progress):
                if self._near or (final and self._preferences.mirror):
                    self._download_all(job, progress, final)

    def _download_all(self, job: str, progress: Progress, final: bool) -> None:
        """Fetch what is finished; of a job that has ended the first one, for its poster."""
        names = [
            (index, name)
            for index, name in enumerate(progress.keyframes)
            if "blank" not in remarks(progress.of(KEYFRAME).details.get(index, ""))
        ]
        for index, name in names[: 1 if final else None]:
            if name:
                self._begin(self._download(job, index, name))

    def piece_downloaded(self, piece: Piece, file: Path) -> None:
        """Show a piece that was brought here, if it is a keyframe and no preview of it comes."""
        if piece.stage is KEYFRAME and "blank" not in remarks(piece.detail):
            self._begin(self._make_after_wait(piece, file))

    async def _make_after_wait(self, piece: Piece, file: Path) -> None:
        await asyncio.sleep(PREVIEW_WAIT_SECONDS)
        await self._make(piece.job, piece.index, file)

    async def _keep(self, preview: Preview) -> None:
        """Keep the preview of a finished keyframe."""
        path = self._library.picture(preview.job, preview.index)
        await asyncio.to_thread(write_private, path, preview.jpeg)
        self._show(preview.job, preview.index)

    async def _download(self, job: str, index: int, name: str) -> None:
        """Fetch a keyframe that came without a preview, as one that was reused does."""
        await asyncio.sleep(PREVIEW_WAIT_SECONDS)
        async with self._download_lock:
            if not self._lacks(job, index):
                return
            whole = self._library.picture(job, index).with_suffix(".whole")
            try:
                await self._connection.fetch(name, whole)
            except (VisionFluxError, OSError) as error:
                log.info("keyframe %s of %s could not be fetched: %s", index, job, error)
                return
            await self._make(job, index, whole)
            whole.unlink(missing_ok=True)

    async def _make(self, job: str, index: int, keyframe: Path) -> None:
        """Make the picture of a keyframe whose file is here, if there is none."""
        if not self._lacks(job, index):
            return
        try:
            await asyncio.to_thread(_shrink, keyframe, self._library.picture(job, index))
        except OSError as error:
            log.info("keyframe %s of %s stays without a picture: %s", index, job, error)
        else:
            self._show(job, index)

    def _lacks(self, job: str, index: int) -> bool:
        with self._job_views.reading(job) as view:
            return view is not None and not view.successor and index not in view.pictures

    def _show(self, job: str, index: int) -> None:
        with self._job_views.changing(job) as view:
            if view:
                view.pictures.add(index)


def _shrink(source: Path, target: Path) -> None:
    """Turn a keyframe into a small JPEG."""
    with Image.open(source) as picture:
        picture.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        picture.convert("RGB").save(target, "JPEG", quality=85)
