"""Users' pictures: whatever comes, what leaves is an upright sRGB PNG, or a clear refusal."""

import hashlib
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageCms

from engine.errors import InvalidParameterError
from ui.storage import start_images
from ui.storage.start_images import prepare_image


def a_file(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def halves(width: int = 120, height: int = 80) -> Image.Image:
    """Return a picture that is red on the left and blue on the right."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("blue", (width // 2, 0, width, height))
    return picture


def opened(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(prepare_image(data).png))
    picture.load()
    return picture


@pytest.mark.parametrize("format", start_images.FORMATS)
def test_pictures_of_each_kind_become_rgb(format: str) -> None:
    picture = opened(a_file(halves(), format))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (120, 80))
    red, blue = picture.getpixel((20, 40)), picture.getpixel((100, 40))
    assert red[0] > 200 > red[2]  # type: ignore[index]
    assert blue[2] > 200 > blue[0]  # type: ignore[index]


def test_a_still_is_named_by_its_content() -> None:
    prepared = prepare_image(a_file(halves()))
    assert prepared.name == hashlib.sha256(prepared.png).hexdigest()
    assert prepare_image(a_file(halves())) == prepared


def test_a_photograph_that_lies_on_its_side_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # what is its left is to be its top
    picture = opened(a_file(halves(), "JPEG", exif=exif))
    assert picture.size == (80, 120)
    assert picture.getpixel((40, 20))[0] > 200  # type: ignore[index]
    assert picture.getpixel((40, 100))[2] > 200  # type: ignore[index]


def test_nothing_but_pixels_remains() -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    prepared = prepare_image(a_file(halves(), "JPEG", exif=exif, icc_profile=srgb))
    names = [prepared.png[i + 4 : i + 8] for i in _chunks(prepared.png)]
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}
    assert b"at home" not in prepared.png


def test_colours_of_another_space_are_translated() -> None:
    """In this space what other spaces call red is blue."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    picture = opened(a_file(halves(), "PNG", icc_profile=swapped))
    assert picture.getpixel((20, 40))[2] > 200  # type: ignore[index]
    assert picture.getpixel((100, 40))[0] > 200  # type: ignore[index]


def test_a_damaged_profile_counts_as_none() -> None:
    found = opened(a_file(halves(), "PNG", icc_profile=b"nonsense" * 40))
    assert found.getpixel((20, 40)) == (255, 0, 0)


def test_transparency_lies_on_white() -> None:
    picture = opened(a_file(Image.new("RGBA", (64, 64), (255, 0, 0, 0))))
    assert picture.getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bits_keep_their_grey() -> None:
    picture = opened(a_file(Image.new("I;16", (64, 64), 32_896)))
    assert picture.getpixel((1, 1)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("before", "after"),
    [((4000, 2000), (1024, 512)), ((30, 20), (96, 64)), ((100, 900), (100, 900))],
)
def test_sides_are_such_as_engines_accept(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert opened(a_file(halves(*before))).size == after


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"<svg onload=alert(1)>", "cannot be read"),
        (a_file(halves())[:200], "cannot be read"),
        (a_file(halves(), "GIF"), "cannot be read"),
        (a_file(halves(2000, 20)), "too narrow"),
    ],
    ids=["nothing", "text", "cut", "gif", "strip"],
)
def test_what_cannot_be_used_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words) as caught:
        prepare_image(data)
    assert caught.value.field == "start_image"
    assert caught.value.remedy == start_images.REMEDY


def test_a_decompression_bomb_is_refused_before_it_is_opened() -> None:
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(bytes(9)))
    with pytest.raises(InvalidParameterError, match=r"30000×30000|too large"):
        prepare_image(bomb)


def _chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _chunks(png: bytes) -> list[int]:
    """Return where the chunks of a PNG begin."""
    places, at = [], 8
    while at < len(png):
        places.append(at)
        at += 12 + struct.unpack_from(">I", png, at)[0]
    return places
