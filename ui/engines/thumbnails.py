"""Stores thumbnails of keyframes: their previews, or copies made from downloaded keyframes.

It knows a connection, the jobs' views and the library, not where thumbnails are shown.
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

PREVIEW_WAIT_SECONDS = 1.0  # in which a finished keyframe's preview may still arrive
MAX_SIDE_PIXELS = 512  # of a thumbnail's longer side


class Thumbnails:
    """Stores the thumbnails of one engine's jobs."""

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
        """Prepare the thumbnails.

        Args:
            connection: to the engine.
            job_views: the views of the jobs.
            library: where thumbnails are stored.
            preferences: whether a film's pieces may be downloaded.
            begin: runs a coroutine in the background.
            near: whether the engine runs on this computer, so that downloads cost nothing.
        """
        self._connection = connection
        self._job_views = job_views
        self._library = library
        self._preferences = preferences
        self._begin = begin
        self._near = near
        self._download_lock = asyncio.Lock()

    def receive(self, message: Snapshot | JobEvent | Preview, final: bool) -> None:
        """Store the thumbnails that a message has or announces.

        Args:
            message: about a job.
            final: whether the job has ended.
        """
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
        """Download the finished keyframes; of an ended job the first one only, to show the film."""
        names = [
            (index, name)
            for index, name in enumerate(progress.keyframes)
            if "blank" not in remarks(progress.of(KEYFRAME).details.get(index, ""))
        ]
        for index, name in names[: 1 if final else None]:
            if name:
                self._begin(self._download(job, index, name))

    def piece_downloaded(self, piece: Piece, file: Path) -> None:
        """Make a thumbnail of a downloaded keyframe unless its preview arrives."""
        if piece.stage is KEYFRAME and "blank" not in remarks(piece.detail):
            self._begin(self._make_after_wait(piece, file))

    async def _make_after_wait(self, piece: Piece, file: Path) -> None:
        await asyncio.sleep(PREVIEW_WAIT_SECONDS)
        await self._make(piece.job, piece.index, file)

    async def _keep(self, preview: Preview) -> None:
        """Store the preview of a finished keyframe."""
        path = self._library.thumbnail(preview.job, preview.index)
        await asyncio.to_thread(write_private, path, preview.jpeg)
        self._show(preview.job, preview.index)

    async def _download(self, job: str, index: int, name: str) -> None:
        """Download a keyframe that has no preview, for example because it was reused."""
        await asyncio.sleep(PREVIEW_WAIT_SECONDS)
        async with self._download_lock:
            if not self._lacks(job, index):
                return
            whole = self._library.thumbnail(job, index).with_suffix(".whole")
            try:
                await self._connection.fetch(name, whole)
            except (VisionFluxError, OSError) as error:
                log.info("keyframe %s of %s could not be downloaded: %s", index, job, error)
                return
            await self._make(job, index, whole)
            whole.unlink(missing_ok=True)

    async def _make(self, job: str, index: int, keyframe: Path) -> None:
        """Make the thumbnail of a downloaded keyframe unless there is one."""
        if not self._lacks(job, index):
            return
        try:
            await asyncio.to_thread(_shrink, keyframe, self._library.thumbnail(job, index))
        except OSError as error:
            log.info("no thumbnail could be made of keyframe %s of %s: %s", index, job, error)
        else:
            self._show(job, index)

    def _lacks(self, job: str, index: int) -> bool:
        with self._job_views.reading(job) as view:
            return view is not None and not view.successor and index not in view.thumbnails

    def _show(self, job: str, index: int) -> None:
        with self._job_views.changing(job) as view:
            if view:
                view.thumbnails.add(index)


def _shrink(source: Path, target: Path) -> None:
    """Turn a keyframe into a small JPEG."""
    with Image.open(source) as picture:
        picture.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        picture.convert("RGB").save(target, "JPEG", quality=85)
