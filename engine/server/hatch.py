"""One client on the data socket: it pulls and brings objects, part by part, at its own pace.

What it pulls is compared with its hash first. Who may come in was decided by
``engine.server.server``.
"""

import asyncio

from engine.errors import UnknownObjectError, VisionFluxError
from engine.server.data import Uploads
from engine.storage.object_store import Store
from engine.storage.rows import ObjectRow
from engine.wire.messages import codec as encoding
from engine.wire.messages import requests
from engine.wire.messages import responses as answers
from engine.wire.transport import Line


class Hatch:
    """Answers one client on the data socket."""

    def __init__(self, connection: Line, store: Store) -> None:
        self._connection, self._store = connection, store
        self._uploads = Uploads(store)
        self._intact: set[str] = set()  # objects whose content was compared with its hash

    async def serve(self) -> None:
        """Answer until the client goes."""
        try:
            async for data in self._connection:
                await self._connection.send(await self._answer(data))
        finally:
            self._uploads.close()

    async def _answer(self, data: str | bytes) -> str | bytes:
        try:
            if isinstance(data, bytes):
                part = encoding.decode_part(data)
                await self._uploads.take(part)
                return encoding.encode(answers.Done(re=part.id))
            return await self._look_up(encoding.decode_request(data, requests.DataRequest))
        except VisionFluxError as error:
            refused = answers.Refused(re=encoding.request_id(data), error=error.report())
            return encoding.encode(refused)

    async def _look_up(self, request: requests.DataRequest) -> str | bytes:
        known = isinstance(request, requests.Read) and request.object in self._intact
        row = self._store.find(request.object) if known else await self._check(request.object)
        if row is None:
            raise UnknownObjectError(request.object)
        if isinstance(request, requests.Read):
            content = await asyncio.to_thread(self._store.read, row, request.offset, request.length)
            if content and request.offset + len(content) == row.size:
                self._store.fetched(row.name)
            return encoding.encode_chunk(
                answers.Chunk(re=request.id, object=row.name, offset=request.offset, data=content)
            )
        info = answers.ObjectInfo(
            re=request.id,
            object=row.name,
            size=row.size,
            sha256=row.sha256,
            media_type=row.media_type,
        )
        return encoding.encode(info)

    async def _check(self, name: str) -> ObjectRow | None:
        row = await self._store.checked(name)
        if row:
            self._intact.add(name)
        return row
