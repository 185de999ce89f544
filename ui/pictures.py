"""The small pictures of keyframes: kept as they arrive, or made from keyframes fetched for them.

It knows a connection, the board and the library, not what the pictures are shown for.
"""

import asyncio
import logging
from pathlib import Path

from PIL import Image

from engine.client import Connection
from engine.errors import VisionFluxError
from engine.protocol.answers import Preview
from ui.board import Board
from ui.library import Library

log = logging.getLogger(__name__)

GRACE = 1.0  # seconds in which a finished keyframe's own preview may still come
SIDE = 512  # pixels of a small picture's longer side


class Pictures:
    """The pictures of one engine's jobs."""

    def __init__(self, connection: Connection, board: Board, library: Library) -> None:
        self._connection = connection
        self._board = board
        self._library = library
        self._one_by_one = asyncio.Lock()

    async def keep(self, preview: Preview) -> None:
        """Keep the preview of a finished keyframe."""
        path = self._library.picture(preview.job, preview.index)
        await asyncio.to_thread(path.write_bytes, preview.jpeg)
        self._show(preview.job, preview.index)

    async def fetch(self, job: str, index: int, name: str) -> None:
        """Fetch a keyframe that came without a preview, as one that was reused does."""
        await asyncio.sleep(GRACE)
        async with self._one_by_one:
            if not self._lacks(job, index):
                return
            whole = self._library.picture(job, index).with_suffix(".whole")
            try:
                await self._connection.fetch(name, whole)
            except (VisionFluxError, OSError) as error:
                log.info("keyframe %s of %s could not be fetched: %s", index, job, error)
                return
            await self.make(job, index, whole)
            whole.unlink()

    async def make(self, job: str, index: int, keyframe: Path) -> None:
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
        with self._board.reading(job) as view:
            return view is not None and not view.successor and index not in view.pictures

    def _show(self, job: str, index: int) -> None:
        with self._board.changing(job) as view:
            if view:
                view.pictures.add(index)


def _shrink(source: Path, target: Path) -> None:
    """Turn a keyframe into a small JPEG."""
    with Image.open(source) as picture:
        picture.thumbnail((SIDE, SIDE))
        picture.convert("RGB").save(target, "JPEG", quality=85)
