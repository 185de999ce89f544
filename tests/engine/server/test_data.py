"""Objects from another engine: taken in when they are what they say, refused when they are not."""

import hashlib
import struct
import zlib
from pathlib import Path

import msgspec
import pytest

from engine.errors import InvalidParameterError
from engine.film.plan import Plan
from engine.server.data import Uploads
from engine.storage.journal import Journal
from engine.storage.object_store import ObjectStore
from engine.wire.handshake import open_socket
from engine.wire.messages.codec import decode_part, encode_part
from engine.wire.messages.limits import DATA_PATH, LIMITS
from engine.wire.messages.requests import UploadPart
from engine.wire.pairing import Pairing
from tests.conftest import a_recipe, an_engine, connected

pytestmark = pytest.mark.anyio
NAME = "a" * 64


def a_png(width: int = 64, height: int = 64, kind: int = 2) -> bytes:
    """Return a PNG of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    rows = b"".join(b"\0" + bytes(3 * min(width, 64)) for _ in range(min(height, 64)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def a_part(content: bytes, **change: object) -> UploadPart:
    about = {"object": NAME, "offset": 0, "media_type": "image/png", "size": len(content)}
    sha256 = hashlib.sha256(content).hexdigest()
    return UploadPart(**{"id": 1, **about, "sha256": sha256, "data": content, **change})  # type: ignore[arg-type]


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(ObjectStore(tmp_path, Journal(tmp_path / "j.db")))


@pytest.mark.parametrize("detail", ["", "crossfade", "tiled rerolled"])
def test_a_part_survives_the_wire(detail: str) -> None:
    """Also of a keyframe of which there are two things to say."""
    part = a_part(a_png(), detail=detail)
    assert decode_part(encode_part(part)) == part


async def test_an_object_exists_once_it_is_complete(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, Journal(tmp_path / "j.db"))
    uploads, content = Uploads(store), a_png()
    first = a_part(content, data=content[:20])
    await uploads.take(first)
    assert store.find(NAME) is None
    await uploads.take(msgspec.structs.replace(first, offset=20, data=content[20:]))
    assert store.path(NAME).read_bytes() == content


async def test_a_part_at_the_beginning_begins_anew(tmp_path: Path) -> None:
    """What an error about an offset advises works on the same connection."""
    store = ObjectStore(tmp_path, Journal(tmp_path / "j.db"))
    uploads, content = Uploads(store), a_png()
    first = a_part(content, data=content[:20])
    await uploads.take(first)
    with pytest.raises(InvalidParameterError, match="20 was expected") as caught:
        await uploads.take(msgspec.structs.replace(first, offset=10, data=content[10:]))
    assert caught.value.remedy == "begin again at 0"
    await uploads.take(msgspec.structs.replace(first, data=content))
    assert store.path(NAME).read_bytes() == content


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("sha256", a_part(a_png(), sha256="0" * 64)),
        ("media_type", a_part(b"<svg onload=alert(1)>" * 10)),
        ("media_type", a_part(a_png(), media_type="video/mp4")),
        ("object", a_part(a_png(60_000, 60_000))),
        ("object", a_part(a_png(64, 64, kind=6))),
        ("object", a_part(a_png(8, 8))),
        ("offset", a_part(a_png(), offset=5, data=b"x")),
    ],
)
async def test_an_upload_that_differs_from_its_description_is_refused(
    uploads: Uploads, field: str, part: UploadPart
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        await uploads.take(part)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "change",
    [{"size": LIMITS.upload + 1}, {"object": "../../engine.key"}, {"media_type": "text/html"}],
)
def test_a_part_beyond_the_limits_is_not_even_read(change: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterError):
        decode_part(encode_part(a_part(a_png(), **change)))


def test_more_than_was_announced_is_refused() -> None:
    with pytest.raises(InvalidParameterError):
        decode_part(encode_part(a_part(a_png(), size=10)))


async def test_what_is_unfinished_goes_with_its_connection(tmp_path: Path) -> None:
    uploads = Uploads(ObjectStore(tmp_path, Journal(tmp_path / "j.db")))
    await uploads.take(a_part(a_png(), size=10_000))
    assert list((tmp_path / "scratch").iterdir())
    uploads.close()
    assert not list((tmp_path / "scratch").iterdir())


# A film that moves to another engine


async def test_an_engine_lists_the_objects_that_it_lacks(engine: Pairing) -> None:
    recipe = a_recipe()
    async with connected(engine) as client:
        await client.connection.submit("job-0001", recipe)
        await client.connection.watch("job-0001")
        await client.ended("job-0001")
        planned = Plan(recipe, model="landscapes@0", interpolator="none@0")
        known = [node.name for node in planned.keyframes]
        assert await client.connection.find_missing([*known, NAME]) == (NAME,)


async def test_a_refused_upload_leaves_the_socket_usable(engine: Pairing, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"not a picture" * 10)
    async with connected(engine) as client:
        with pytest.raises(InvalidParameterError):
            await client.connection.upload(NAME, file, "image/png")
        file.write_bytes(a_png())
        await client.connection.upload(NAME, file, "image/png", origin="elsewhere")
        assert await client.connection.find_missing([NAME]) == ()
    async with open_socket(engine, DATA_PATH) as socket:
        await socket.send(b"\x09")
        assert "E_MALFORMED" in str(await socket.recv())


async def test_engines_share_no_state_but_uploads(tmp_path: Path) -> None:
    async with an_engine(tmp_path / "one") as one, an_engine(tmp_path / "two") as two:
        async with connected(one) as first:
            await first.connection.submit("job-0001", a_recipe("a", "b"))
            await first.connection.watch("job-0001")
            await first.ended("job-0001")
        async with connected(two) as second:
            names = [
                m.event.object for m in first.events("job-0001") if "Finished(" in repr(m.event)
            ]  # type: ignore[union-attr]
            assert set(await second.connection.find_missing(names)) == set(names)
