"""A user's picture made ready to begin a scene from: upright, in sRGB, RGB, of a size to send.

What arrives may be anything; nothing of it remains but pixels, so that neither where it was taken
nor by whom is told to an engine. It knows Pillow, not where stills are kept.
"""

import asyncio
import hashlib
from collections.abc import Callable, Container, Iterable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from engine.errors import InvalidParameterError
from engine.film.recipe import SETTINGS, Recipe
from engine.wire.client import Connection
from ui.storage.files import make_private_folder, write_private

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 64_000_000  # that are decoded; 256 MB as RGBA
MIN_SIDE_PIXELS, MAX_SIDE_PIXELS = map(
    int, SETTINGS["width"].bounds
)  # pixels of the sides of a start image
REMEDY = "drop a JPEG, PNG or WebP picture"


class PreparedImage(NamedTuple):
    """A picture as scenes begin from it.

    Attributes:
        name: SHA-256 of ``png``.
        png: 8 bits, RGB, no metadata.
    """

    name: str
    png: bytes


def prepare_image(data: bytes) -> PreparedImage:
    """Make a user's picture ready.

    Raises:
        InvalidParameterError: it is no picture that can be read, too large, or a mere strip.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            _check_size(*picture.size)
            picture.draft(
                "RGB", (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS)
            )  # a large JPEG is decoded smaller
            flat = _flat(_in_srgb(ImageOps.exif_transpose(picture)))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _refused("this file is no picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise _refused("this picture is too large") from error
    png = BytesIO()
    _sized(flat).save(png, "PNG")
    return PreparedImage(hashlib.sha256(png.getvalue()).hexdigest(), png.getvalue())


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _refused(f"this picture has {width}×{height} pixels; {MAX_PIXELS:,} are possible")
    if max(width, height) * MIN_SIDE_PIXELS > min(width, height) * MAX_SIDE_PIXELS:
        raise _refused(f"{width}×{height} is a strip, of which a film would show next to nothing")


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return a picture in sRGB; a damaged profile counts as none."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        own, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        found = ImageCms.profileToProfile(picture, own, srgb, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return found or picture


def _flat(picture: Image.Image) -> Image.Image:
    """Return a picture as 8-bit RGB, on white where it is transparent, without metadata."""
    if picture.mode.startswith("I"):  # 16 bits a pixel
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    colours = picture.convert("RGBA")
    flat = Image.new("RGB", colours.size, "white")
    flat.paste(colours, mask=colours.getchannel("A"))
    return flat


def _sized(picture: Image.Image) -> Image.Image:
    """Return a picture whose sides an engine accepts; a small one grows, nothing is squeezed."""
    scale = min(1.0, MAX_SIDE_PIXELS / max(picture.size))
    scale = max(scale, MIN_SIDE_PIXELS / min(picture.size))
    if scale == 1:
        return picture
    width, height = (
        max(MIN_SIDE_PIXELS, min(MAX_SIDE_PIXELS, round(side * scale))) for side in picture.size
    )
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _refused(problem: str) -> InvalidParameterError:
    return InvalidParameterError("start_image", problem, REMEDY)


PNG = "image/png"
THUMBNAIL_SIDE_PIXELS = 480  # pixels of the longer side


class StartImages:
    """Files of one folder; safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes) -> str:
        """Keep a user's picture; return its name.

        Raises:
            InvalidParameterError: it is no picture that can be used.
        """
        still = prepare_image(data)
        make_private_folder(self._folder)
        if not self.has(still.name):
            write_private(self.path(still.name), still.png)
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
                picture.thumbnail((THUMBNAIL_SIDE_PIXELS, THUMBNAIL_SIDE_PIXELS))
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

    async def upload(
        self,
        connection: Connection,
        recipe: Recipe,
        on_bytes: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        """Upload the start pictures of a recipe that an engine lacks and that are here.

        Args:
            connection: to the engine.
            recipe: of a film.
            on_bytes: called with the bytes that were sent and the bytes to send.

        Raises:
            VisionFluxError: the engine cannot be reached, or did not accept one.
        """
        if not recipe.start_images:
            return
        missing = await connection.find_missing(recipe.start_images)
        sizes = await asyncio.to_thread(self._sizes, missing)
        sent, whole = 0, sum(sizes.values())
        for name, size in sizes.items():
            on_bytes(sent, whole)
            advance = partial(_advance, on_bytes, sent, whole)
            await connection.upload(name, self.path(name), PNG, on_bytes=advance)
            sent += size

    def _sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the bytes of those pictures that are here, by name."""
        return {name: self.path(name).stat().st_size for name in names if self.has(name)}


def _advance(on_bytes: Callable[[int, int], None], before: int, whole: int, sent: int) -> None:
    """Report the progress of one upload as progress of all."""
    on_bytes(before + sent, whole)
