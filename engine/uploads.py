"""Objects that a client brings from another engine: taken in part by part, checked, then kept.

What arrives is hostile until it is proved to be what it says: size, hash, type and dimensions. The
pictures themselves are decoded only in the worker.
"""

import hashlib
import struct
from pathlib import Path

from engine.errors import InvalidParameterError
from engine.journal import ObjectRow
from engine.protocol import LIMITS, Part
from engine.store import Store, translated

PNG_HEAD = struct.Struct(
    ">8sI4sIIBB"
)  # signature, IHDR's length and name, width, height, depth, kind
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB = 2  # colour type, PNG specification 11.2.1


class Uploads:
    """The objects that one connection is bringing; what is unfinished goes with it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files: dict[str, Path] = {}

    def take(self, part: Part) -> None:
        """Take in a part; the last one makes the object count.

        Raises:
            InvalidParameterError: parts are out of order, or the whole is not what it says.
        """
        if self._store.find(part.object):
            return  # brought before: the node's name stands for this content
        file = self._files.get(part.object) or self._begin(part)
        with translated(file), file.open("ab" if part.offset else "wb") as sink:
            if sink.tell() != part.offset:
                raise InvalidParameterError(
                    "offset", f"it is {part.offset}, {sink.tell()} was expected", "begin again at 0"
                )
            sink.write(part.data)
            done = sink.tell()
        if done == part.size:
            self._finish(part, file)

    def close(self) -> None:
        """Drop what is unfinished."""
        for file in self._files.values():
            file.unlink(missing_ok=True)
            file.parent.rmdir()
        self._files.clear()

    def _begin(self, part: Part) -> Path:
        if len(self._files) >= 8:
            raise InvalidParameterError("object", "too many uploads at once", "finish one first")
        file = self._files[part.object] = self._store.scratch(part.media_type)
        return file

    def _finish(self, part: Part, file: Path) -> None:
        del self._files[part.object]
        try:
            _check(part, file)
        except InvalidParameterError:
            file.unlink()
            file.parent.rmdir()
            raise
        about = (part.sha256, part.size, part.media_type, part.detail, part.origin)
        row = ObjectRow(part.object, *about)
        self._store.place(file, row)
        self._store.index(row)


def _check(part: Part, file: Path) -> None:
    with translated(file), file.open("rb") as source:
        head = source.read(PNG_HEAD.size)
        source.seek(0)
        if hashlib.file_digest(source, "sha256").hexdigest() != part.sha256:
            raise InvalidParameterError("sha256", "the content has another", "upload it again")
    if part.media_type == "image/png":
        _check_png(head)
    elif head[4:8] != b"ftyp":
        raise InvalidParameterError("media_type", "the content is no MP4", "upload only segments")


def _check_png(head: bytes) -> None:
    if len(head) < PNG_HEAD.size or not head.startswith(PNG_SIGNATURE):
        raise InvalidParameterError("media_type", "the content is no PNG", "upload only keyframes")
    _, _, name, width, height, depth, kind = PNG_HEAD.unpack(head)
    sides = range(LIMITS.min_side, LIMITS.max_side + 1)
    if name != b"IHDR" or (depth, kind) != (8, RGB) or width not in sides or height not in sides:
        raise InvalidParameterError(
            "object", f"it is no keyframe: {width}×{height}, depth {depth}, colour type {kind}"
        )
