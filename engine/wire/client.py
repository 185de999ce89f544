"""A client of one engine: it connects, reconnects, watches jobs and fetches objects.

It knows the protocol and sockets; it knows nothing of Streamlit, files of the app or torch.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

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
from engine.film.recipe import Recipe
from engine.film.recipe_json import encode_recipe
from engine.wire import transfer
from engine.wire.handshake import open_socket
from engine.wire.messages import codec, limits, requests, responses
from engine.wire.messages.requests import Watch
from engine.wire.messages.responses import Chunk, JobEvent, Preview, Snapshot
from engine.wire.pairing import Pairing
from engine.wire.transport import ByteCounter

A = TypeVar("A", bound=responses.Response)

ANSWER_TIMEOUT = 30.0  # seconds to wait for an answer

log = logging.getLogger(__name__)


class PendingRequests:
    """The requests that were sent and not answered yet."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def number(self) -> int:
        """Return the number of the next request."""
        return next(self._numbers)

    async def ask(
        self, socket: ClientConnection | None, request: requests.Request, kind: type[A]
    ) -> A:
        """Send a request and return its answer.

        Args:
            socket: to the engine; None while there is no connection.
            request: under a number of ours.
            kind: of the answer.

        Raises:
            VisionFluxError: the engine refused it.
            ConnectionLostError: there is no connection, or it broke before the answer.
        """
        if socket is None:
            raise ConnectionLostError("the engine is not connected at the moment")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await socket.send(codec.encode(request))
                answer = await future
        except (ConnectionClosed, TimeoutError) as error:
            raise ConnectionLostError("the connection broke before the engine answered") from error
        finally:
            self._waiting.pop(request.id, None)
        if not isinstance(answer, kind):
            raise MalformedMessageError(f"the engine answered with {type(answer).__name__}")
        return answer

    def answer(self, message: object) -> None:
        """Resolve the request that a message answers, if it is still awaited."""
        future = self._waiting.get(getattr(message, "re", None) or -1)
        if future and not future.done():
            if isinstance(message, responses.Refused):
                future.set_exception(VisionFluxError.restore(message.error))
            else:
                future.set_result(message)

    def lose(self) -> None:
        """Fail every pending request: the connection broke."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionLostError("the connection to the engine broke"))


@dataclass
class Subscription:
    """One job that is followed.

    Attributes:
        after: number of the last event that was seen; None while only new ones are wanted.
        previews: whether previews are wanted.
        budget: bytes of previews that may still come; None: no limit.
        epoch: of the engine's logs, in which ``after`` counts; "" while it is unknown.
        restarted: whether the log has to be asked for again, from its start.
    """

    after: int | None
    previews: bool
    budget: int | None
    epoch: str = ""
    restarted: bool = False

    def request(self, number: int, job: str) -> Watch:
        """Return the request, with an id, that makes the engine report on ``job``."""
        return Watch(
            id=number, job=job, after=self.after, previews=self.previews, budget=self.budget
        )

    def begin(self, snapshot: Snapshot) -> bool:
        """Take in a snapshot; return False if the log must be read again from its start.

        That is so if the log is shorter than what was seen of it, or if its epoch has changed: the
        engine has lost the end of its log, and what it has recorded since is unknown here.
        """
        known, self.epoch = self.epoch, snapshot.epoch
        if self.after is None:
            self.after = snapshot.progress.seq  # new events begin here, also after a reconnection
            return True
        changed = bool(known and snapshot.epoch) and known != snapshot.epoch
        if self.after <= snapshot.progress.seq and not changed:
            self.restarted = False
            return True
        self.after, self.restarted = 0, True
        return False

    def is_new(self, seq: int) -> bool:
        """Return whether an event was not seen before, and remember that it was.

        While the log is asked for again, events of the former request still arrive; they are not
        new, because those before them are missing.
        """
        if (self.after is not None and seq <= self.after) or (self.restarted and seq > 1):
            return False
        self.after, self.restarted = seq, False
        return True

    def pay(self, size: int) -> None:
        """Subtract the size of a preview, in bytes, from the budget."""
        if self.budget is not None:
            self.budget = max(0, self.budget - size)


class LogRestarted(msgspec.Struct, frozen=True, kw_only=True):
    """The engine lost the end of a job's log: events are reported again, from number 1.

    ``seq``: number of the log's last event now. What was recorded after it is void.
    """

    job: str
    seq: int


Message = Snapshot | JobEvent | Preview | LogRestarted

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between attempts, growing by 1.6, with jitter
HEALTHY_AFTER = 30.0  # seconds after which a connection counts as good and the delay starts anew
FATAL = (NotPairedError, ProtocolVersionError, BadLinkError)


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a connection; while it waits, the next attempt is in ``retry_in`` seconds."""

    name: Literal["connecting", "connected", "waiting", "refused", "closed"]
    error: ErrorReport | None = None
    retry_in: float = 0.0


class Connection:
    """A connection to one engine that reconnects; watched jobs resume after the last event seen.

    An exception that a callback raises is logged. It does not end the connection.

    Args:
        engine: its address and key.
        on_message: called with every snapshot, event and preview, in the loop of ``run``.
        on_state: called when the state of the connection changes.
        on_refused: called with a job and an error when the engine, after a reconnection, refuses to
            have the job watched: it is not watched any more.
    """

    def __init__(
        self,
        engine: Pairing,
        *,
        on_message: Callable[[Message], None] = lambda _: None,
        on_state: Callable[[LinkState], None] = lambda _: None,
        on_refused: Callable[[str, VisionFluxError], None] = lambda *_: None,
    ) -> None:
        self.engine = engine
        self.hello: responses.Hello | None = None
        self.state = LinkState(name="connecting")
        self.traffic = ByteCounter()
        self._on_message, self._on_state = on_message, on_state
        self._on_refused = on_refused
        self._socket: ClientConnection | None = None
        self._questions = PendingRequests()
        self._number = self._questions.number
        self._watched: dict[str, Subscription] = {}
        self._watching: set[asyncio.Task[None]] = set()  # requests after a reconnection
        self._settled = asyncio.Event()  # the state is connected, refused or closed
        self._closed = asyncio.Event()

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
            delay = FIRST_DELAY if time.monotonic() - began > HEALTHY_AFTER else delay
            wait = delay * random.uniform(0.5, 1.0)
            self._change(LinkState(name="waiting", error=error.report(), retry_in=wait))
            delay = min(LONGEST_DELAY, delay * 1.6)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._closed.wait()
        self._change(LinkState(name="closed"))

    async def close(self) -> None:
        """End the connection; the engine continues its jobs."""
        self._closed.set()
        if self._socket:
            await self._socket.close()

    async def connected(self, patience: float = 8.0) -> responses.Hello:
        """Wait at most ``patience`` seconds for the connection; return the engine's hello.

        Raises:
            TransportError: the engine refuses us, or it did not answer in time.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._settled.wait()
        if self.state.name != "connected":
            report = self.state.error or EngineUnreachableError("no engine answers").report()
            raise VisionFluxError.restore(report)
        assert self.hello
        return self.hello

    # Requests

    async def submit(self, job: str, recipe: Recipe) -> responses.Accepted:
        """Start a job under an id of our choice; repeating it has no effect."""
        raw = msgspec.Raw(encode_recipe(recipe).encode())
        request = requests.Submit(id=self._number(), job=job, recipe=raw)
        return await self._ask(request, responses.Accepted)

    async def watch(
        self,
        job: str,
        *,
        after: int | None = 0,
        epoch: str = "",
        previews: bool = True,
        budget: int | None = None,
    ) -> responses.Snapshot:
        """Follow a job.

        Args:
            job: its id.
            after: number of the event after which to begin; None means only what is new.
            epoch: of the log in which ``after`` counts, from an earlier snapshot; "" for the one
                that this connection was sent last.
            previews: whether to be sent previews.
            budget: bytes that the previews of this film may take, reconnections included; None:
                no limit.
        """
        known = self._watched.get(job)
        epoch = epoch or (known.epoch if known else "")
        self._watched[job] = Subscription(after, previews, budget, epoch)
        try:
            return await self._subscribe(job)
        except TransportError:
            raise  # it is watched once the connection is back
        except VisionFluxError:
            self._watched.pop(job, None)
            raise

    async def _subscribe(self, job: str) -> responses.Snapshot:
        """Ask for a job; if its log has to be read again from its start, ask for that as well."""
        watched = self._watched[job]
        snapshot = await self._ask(watched.request(self._number(), job), responses.Snapshot)
        if watched.restarted:
            snapshot = await self._ask(watched.request(self._number(), job), responses.Snapshot)
        return snapshot

    async def _watch_again(self, job: str) -> None:
        """Watch a job after a reconnection."""
        try:
            if job in self._watched:
                await self._subscribe(job)
        except TransportError as error:
            log.info("job %s is watched once the connection is back: %s", job, error)
        except VisionFluxError as error:
            self._watched.pop(job, None)
            self._call(self._on_refused, job, error)

    async def show_previews(self, job: str, wanted: bool) -> None:
        """Begin or end previews of a job that is followed, within what its budget has left."""
        if watched := self._watched.get(job):
            watched.previews = wanted
            request = requests.ShowPreviews(
                id=self._number(), job=job, wanted=wanted, budget=watched.budget
            )
            await self._ask(request, responses.Done)

    async def unwatch(self, job: str) -> None:
        """Stop following a job."""
        self._watched.pop(job, None)
        await self._ask(requests.Unwatch(id=self._number(), job=job), responses.Done)

    async def cancel(self, job: str) -> None:
        """Cancel a job."""
        await self._ask(requests.Cancel(id=self._number(), job=job), responses.Done)

    async def pause(self, job: str) -> None:
        """Pause a job."""
        await self._ask(requests.Pause(id=self._number(), job=job), responses.Done)

    async def resume(self, job: str) -> None:
        """Resume a paused job."""
        await self._ask(requests.Resume(id=self._number(), job=job), responses.Done)

    async def jobs(self) -> tuple[responses.JobSummary, ...]:
        """Return the engine's jobs, newest first."""
        answer = await self._ask(requests.ListJobs(id=self._number()), responses.JobList)
        return answer.jobs

    async def find_missing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the named objects that the engine lacks."""
        request = requests.FindMissing(id=self._number(), objects=tuple(names))
        return (await self._ask(request, responses.Missing)).objects

    async def describe(self) -> responses.Hello:
        """Return a fresh hello."""
        answer = await self._ask(requests.Describe(id=self._number()), responses.Hello)
        self.hello = answer.with_vocabularies(self.hello)
        return self.hello

    async def fetch(
        self, name: str, target: Path, on_bytes: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Download an object into ``target``; an earlier attempt that broke off is resumed.

        Raises:
            TransportError: the connection broke; what came is kept in ``target`` + ``.part``.
            UnknownObjectError: the engine does not have it.
        """
        async with open_socket(self.engine, limits.DATA_PATH, self.traffic) as socket:
            await transfer.Download(socket, name, target, on_bytes).run()

    async def upload(
        self,
        name: str,
        file: Path,
        media_type: str,
        *,
        origin: str = "",
        detail: str = "",
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Upload an object that another engine made; both ends check its hash.

        Args:
            name: the node's content address.
            file: its content.
            media_type: ``image/png`` or ``video/mp4``.
            origin: the device that made it.
            detail: the detail of its event.
            on_bytes: called with the bytes that the engine has, after each part.
        """
        about = {"object": name, "media_type": media_type, "origin": origin, "detail": detail}
        async with open_socket(self.engine, limits.DATA_PATH, self.traffic) as socket:
            await transfer.upload(socket, file, about, on_bytes)

    async def _ask(self, request: requests.Request, kind: type[A]) -> A:
        return await self._questions.ask(self._socket, request, kind)

    # The socket

    async def _attempt(self) -> TransportError:
        """Connect and listen until that ends; return why."""
        self._change(LinkState(name="connecting"))
        try:
            async with open_socket(self.engine, limits.CONTROL_PATH, self.traffic) as socket:
                await self._listen(socket)
        except TransportError as error:
            return error
        except ConnectionClosed as error:
            return ConnectionLostError(f"the connection to the engine broke: {error}")
        except Exception as error:  # a bug of ours must not end the reconnecting
            log.exception("The connection to the engine failed.")
            return ConnectionLostError(f"the connection failed: {type(error).__name__}")
        finally:
            self._forget()
        return ConnectionLostError("the engine closed the connection")

    async def _listen(self, socket: ClientConnection) -> None:
        hello = codec.decode_answer(await socket.recv(), socket.subprotocol)
        if not isinstance(hello, responses.Hello):
            raise MalformedMessageError("the engine did not begin with hello")
        if self._closed.is_set():
            return  # while this attempt was under way, when there was no socket to close
        self.hello, self._socket = hello, socket
        self._change(LinkState(name="connected"))
        for job in tuple(self._watched):
            task = asyncio.create_task(self._watch_again(job))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)
        async for data in socket:
            try:
                message = codec.decode_answer(data, socket.subprotocol)
            except MalformedMessageError:
                if not codec.is_of_unknown_type(data):
                    raise
                log.info("A message of a type that is unknown here is ignored.")
            else:
                self._take(message, len(data))

    def _take(self, message: responses.AnyResponse | Preview | Chunk, size: int) -> None:
        """Pass a message of ``size`` bytes to its callback, or to the request that it answers."""
        watched = self._watched.get(getattr(message, "job", ""))
        match message:
            case JobEvent(seq=seq):
                if watched and watched.is_new(seq):
                    self._call(self._on_message, message)
                return
            case Preview():
                if watched:
                    watched.pay(size)
                self._call(self._on_message, message)
                return
            case Snapshot(job=job, progress=progress):
                if watched and not watched.begin(message):
                    self._call(self._on_message, LogRestarted(job=job, seq=progress.seq))
                self._call(self._on_message, message)
        self._questions.answer(message)

    def _forget(self) -> None:
        self._socket = None
        self._questions.lose()
        for task in self._watching:
            task.cancel()

    def _change(self, state: LinkState) -> None:
        self.state = state
        if state.name in ("connected", "refused", "closed"):
            self._settled.set()
        else:
            self._settled.clear()
        self._call(self._on_state, state)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call a callback and log what it raises; the connection is not at fault."""
        try:
            callback(*arguments)
        except Exception:
            log.exception("A callback of the connection to the engine failed.")
