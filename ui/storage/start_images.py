"""Start images: a user's images, prepared so that scenes can begin from them, and their files.

A prepared image is upright, in sRGB, RGB, and of a size that engines accept. Its metadata are
removed, so that no engine learns where or by whom it was taken.
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
MAX_PIXELS = 64_000_000  # of a file to decode; 256 MB as RGBA
MIN_SIDE_PIXELS = int(SETTINGS["width"].bounds.least)  # of a start image
MAX_SIDE_PIXELS = 1024
THUMBNAIL_SIDE_PIXELS = 480  # of a thumbnail's longer side
PNG = "image/png"
REMEDY = "choose a JPEG, PNG or WebP picture"


class PreparedImage(NamedTuple):
    """A start image.

    Attributes:
        name: SHA-256 of ``png``.
        png: 8 bits, RGB, no metadata.
    """

    name: str
    png: bytes


def prepare_image(data: bytes) -> PreparedImage:
    """Prepare a user's image.

    Raises:
        InvalidParameterError: it cannot be read, is too large, or is too narrow.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            _check_size(*picture.size)
            picture.draft(
                "RGB", (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS)
            )  # decode a large JPEG at a lower resolution
            flat = _flat(_in_srgb(ImageOps.exif_transpose(picture)))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _refused("this file cannot be read as a picture") from error
    except Image.DecompressionBombError as error:
        raise _refused("this picture is too large") from error
    png = BytesIO()
    _sized(flat).save(png, "PNG")
    return PreparedImage(hashlib.sha256(png.getvalue()).hexdigest(), png.getvalue())


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _refused(f"this picture has {width}×{height} pixels; the limit is {MAX_PIXELS:,}")
    if max(width, height) * MIN_SIDE_PIXELS > min(width, height) * MAX_SIDE_PIXELS:
        raise _refused(f"this picture is too narrow: {width}×{height}")


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return an image in sRGB; a damaged colour profile is ignored."""
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
    """Return an image as 8-bit RGB without metadata, with white where it was transparent."""
    if picture.mode.startswith("I"):  # 16 bits per pixel
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    colours = picture.convert("RGBA")
    flat = Image.new("RGB", colours.size, "white")
    flat.paste(colours, mask=colours.getchannel("A"))
    return flat


def _sized(picture: Image.Image) -> Image.Image:
    """Return an image whose sides an engine accepts, scaled without distortion."""
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


class StartImages:
    """The files of start images in a folder; safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes) -> str:
        """Prepare and store a user's image; return its name.

        Raises:
            InvalidParameterError: the image cannot be used.
        """
        prepared = prepare_image(data)
        make_private_folder(self._folder)
        if not self.has(prepared.name):
            write_private(self.path(prepared.name), prepared.png)
        return prepared.name

    def path(self, name: str) -> Path:
        """Return the path of an image."""
        return self._folder / f"{name}.png"

    def has(self, name: str) -> bool:
        """Return whether an image is here."""
        return self.path(name).is_file()

    def thumbnail(self, name: str) -> bytes:
        """Return a JPEG thumbnail of an image; empty if the image is missing or unreadable."""
        try:
            with Image.open(self.path(name)) as picture:
                picture.thumbnail((THUMBNAIL_SIDE_PIXELS, THUMBNAIL_SIDE_PIXELS))
                jpeg = BytesIO()
                picture.convert("RGB").save(jpeg, "JPEG", quality=80)
        except OSError:
            return b""
        return jpeg.getvalue()

    def sweep(self, needed: Container[str]) -> None:
        """Remove all images but those with a name in ``needed``."""
        for path in self._folder.glob("*"):
            if path.stem not in needed:
                path.unlink(missing_ok=True)

    async def upload(
        self,
        connection: Connection,
        recipe: Recipe,
        on_bytes: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        """Upload the start images of a recipe that an engine lacks and that are here.

        Args:
            connection: to the engine.
            recipe: of a film.
            on_bytes: called with the bytes sent and the bytes to send.

        Raises:
            VisionFluxError: the engine cannot be reached, or rejected an image.
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
        """Return the sizes in bytes of the images that are here, by name."""
        return {name: self.path(name).stat().st_size for name in names if self.has(name)}


def _advance(on_bytes: Callable[[int, int], None], before: int, whole: int, sent: int) -> None:
    """Report the progress of one upload as progress of all uploads."""
    on_bytes(before + sent, whole)
