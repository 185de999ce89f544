"""The pictures that scenes begin from: kept on this laptop, and brought to engines that lack them.

A still is named by the SHA-256 of its content and never changes. It knows Pillow and a connection,
not what a draft is.
"""

import asyncio
from collections.abc import Container
from io import BytesIO
from pathlib import Path

from PIL import Image

from engine.film.recipe import Recipe
from engine.wire.client import Connection
from ui.storage.start_images import still_of

PNG = "image/png"
THUMBNAIL = 480  # pixels of the longer side


class Stills:
    """Files of one folder; safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes) -> str:
        """Keep a user's picture; return its name.

        Raises:
            InvalidParameterError: it is no picture that can be used.
        """
        still = still_of(data)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.has(still.name):
            part = self.path(still.name).with_suffix(".part")
            part.write_bytes(still.png)
            part.replace(self.path(still.name))
        return still.name

    def path(self, name: str) -> Path:
        """Return where a still is, or would be."""
        return self._folder / f"{name}.png"

    def has(self, name: str) -> bool:
        """Tell whether a still is here."""
        return self.path(name).is_file()

    def thumbnail(self, name: str) -> bytes:
        """Return a small JPEG of a still; empty if it is not here or cannot be read."""
        try:
            with Image.open(self.path(name)) as picture:
                picture.thumbnail((THUMBNAIL, THUMBNAIL))
                jpeg = BytesIO()
                picture.convert("RGB").save(jpeg, "JPEG", quality=80)
        except OSError:
            return b""
        return jpeg.getvalue()

    def sweep(self, needed: Container[str]) -> None:
        """Remove every still but those that are named."""
        for path in self._folder.glob("*"):
            if path.stem not in needed:
                path.unlink(missing_ok=True)

    async def bring(self, connection: Connection, recipe: Recipe) -> None:
        """Bring an engine what a recipe's scenes begin from and it lacks; what is not here stays.

        Raises:
            VisionFluxError: the engine cannot be reached, or did not accept one.
        """
        if not recipe.start_images:
            return
        for name in await connection.find_missing(recipe.start_images):
            if await asyncio.to_thread(self.has, name):
                await connection.upload(name, self.path(name), PNG)
