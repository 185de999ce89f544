"""The server: it listens on one port, and admits clients or refuses them.

It knows proofs, paths and limits; the messages of admitted clients are handled by
``engine.server.control`` and ``engine.server.data``.
"""

import asyncio
import http
import json
import logging
from email.utils import formatdate
from functools import partial

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from engine import __version__
from engine.jobs.queue import JobQueue
from engine.models import Model
from engine.server.control import ControlSession
from engine.server.data import DataSession
from engine.storage.journal import Journal
from engine.storage.object_store import ObjectStore
from engine.wire import pairing
from engine.wire.messages import limits, responses
from engine.wire.transport import ServerTransport, keepalive

log = logging.getLogger(__name__)

REFUSAL_DELAY = 0.25  # seconds until a refusal is answered
REFUSAL_LIMIT = 4  # refusals that are delayed at a time


class EngineServer:
    """Serves one engine on one port."""

    def __init__(
        self,
        jobs: JobQueue,
        journal: Journal,
        store: ObjectStore,
        models: dict[str, Model],
        key: bytes,
    ) -> None:
        self._jobs, self._journal, self._store, self._models = jobs, journal, store, models
        self._key, self._gate = key, pairing.Gatekeeper(key)
        self._nonces: dict[int, str] = {}  # of admitted handshakes, until they are answered
        self._connections = 0
        self.half_open: dict[ServerTransport, None] = {}  # handshakes under way, oldest first
        self._refusals = asyncio.Semaphore(REFUSAL_LIMIT)

    async def start(self, host: str, port: int) -> Server:
        """Listen on a port; 0 chooses a free one."""
        return await serve(
            self._serve,
            host,
            port,
            process_request=self._admit,
            process_response=self._prove,
            select_subprotocol=lambda _connection, _offered: Subprotocol(limits.SUBPROTOCOL),
            compression=None,
            server_header=None,
            max_size=limits.LIMITS.message,
            max_queue=2,
            ping_interval=None,  # see engine.wire.transport
            create_connection=partial(ServerTransport, half_open=self.half_open),  # type: ignore[arg-type]
            close_timeout=2,
        )

    # Admission

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer public requests, refuse clients that are not paired, and admit the others."""
        path = request.path
        if path == limits.HEALTH_PATH and request.method in ("GET", "HEAD"):
            return _response(http.HTTPStatus.OK, self._health())
        authorizations = request.headers.get_all("Authorization")
        nonce = self._gate.admit(authorizations[0] if len(authorizations) == 1 else None, path)
        if nonce is None:
            async with self._refusals:
                await asyncio.sleep(REFUSAL_DELAY)
            return _response(http.HTTPStatus.UNAUTHORIZED, {})
        if "Origin" in request.headers:
            return _refusal(http.HTTPStatus.FORBIDDEN, "the engine accepts no browsers")
        if path not in (limits.CONTROL_PATH, limits.DATA_PATH):
            return _refusal(http.HTTPStatus.NOT_FOUND, "there is nothing at this path")
        offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol"))
        if limits.SUBPROTOCOL not in [name.strip() for name in offered.split(",")]:
            return _refusal(
                http.HTTPStatus.BAD_REQUEST,
                f"this engine supports {limits.SUBPROTOCOL}, not {offered[:80]!r}",
                code="E_PROTOCOL_VERSION",
                field="Sec-WebSocket-Protocol",
            )
        if self._connections >= limits.LIMITS.connections:
            return _refusal(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", "E_LIMIT")
        self._nonces[id(connection)] = nonce
        return None

    def _prove(
        self, connection: ServerConnection, _request: Request, response: Response
    ) -> Response:
        """Prove to an admitted client that this engine has the key too."""
        nonce = self._nonces.pop(id(connection), None)
        if nonce:
            response.headers[pairing.PROOF_HEADER] = pairing.proof(self._key, nonce)
        return response

    def _health(self) -> dict[str, object]:
        return {
            "version": __version__,
            "protocol": limits.VERSION,
            "device": responses.label(self._jobs.pool.devices),
            "queue": self._jobs.waiting,
        }

    # Sessions

    async def _serve(self, connection: ServerConnection) -> None:
        assert isinstance(connection, ServerTransport)
        connection.admitted()
        self._connections += 1
        try:
            async with keepalive(connection):
                await self._session(connection).serve()
        except ConnectionClosed:
            pass
        finally:
            self._connections -= 1

    def _session(self, connection: ServerTransport) -> ControlSession | DataSession:
        assert connection.request
        if connection.request.path == limits.DATA_PATH:
            return DataSession(connection, self._store)
        epoch = self._journal.epoch
        return ControlSession(connection, self._jobs, self._store, self.hello, epoch)

    def hello(self, re: int | None = None) -> responses.Hello:
        """Return this engine's identity and what it can do.

        Vocabularies are large and stay the same, so only the first message has them.
        """
        return responses.Hello(
            re=re,
            version=__version__,
            engine=self._journal.engine_id,
            device=self._jobs.pool.devices[0],
            others=self._jobs.pool.devices[1:],
            models=tuple(
                responses.ModelInfo(
                    name=model.name,
                    card=model.card if re is None else model.card.without_vocabulary,
                )
                for model in self._models.values()
            ),
            queue=self._jobs.waiting,
            interpolator=self._jobs.pool.interpolator,
            notice=self._jobs.pool.notice,
            epoch=self._journal.epoch,
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
