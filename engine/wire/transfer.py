"""Downloads objects from an engine into files, and uploads files to an engine.

It knows the messages of the data socket; ``engine.wire.handshake`` opens the socket.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from engine.errors import ConnectionLostError, MalformedMessageError, VisionFluxError
from engine.files import file_sha256
from engine.wire.messages import codec, limits, requests, responses
from engine.wire.messages.responses import Chunk

CHUNK_BYTES = 64 * 2**10  # requested at once, so that a slow link still answers pings
MAX_CHUNKS = 64  # requested and not received yet
GROW_BELOW_SECONDS, SHRINK_ABOVE_SECONDS = 1.0, 5.0  # for a chunk: fewer or more are requested


class Download:
    """The download of one object into a file."""

    def __init__(
        self,
        socket: ClientConnection,
        name: str,
        target: Path,
        on_bytes: Callable[[int, int], None],
    ) -> None:
        self._socket, self._name, self._target = socket, name, target
        self._part = target.with_name(target.name + ".part")
        self._on_bytes = on_bytes

    async def run(self) -> None:
        """Download what is missing, verify the hash and move the file into place."""
        try:
            info = await self._open()
            await self._pull(info)
        except ConnectionClosed as error:
            raise ConnectionLostError("the connection broke during the download") from error
        if await asyncio.to_thread(file_sha256, self._part) != info.sha256:
            self._part.unlink()
            raise ConnectionLostError(
                "the downloaded object is damaged; it is downloaded again next time"
            )
        self._part.replace(self._target)

    async def _open(self) -> responses.ObjectInfo:
        await self._socket.send(codec.encode(requests.Open(id=0, object=self._name)))
        answer = codec.decode_answer(await self._socket.recv())
        if isinstance(answer, responses.Refused):
            raise VisionFluxError.restore(answer.error)
        if not isinstance(answer, responses.ObjectInfo):
            raise MalformedMessageError("the engine did not describe the object")
        return answer

    async def _pull(self, info: responses.ObjectInfo) -> None:
        done = self._part.stat().st_size if self._part.exists() else 0
        done = done if done <= info.size else 0
        asked, window = done, 1
        asked_at: deque[float] = deque()
        with self._part.open("r+b" if done else "wb") as file:
            file.seek(done)
            while done < info.size:
                while asked < info.size and len(asked_at) < window:
                    asked_at.append(time.monotonic())
                    asked += await self._ask(info, asked)
                done += file.write(await self._chunk(done))
                window = _adapted(window, time.monotonic() - asked_at.popleft())
                self._on_bytes(done, info.size)

    async def _ask(self, info: responses.ObjectInfo, offset: int) -> int:
        length = min(CHUNK_BYTES, info.size - offset)
        request = requests.Read(id=offset, object=self._name, offset=offset, length=length)
        await self._socket.send(codec.encode(request))
        return length

    async def _chunk(self, offset: int) -> bytes:
        answer = codec.decode_answer(await self._socket.recv())
        if isinstance(answer, responses.Refused):
            raise VisionFluxError.restore(answer.error)
        if not isinstance(answer, Chunk) or answer.offset != offset or not answer.data:
            raise MalformedMessageError("the engine sent another part than was requested")
        return answer.data


async def upload(
    socket: ClientConnection,
    file: Path,
    about: dict[str, Any],
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:
    """Upload a file part by part; each one is answered before the next is sent.

    Args:
        socket: an open data socket.
        file: the content.
        about: the fields of ``requests.UploadPart`` that all parts share.
        on_bytes: called with the bytes that the engine has, after each part.
    """
    digest, chunks = await asyncio.to_thread(file_sha256, file), 1
    with file.open("rb") as source:
        about = {**about, "size": os.fstat(source.fileno()).st_size, "sha256": digest}
        while data := source.read(min(chunks * CHUNK_BYTES, limits.LIMITS.chunk)):
            began = time.monotonic()
            offset = source.tell() - len(data)
            part = requests.UploadPart(id=offset, offset=offset, data=data, **about)
            try:
                await socket.send(codec.encode_part(part))
                answer = codec.decode_answer(await socket.recv())
            except ConnectionClosed as error:
                raise ConnectionLostError("the connection broke during the upload") from error
            if isinstance(answer, responses.Refused):
                raise VisionFluxError.restore(answer.error)
            on_bytes(offset + len(data))
            chunks = _adapted(chunks, time.monotonic() - began)


def _adapted(chunks: int, seconds: float) -> int:
    """Return how many chunks to request at once, after one took so many seconds."""
    if seconds < GROW_BELOW_SECONDS:
        return min(chunks + 1, MAX_CHUNKS)
    return max(chunks - 1, 1) if seconds > SHRINK_ABOVE_SECONDS else chunks
