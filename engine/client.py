"""A client of one engine: it connects, reconnects, watches jobs and fetches objects.

It knows the protocol and sockets; it knows nothing of Streamlit, files of the app or torch.
"""

import asyncio
import contextlib
import hashlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from engine import pairing, protocol
from engine.errors import (
    BadLinkError,
    ConnectionLostError,
    EngineUnreachableError,
    ErrorReport,
    MalformedMessageError,
    NotPairedError,
    ProtocolVersionError,
    TransportError,
    VisionFluxError,
)
from engine.pairing import Pairing
from engine.protocol import Chunk, JobEvent, Preview, Snapshot
from engine.recipe import Recipe

A = TypeVar("A", bound=protocol.Answer)
Message = Snapshot | JobEvent | Preview

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between attempts, growing by 1.6, with jitter
HEALTHY = 30.0  # seconds after which a connection counts as good and the delay starts anew
ANSWER = 30.0  # seconds to wait for an answer
WINDOW = 4  # chunks that a download has under way
FATAL = (NotPairedError, ProtocolVersionError, BadLinkError)


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """How the connection is; ``retry_in`` seconds until the next attempt while it waits."""

    name: Literal["connecting", "connected", "waiting", "refused", "closed"]
    error: ErrorReport | None = None
    retry_in: float = 0.0


class Connection:
    """One engine, kept connected; watched jobs go on from the last event that was seen.

    Args:
        engine: where it is, and the key.
        on_message: called with every snapshot, event and preview, in the loop of ``run``.
        on_state: called when the connection changes.
    """

    def __init__(
        self,
        engine: Pairing,
        *,
        on_message: Callable[[Message], None] = lambda _: None,
        on_state: Callable[[LinkState], None] = lambda _: None,
    ) -> None:
        self.engine = engine
        self.hello: protocol.Hello | None = None
        self.state = LinkState(name="connecting")
        self._on_message, self._on_state = on_message, on_state
        self._socket: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._watched: dict[str, tuple[int | None, bool]] = {}
        self._connected = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def latency(self) -> float | None:
        """Seconds of the last ping's round trip; None while it is unknown."""
        return (self._socket.latency or None) if self._socket else None

    async def run(self) -> None:
        """Stay connected until ``close`` or until the engine refuses us for good."""
        delay = FIRST_DELAY
        while not self._closed.is_set():
            began = time.monotonic()
            error = await self._attempt()
            if self._closed.is_set():
                break
            if isinstance(error, FATAL):
                self._change(LinkState(name="refused", error=error.report()))
                return
            delay = FIRST_DELAY if time.monotonic() - began > HEALTHY else delay
            wait = delay * random.uniform(0.5, 1.0)
            self._change(LinkState(name="waiting", error=error.report(), retry_in=wait))
            delay = min(LONGEST_DELAY, delay * 1.6)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait)
        self._change(LinkState(name="closed"))

    async def close(self) -> None:
        """End the connection; jobs go on at the engine."""
        self._closed.set()
        if self._socket:
            await self._socket.close()

    async def connected(self, patience: float = 8.0) -> protocol.Hello:
        """Wait at most ``patience`` seconds for the connection; return the engine's hello.

        Raises:
            TransportError: the engine refuses us, or it did not answer in time.
        """
        deadline = time.monotonic() + patience
        while not self._connected.is_set():
            if self.state.name in ("refused", "closed") or time.monotonic() > deadline:
                report = self.state.error or EngineUnreachableError("no engine answers").report()
                raise VisionFluxError.restore(report)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), 0.1)
        assert self.hello
        return self.hello

    # Requests

    async def submit(self, job: str, recipe: Recipe) -> protocol.Accepted:
        """Start a job under an id of our choice; doing it twice starts nothing twice."""
        raw = msgspec.Raw(protocol.encode_recipe(recipe).encode())
        request = protocol.Submit(id=next(self._ids), job=job, recipe=raw)
        return await self._ask(request, protocol.Accepted)

    async def watch(
        self, job: str, *, after: int | None = 0, previews: bool = True
    ) -> protocol.Snapshot:
        """Follow a job from event ``after`` + 1 on; None means only what is new."""
        request = protocol.Watch(id=next(self._ids), job=job, after=after, previews=previews)
        self._watched[job] = (after, previews)
        try:
            return await self._ask(request, protocol.Snapshot)
        except TransportError:
            raise  # it is watched as soon as the connection is back
        except VisionFluxError:
            self._watched.pop(job, None)
            raise

    async def unwatch(self, job: str) -> None:
        """Follow a job no longer."""
        self._watched.pop(job, None)
        await self._ask(protocol.Unwatch(id=next(self._ids), job=job), protocol.Done)

    async def cancel(self, job: str) -> None:
        """End a job."""
        await self._ask(protocol.Cancel(id=next(self._ids), job=job), protocol.Done)

    async def jobs(self) -> tuple[protocol.JobSummary, ...]:
        """Return the engine's jobs, newest first."""
        answer = await self._ask(protocol.ListJobs(id=next(self._ids)), protocol.JobList)
        return answer.jobs

    async def describe(self) -> protocol.Hello:
        """Return a fresh hello."""
        self.hello = await self._ask(protocol.Describe(id=next(self._ids)), protocol.Hello)
        return self.hello

    async def fetch(
        self, name: str, target: Path, on_bytes: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Fetch an object into ``target``, going on where an earlier attempt broke off.

        Raises:
            TransportError: the connection broke; what came is kept in ``target`` + ``.part``.
            UnknownObjectError: the engine does not have it.
        """
        async with opened(self.engine, protocol.DATA_PATH) as socket:
            await _Download(socket, name, target, on_bytes).run()

    async def _ask(self, request: protocol.Request, kind: type[A]) -> A:
        if self._socket is None:
            raise ConnectionLostError("the engine is not connected at the moment")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[request.id] = future
        try:
            await self._socket.send(protocol.encode(request))
            answer = await asyncio.wait_for(future, ANSWER)
        except (ConnectionClosed, TimeoutError) as error:
            raise ConnectionLostError("the connection broke before the engine answered") from error
        finally:
            self._answers.pop(request.id, None)
        if not isinstance(answer, kind):
            raise MalformedMessageError(f"the engine answered with {type(answer).__name__}")
        return answer

    # The socket

    async def _attempt(self) -> TransportError:
        """Connect and listen until that ends; return why."""
        self._change(LinkState(name="connecting"))
        try:
            async with opened(self.engine, protocol.CONTROL_PATH) as socket:
                await self._listen(socket)
        except TransportError as error:
            return error
        except ConnectionClosed as error:
            return ConnectionLostError(f"the connection to the engine broke: {error}")
        finally:
            self._forget()
        return ConnectionLostError("the engine closed the connection")

    async def _listen(self, socket: ClientConnection) -> None:
        hello = protocol.decode_answer(await socket.recv())
        if not isinstance(hello, protocol.Hello):
            raise MalformedMessageError("the engine did not begin with hello")
        self.hello, self._socket = hello, socket
        self._connected.set()
        self._change(LinkState(name="connected"))
        for job, (after, previews) in self._watched.items():
            request = protocol.Watch(id=next(self._ids), job=job, after=after, previews=previews)
            await socket.send(protocol.encode(request))
        async for data in socket:
            self._take(protocol.decode_answer(data))

    def _take(self, message: protocol.AnyAnswer | Preview | Chunk) -> None:
        match message:
            case JobEvent():
                if self._fresh(message):
                    self._on_message(message)
                return
            case Preview():
                self._on_message(message)
                return
            case Snapshot():
                self._on_message(message)
        future = self._answers.get(getattr(message, "re", None) or -1)
        if future and not future.done():
            if isinstance(message, protocol.Refused):
                future.set_exception(VisionFluxError.restore(message.error))
            else:
                future.set_result(message)

    def _fresh(self, event: JobEvent) -> bool:
        """Tell whether an event was not seen before; remember where to go on from."""
        after, previews = self._watched.get(event.job, (None, False))
        if event.job not in self._watched or (after is not None and event.seq <= after):
            return False
        self._watched[event.job] = (event.seq, previews)
        return True

    def _forget(self) -> None:
        self._socket = None
        self._connected.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionLostError("the connection to the engine broke"))

    def _change(self, state: LinkState) -> None:
        self.state = state
        self._on_state(state)


@asynccontextmanager
async def opened(engine: Pairing, path: str) -> AsyncIterator[ClientConnection]:
    """Open a socket whose two ends have proved to each other that they know the key.

    Raises:
        EngineUnreachableError: nothing answers there.
        NotPairedError: the engine refused our key, or could not prove that it knows it.
        ProtocolVersionError: it speaks another version.
    """
    try:
        socket = await _open(engine, path, skew=0.0)
    except InvalidStatus as error:
        if error.response.status_code != 401:
            raise _refused(error.response) from error
        socket = await _open_again(engine, path, _skew(error.response))
    except (OSError, InvalidHandshake, TimeoutError, EOFError) as error:
        raise _unreachable(engine, error) from error
    try:
        yield socket
    finally:
        await socket.close()


async def _open(engine: Pairing, path: str, *, skew: float) -> ClientConnection:
    authorization, nonce = pairing.authorization(engine.key, path, skew=skew)
    local = pairing.is_loopback(urlsplit(engine.url).hostname or "")
    socket = await connect(
        engine.websocket_url + path,
        subprotocols=[protocol.SUBPROTOCOL],  # type: ignore[list-item]
        additional_headers={
            "Authorization": authorization,
            "ngrok-skip-browser-warning": "1",
        },
        proxy=None if local else True,
        compression=None,
        max_size=protocol.LIMITS.message,
        ping_interval=15,
        ping_timeout=15,
        close_timeout=2,
        open_timeout=15,
    )
    response = socket.response
    given = response.headers.get(pairing.PROOF_HEADER, "") if response else ""
    if not pairing.same(given, pairing.proof(engine.key, nonce)):
        await socket.close()
        raise NotPairedError("what answers at this address does not know the engine's key")
    return socket


async def _open_again(engine: Pairing, path: str, skew: float) -> ClientConnection:
    """Try once more with the engine's clock, which a 401 tells us."""
    if abs(skew) > pairing.CLOCK_TOLERANCE / 2:
        with contextlib.suppress(OSError, InvalidHandshake, TimeoutError):
            return await _open(engine, path, skew=skew)
    raise NotPairedError("the engine refused the key in this link")


def _skew(response: Response) -> float:
    date = response.headers.get("Date")
    try:
        return parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0
    except ValueError:
        return 0.0


def _refused(response: Response) -> TransportError:
    """Say what an answer other than 101 and 401 means."""
    with contextlib.suppress(msgspec.MsgspecError, KeyError, TypeError):
        report = msgspec.convert(msgspec.json.decode(response.body or b"")["error"], ErrorReport)
        error = VisionFluxError.restore(report)
        if isinstance(error, TransportError):
            return error
    tunnel = response.headers.get("ngrok-error-code", "")
    return EngineUnreachableError(
        f"the address answers with HTTP {response.status_code} {tunnel}".rstrip()
        + ": no engine is behind it at the moment"
    )


def _unreachable(engine: Pairing, error: Exception) -> EngineUnreachableError:
    reason = str(error) or type(error).__name__
    return EngineUnreachableError(f"no engine answers at {engine.url} ({reason})")


class _Download:
    """One object on its way into a file."""

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
        """Fetch what is missing, check the whole, move it into place."""
        try:
            info = await self._open()
            await self._pull(info)
        except ConnectionClosed as error:
            raise ConnectionLostError("the connection broke during the download") from error
        if await asyncio.to_thread(_sha256, self._part) != info.sha256:
            self._part.unlink()
            raise ConnectionLostError("what arrived is damaged; it is fetched anew next time")
        self._part.replace(self._target)

    async def _open(self) -> protocol.ObjectInfo:
        await self._socket.send(protocol.encode(protocol.Open(id=0, object=self._name)))
        answer = protocol.decode_answer(await self._socket.recv())
        if isinstance(answer, protocol.Refused):
            raise VisionFluxError.restore(answer.error)
        if not isinstance(answer, protocol.ObjectInfo):
            raise MalformedMessageError("the engine did not describe the object")
        return answer

    async def _pull(self, info: protocol.ObjectInfo) -> None:
        done = self._part.stat().st_size if self._part.exists() else 0
        done = done if done <= info.size else 0
        asked = done
        with self._part.open("r+b" if done else "wb") as file:
            file.seek(done)
            while done < info.size:
                while asked < info.size and asked - done < WINDOW * protocol.LIMITS.chunk:
                    asked += await self._ask(info, asked)
                done += file.write(await self._chunk(done))
                self._on_bytes(done, info.size)

    async def _ask(self, info: protocol.ObjectInfo, offset: int) -> int:
        length = min(protocol.LIMITS.chunk, info.size - offset)
        request = protocol.Read(id=offset, object=self._name, offset=offset, length=length)
        await self._socket.send(protocol.encode(request))
        return length

    async def _chunk(self, offset: int) -> bytes:
        answer = protocol.decode_answer(await self._socket.recv())
        if isinstance(answer, protocol.Refused):
            raise VisionFluxError.restore(answer.error)
        if not isinstance(answer, Chunk) or answer.offset != offset or not answer.data:
            raise MalformedMessageError("the engine sent another part than was asked for")
        return answer.data


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
