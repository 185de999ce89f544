"""Serves one client on the data socket: sends objects, and checks and stores uploads.

The size, hash, type and dimensions of an upload are checked before it is stored. Pictures are
decoded only in the worker. Files are written, hashed and flushed in threads; the journal is used in
the server's thread.
"""

import asyncio
import struct
from pathlib import Path

from engine.errors import InvalidParameterError, LimitError, UnknownObjectError, VisionFluxError
from engine.files import file_sha256
from engine.film.recipe import MAX_FILM_PIXELS, MAX_FILM_SIDE
from engine.storage.journal import ObjectRecord
from engine.storage.object_store import ObjectStore, translated
from engine.wire.messages import codec, requests, responses
from engine.wire.messages.limits import LIMITS
from engine.wire.messages.requests import UploadPart
from engine.wire.transport import ServerTransport

PNG_HEAD = struct.Struct(
    ">8sI4sIIBB"
)  # signature, IHDR's length and name, width, height, depth, kind
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB = 2  # colour type, PNG specification 11.2.1


class Uploads:
    """The uploads of one connection; closing it removes unfinished ones."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._files: dict[str, Path] = {}

    async def take(self, part: UploadPart) -> None:
        """Write a part of an object; the last one completes the object.

        Raises:
            InvalidParameterError: parts are out of order, or the whole is not as described.
            LimitError: too many objects are being uploaded.
            StorageError: the disk is full.
        """
        if await self._has(part):
            return  # uploaded before: the node's name stands for this content
        file = self._files.get(part.object) or self._begin(part)
        if await asyncio.to_thread(_append, file, part) == part.size:
            await self._finish(part, file)

    def close(self) -> None:
        """Remove unfinished uploads."""
        for file in self._files.values():
            self._store.discard(file)
        self._files.clear()

    async def _has(self, part: UploadPart) -> bool:
        """Return whether an object is stored; before its first part, check its content too."""
        if part.offset:
            return self._store.find(part.object) is not None
        return await self._store.checked(part.object) is not None

    def _begin(self, part: UploadPart) -> Path:
        if len(self._files) >= LIMITS.uploads:
            problem = f"{LIMITS.uploads} objects are being uploaded at once by this connection"
            raise LimitError(problem, remedy="finish one first", field="object")
        file = self._files[part.object] = self._store.scratch(part.media_type, part.size)
        return file

    async def _finish(self, part: UploadPart, file: Path) -> None:
        about = (part.sha256, part.size, part.media_type, part.detail, part.origin)
        row = ObjectRecord(part.object, *about)
        try:
            await asyncio.to_thread(_check, part, file)
            await asyncio.to_thread(self._store.place, file, row)
        finally:
            del self._files[part.object]
            self._store.discard(file)
        self._store.index(row)


def _append(file: Path, part: UploadPart) -> int:
    """Append a part to a file; return the bytes written so far."""
    with translated(file), file.open("ab" if part.offset else "wb") as sink:
        if sink.tell() != part.offset:
            raise InvalidParameterError(
                "offset", f"it is {part.offset}, {sink.tell()} was expected", "begin again at 0"
            )
        sink.write(part.data)
        return sink.tell()


def _check(part: UploadPart, file: Path) -> None:
    with translated(file):
        with file.open("rb") as source:
            head = source.read(PNG_HEAD.size)
        if file_sha256(file) != part.sha256:
            raise InvalidParameterError("sha256", "the content has another", "upload it again")
    if part.media_type == "image/png":
        _check_png(head)
    elif head[4:8] != b"ftyp":
        raise InvalidParameterError("media_type", "the content is no MP4", "upload only segments")


def _check_png(head: bytes) -> None:
    if len(head) < PNG_HEAD.size or not head.startswith(PNG_SIGNATURE):
        raise InvalidParameterError("media_type", "the content is no PNG", "upload only keyframes")
    _, _, name, width, height, depth, kind = PNG_HEAD.unpack(head)
    sides = range(LIMITS.min_side, MAX_FILM_SIDE + 1)  # keyframes may be enlarged
    fits = width in sides and height in sides and width * height <= MAX_FILM_PIXELS
    if name != b"IHDR" or (depth, kind) != (8, RGB) or not fits:
        raise InvalidParameterError(
            "object", f"it is no keyframe: {width}×{height}, depth {depth}, colour type {kind}"
        )


class DataSession:
    """Serves one client on the data socket."""

    def __init__(self, connection: ServerTransport, store: ObjectStore) -> None:
        self._connection, self._store = connection, store
        self._uploads = Uploads(store)
        self._intact: set[str] = set()  # objects whose content was compared with its hash

    async def serve(self) -> None:
        """Answer requests until the client disconnects."""
        try:
            async for data in self._connection:
                await self._connection.send(await self._answer(data))
        finally:
            self._uploads.close()

    async def _answer(self, data: str | bytes) -> str | bytes:
        try:
            if isinstance(data, bytes):
                part = codec.decode_part(data)
                await self._uploads.take(part)
                return codec.encode(responses.Done(re=part.id))
            return await self._look_up(codec.decode_request(data, requests.DataRequest))
        except VisionFluxError as error:
            refused = responses.Refused(re=codec.request_id(data), error=error.report())
            return codec.encode(refused)

    async def _look_up(self, request: requests.DataRequest) -> str | bytes:
        known = isinstance(request, requests.Read) and request.object in self._intact
        row = self._store.find(request.object) if known else await self._check(request.object)
        if row is None:
            raise UnknownObjectError(request.object)
        if isinstance(request, requests.Read):
            content = await asyncio.to_thread(self._store.read, row, request.offset, request.length)
            if content and request.offset + len(content) == row.size:
                self._store.fetched(row.name)
            return codec.encode_chunk(
                responses.Chunk(re=request.id, object=row.name, offset=request.offset, data=content)
            )
        info = responses.ObjectInfo(
            re=request.id,
            object=row.name,
            size=row.size,
            sha256=row.sha256,
            media_type=row.media_type,
        )
        return codec.encode(info)

    async def _check(self, name: str) -> ObjectRecord | None:
        row = await self._store.checked(name)
        if row:
            self._intact.add(name)
        return row
