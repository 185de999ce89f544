"""The engine's sockets: who may come in, what they ask, what they are sent.

It moves events and bytes; it knows nothing of diffusion. Each watcher reads the jobs' logs at its
own pace, so a slow one delays nobody, and holds at most one preview.
"""

import asyncio
import http
import json
import logging
from collections.abc import Callable
from email.utils import formatdate

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine import __version__, pairing, protocol
from engine.errors import LimitError, MalformedMessageError, UnknownObjectError, VisionFluxError
from engine.jobs import Job, Jobs
from engine.journal import Journal
from engine.models import Model
from engine.recipe import Recipe, parse_recipe
from engine.store import Store

log = logging.getLogger(__name__)

STALL = 30.0  # seconds that one message may take to leave before its reader counts as gone
PING = 15.0  # seconds between pings, and until a missing pong ends a connection
TOLERATED = 20  # malformed messages in a row before a connection is closed


class EngineServer:
    """Serves one engine on one port."""

    def __init__(
        self, jobs: Jobs, journal: Journal, store: Store, models: dict[str, Model], key: bytes
    ) -> None:
        self._jobs, self._journal, self._store, self._models = jobs, journal, store, models
        self._key, self._gate = key, pairing.Gatekeeper(key)
        self._nonces: dict[int, str] = {}  # of admitted handshakes, until they are answered
        self._connections = 0

    async def start(self, host: str, port: int) -> Server:
        """Listen; ``port`` 0 takes a free one."""
        return await serve(
            self._serve,
            host,
            port,
            process_request=self._admit,
            process_response=self._prove,
            select_subprotocol=lambda _connection, _offered: Subprotocol(protocol.SUBPROTOCOL),
            compression=None,
            server_header=None,
            max_size=protocol.LIMITS.message,
            max_queue=2,
            ping_interval=PING,
            ping_timeout=PING,
            close_timeout=2,
        )

    # The door

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what needs no pairing, refuse what lacks it, let the rest through."""
        path = request.path
        if path == protocol.HEALTH_PATH and request.method in ("GET", "HEAD"):
            return _response(http.HTTPStatus.OK, self._health())
        authorizations = request.headers.get_all("Authorization")
        nonce = self._gate.admit(authorizations[0] if len(authorizations) == 1 else None, path)
        if nonce is None:
            return _response(http.HTTPStatus.UNAUTHORIZED, {})
        if "Origin" in request.headers:
            return _refusal(http.HTTPStatus.FORBIDDEN, "browsers do not talk to the engine")
        if path not in (protocol.CONTROL_PATH, protocol.DATA_PATH):
            return _refusal(http.HTTPStatus.NOT_FOUND, "there is nothing at this path")
        offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol"))
        if protocol.SUBPROTOCOL not in [name.strip() for name in offered.split(",")]:
            return _refusal(
                http.HTTPStatus.BAD_REQUEST,
                f"this engine speaks {protocol.SUBPROTOCOL}, not {offered[:80]!r}",
                code="E_PROTOCOL_VERSION",
                field="Sec-WebSocket-Protocol",
            )
        if self._connections >= protocol.LIMITS.connections:
            return _refusal(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", "E_LIMIT")
        self._nonces[id(connection)] = nonce
        return None

    def _prove(
        self, connection: ServerConnection, _request: Request, response: Response
    ) -> Response:
        """Show an admitted client that this engine knows the key too."""
        nonce = self._nonces.pop(id(connection), None)
        if nonce:
            response.headers[pairing.PROOF_HEADER] = pairing.proof(self._key, nonce)
        return response

    def _health(self) -> dict[str, object]:
        return {
            "version": __version__,
            "protocol": protocol.VERSION,
            "device": self._jobs.foreman.device.name,
            "queue": self._jobs.waiting,
        }

    # Inside

    async def _serve(self, connection: ServerConnection) -> None:
        self._connections += 1
        try:
            assert connection.request
            if connection.request.path == protocol.DATA_PATH:
                await Hatch(connection, self._store).serve()
            else:
                await Session(connection, self._jobs, self.hello).serve()
        except ConnectionClosed:
            pass
        finally:
            self._connections -= 1

    def hello(self, re: int | None = None) -> protocol.Hello:
        """Say who this engine is and what it can do."""
        return protocol.Hello(
            re=re,
            version=__version__,
            engine=self._journal.engine_id,
            device=self._jobs.foreman.device,
            models=tuple(
                protocol.ModelInfo(name=model.name, card=model.card)
                for model in self._models.values()
            ),
            queue=self._jobs.waiting,
        )


class Watching:
    """How far one client has read one job."""

    def __init__(self, job: Job, sent: int, previews: bool) -> None:
        self.job, self.sent, self.previews = job, sent, previews
        self.seen_preview = 0


class Session:
    """One client on the control socket."""

    def __init__(
        self,
        connection: ServerConnection,
        jobs: Jobs,
        hello: Callable[[int | None], protocol.Hello],
    ) -> None:
        self._connection, self._jobs, self._hello = connection, jobs, hello
        self._watched: dict[str, Watching] = {}
        self._answers: asyncio.Queue[str] = asyncio.Queue(maxsize=64)
        self._news = asyncio.Event()

    async def serve(self) -> None:
        """Answer until the client goes; its jobs go on."""
        self._answers.put_nowait(protocol.encode(self._hello(None)))
        self._news.set()
        both = {asyncio.create_task(self._send_all()), asyncio.create_task(self._receive_all())}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
            for watching in self._watched.values():
                self._leave(watching)
        for task in done:
            task.result()

    async def _receive_all(self) -> None:
        malformed = 0
        async for data in self._connection:
            answer, bad = self._answer(data)
            malformed = malformed + 1 if bad else 0
            await self._answers.put(protocol.encode(answer))
            self._news.set()
            if malformed >= TOLERATED:
                await self._connection.close(1008, "too many malformed messages")

    def _answer(self, data: str | bytes) -> tuple[protocol.AnyAnswer, bool]:
        try:
            request = protocol.decode_request(data, protocol.ControlRequest)
        except VisionFluxError as error:
            answer = protocol.Refused(re=protocol.request_id(data), error=error.report())
            return answer, isinstance(error, MalformedMessageError)
        try:
            return self._carry_out(request), False
        except VisionFluxError as error:
            return protocol.Refused(re=request.id, error=error.report()), False

    def _carry_out(self, request: protocol.ControlRequest) -> protocol.AnyAnswer:
        match request:
            case protocol.Submit():
                fresh = self._jobs.submit(request.job, _recipe(request))
                return protocol.Accepted(re=request.id, job=request.job, duplicate=not fresh)
            case protocol.Watch():
                return self._watch(request)
            case protocol.Unwatch():
                if request.job in self._watched:
                    self._leave(self._watched.pop(request.job))
            case protocol.Cancel():
                self._jobs.cancel(self._jobs.get(request.job))
            case protocol.ListJobs():
                return protocol.JobList(re=request.id, jobs=self._jobs.summaries())
            case protocol.Describe():
                return self._hello(request.id)
        return protocol.Done(re=request.id)

    def _watch(self, request: protocol.Watch) -> protocol.Snapshot:
        job = self._jobs.get(request.job)
        known = self._watched.pop(job.id, None)
        if known:
            self._leave(known)
        elif len(self._watched) >= protocol.LIMITS.watched_jobs:
            raise LimitError("this connection watches too many jobs", remedy="unwatch one")
        sent = len(job.messages) if request.after is None else request.after
        self._watched[job.id] = Watching(job, sent, request.previews)
        job.watchers.add(self._news.set)
        if request.previews:
            self._jobs.foreman.credit()
        return _snapshot(request.id, job)

    def _leave(self, watching: Watching) -> None:
        watching.job.watchers.discard(self._news.set)
        self._jobs.release(watching.job)

    # Sending: answers first, then events, then the newest preview

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while await self._send_some():
                pass

    async def _send_some(self) -> bool:
        """Send what is most urgent; return whether there was anything."""
        if not self._answers.empty():
            await self._send(self._answers.get_nowait())
            return True
        for watching in tuple(self._watched.values()):
            if watching.sent < len(watching.job.messages):
                watching.sent += 1
                await self._send(watching.job.messages[watching.sent - 1])
                return True
        return await self._send_preview()

    async def _send_preview(self) -> bool:
        for watching in tuple(self._watched.values()):
            job = watching.job
            if watching.previews and watching.seen_preview < job.preview_number:
                watching.seen_preview = job.preview_number
                await self._send(job.preview)
                self._jobs.foreman.credit()
                return True
        return False

    async def _send(self, message: str | bytes) -> None:
        """Send one message; a reader that does not take it is cut off and may come back."""
        try:
            async with asyncio.timeout(STALL):
                await self._connection.send(message)
        except TimeoutError:
            log.info("A client stopped reading; its connection is ended.")
            self._connection.transport.abort()
            raise ConnectionClosed(None, None) from None


class Hatch:
    """One client on the data socket: it pulls objects, chunk by chunk, at its own pace."""

    def __init__(self, connection: ServerConnection, store: Store) -> None:
        self._connection, self._store = connection, store

    async def serve(self) -> None:
        """Answer until the client goes."""
        async for data in self._connection:
            try:
                answer = await self._answer(data)
            except VisionFluxError as error:
                refused = protocol.Refused(re=protocol.request_id(data), error=error.report())
                answer = protocol.encode(refused)
            async with asyncio.timeout(STALL):
                await self._connection.send(answer)

    async def _answer(self, data: str | bytes) -> str | bytes:
        request = protocol.decode_request(data, protocol.DataRequest)
        row = self._store.find(request.object)
        if row is None:
            raise UnknownObjectError(request.object)
        if isinstance(request, protocol.Open):
            info = protocol.ObjectInfo(
                re=request.id,
                object=row.name,
                size=row.size,
                sha256=row.sha256,
                media_type=row.media_type,
            )
            return protocol.encode(info)
        content = await asyncio.to_thread(self._store.read, row, request.offset, request.length)
        chunk = protocol.Chunk(re=request.id, object=row.name, offset=request.offset, data=content)
        return protocol.encode_chunk(chunk)


def _recipe(request: protocol.Submit) -> Recipe:
    return parse_recipe(msgspec.json.decode(request.recipe))


def _snapshot(re: int, job: Job) -> protocol.Snapshot:
    return protocol.Snapshot(
        re=re,
        job=job.id,
        recipe=job.recipe,
        created_at=job.created_at,
        progress=job.progress,
        fraction=job.progress.fraction,
        remaining=job.progress.remaining,
    )


def _refusal(
    status: http.HTTPStatus, message: str, code: str = "E_REQUEST", field: str | None = None
) -> Response:
    report = {"code": code, "message": message, "remedy": "see docs/protocol.md", "field": field}
    return _response(status, {"error": report})


def _response(status: http.HTTPStatus, body: dict[str, object]) -> Response:
    content = json.dumps(body).encode()
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Date": formatdate(usegmt=True),  # a client whose clock is off learns it from a 401
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, content)
