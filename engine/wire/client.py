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
from engine.wire import transfer
from engine.wire.handshake import open_socket
from engine.wire.messages import codec as encoding
from engine.wire.messages import limits as terms
from engine.wire.messages import requests
from engine.wire.messages import responses as answers
from engine.wire.messages.requests import Watch
from engine.wire.messages.responses import Chunk, JobEvent, Preview, Snapshot
from engine.wire.pairing import Pairing
from engine.wire.transport import ByteCounter

log = logging.getLogger(__name__)

A = TypeVar("A", bound=answers.Response)

PATIENCE = 30.0  # seconds to wait for an answer


class PendingRequests:
    """What was asked and not answered yet."""

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
            async with asyncio.timeout(PATIENCE):
                await socket.send(encoding.encode(request))
                answer = await future
        except (ConnectionClosed, TimeoutError) as error:
            raise ConnectionLostError("the connection broke before the engine answered") from error
        finally:
            self._waiting.pop(request.id, None)
        if not isinstance(answer, kind):
            raise MalformedMessageError(f"the engine answered with {type(answer).__name__}")
        return answer

    def answer(self, message: object) -> None:
        """Hand a message on to who waits for it, if anybody does."""
        future = self._waiting.get(getattr(message, "re", None) or -1)
        if future and not future.done():
            if isinstance(message, answers.Refused):
                future.set_exception(VisionFluxError.restore(message.error))
            else:
                future.set_result(message)

    def lose(self) -> None:
        """Tell all who wait that the connection broke."""
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
        epoch: of the engine's journal when the job was last followed; "" before that.
    """

    after: int | None
    previews: bool
    budget: int | None
    epoch: str = ""

    def request(self, number: int, job: str) -> Watch:
        """Return the request, under a number, that has the engine tell of ``job``."""
        return Watch(
            id=number, job=job, after=self.after, previews=self.previews, budget=self.budget
        )

    def enter(self, epoch: str) -> None:
        """Begin again if the engine's journal is not the one that was followed before."""
        if self.after is not None and epoch and self.epoch not in ("", epoch):
            self.after = 0
        self.epoch = epoch

    def begin(self, seq: int) -> None:
        """Take in the number of a snapshot's last event."""
        if self.after is None:
            self.after = seq  # what is new begins here, whatever breaks
        elif seq < self.after:
            self.after = 0  # the log lost its end: all of it comes again

    def is_new(self, seq: int) -> bool:
        """Tell whether an event was not seen before; remember that it was."""
        if self.after is not None and seq <= self.after:
            return False
        self.after = seq
        return True

    def pay(self, size: int) -> None:
        """Take what a preview took, in bytes, from the budget."""
        if self.budget is not None:
            self.budget = max(0, self.budget - size)


Message = Snapshot | JobEvent | Preview

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between attempts, growing by 1.6, with jitter
HEALTHY = 30.0  # seconds after which a connection counts as good and the delay starts anew
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
        self.hello: answers.Hello | None = None
        self.state = LinkState(name="connecting")
        self.traffic = ByteCounter()
        self._on_message, self._on_state = on_message, on_state
        self._socket: ClientConnection | None = None
        self._questions = PendingRequests()
        self._number = self._questions.number
        self._watched: dict[str, Subscription] = {}
        self._connected = asyncio.Event()
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
            delay = FIRST_DELAY if time.monotonic() - began > HEALTHY else delay
            wait = delay * random.uniform(0.5, 1.0)
            self._change(LinkState(name="waiting", error=error.report(), retry_in=wait))
            delay = min(LONGEST_DELAY, delay * 1.6)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._closed.wait()
        self._change(LinkState(name="closed"))

    async def close(self) -> None:
        """End the connection; jobs go on at the engine."""
        self._closed.set()
        if self._socket:
            await self._socket.close()

    async def connected(self, patience: float = 8.0) -> answers.Hello:
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
                async with asyncio.timeout(0.1):
                    await self._connected.wait()
        assert self.hello
        return self.hello

    # Requests

    async def submit(self, job: str, recipe: Recipe) -> answers.Accepted:
        """Start a job under an id of our choice; doing it twice starts nothing twice."""
        raw = msgspec.Raw(encoding.encode_recipe(recipe).encode())
        request = requests.Submit(id=self._number(), job=job, recipe=raw)
        return await self._ask(request, answers.Accepted)

    async def watch(
        self,
        job: str,
        *,
        after: int | None = 0,
        previews: bool = True,
        budget: int | None = None,
    ) -> answers.Snapshot:
        """Follow a job.

        Args:
            job: its id.
            after: number of the event after which to begin; None means only what is new.
            previews: whether to be sent previews.
            budget: bytes that the previews of this film may take, reconnections included; None:
                no limit.
        """
        epoch = self.hello.epoch if self.hello else ""
        watched = self._watched[job] = Subscription(after, previews, budget, epoch)
        try:
            return await self._ask(watched.request(self._number(), job), answers.Snapshot)
        except TransportError:
            raise  # it is watched as soon as the connection is back
        except VisionFluxError:
            self._watched.pop(job, None)
            raise

    async def show_previews(self, job: str, wanted: bool) -> None:
        """Begin or end previews of a job that is followed, within what its budget has left."""
        if watched := self._watched.get(job):
            watched.previews = wanted
            request = requests.ShowPreviews(
                id=self._number(), job=job, wanted=wanted, budget=watched.budget
            )
            await self._ask(request, answers.Done)

    async def unwatch(self, job: str) -> None:
        """Follow a job no longer."""
        self._watched.pop(job, None)
        await self._ask(requests.Unwatch(id=self._number(), job=job), answers.Done)

    async def cancel(self, job: str) -> None:
        """End a job."""
        await self._ask(requests.Cancel(id=self._number(), job=job), answers.Done)

    async def pause(self, job: str) -> None:
        """Let a job rest."""
        await self._ask(requests.Pause(id=self._number(), job=job), answers.Done)

    async def resume(self, job: str) -> None:
        """Have a job that rests go on."""
        await self._ask(requests.Resume(id=self._number(), job=job), answers.Done)

    async def jobs(self) -> tuple[answers.JobSummary, ...]:
        """Return the engine's jobs, newest first."""
        answer = await self._ask(requests.ListJobs(id=self._number()), answers.JobList)
        return answer.jobs

    async def find_missing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the named objects that the engine lacks."""
        request = requests.FindMissing(id=self._number(), objects=tuple(names))
        return (await self._ask(request, answers.Missing)).objects

    async def describe(self) -> answers.Hello:
        """Return a fresh hello."""
        self.hello = await self._ask(requests.Describe(id=self._number()), answers.Hello)
        return self.hello

    async def fetch(
        self, name: str, target: Path, on_bytes: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Fetch an object into ``target``, going on where an earlier attempt broke off.

        Raises:
            TransportError: the connection broke; what came is kept in ``target`` + ``.part``.
            UnknownObjectError: the engine does not have it.
        """
        async with open_socket(self.engine, terms.DATA_PATH, self.traffic) as socket:
            await transfer.Download(socket, name, target, on_bytes).run()

    async def upload(
        self, name: str, file: Path, media_type: str, *, origin: str = "", detail: str = ""
    ) -> None:
        """Bring an object, made by another engine, to this one; both ends check its hash.

        Args:
            name: the node's content address.
            file: its content.
            media_type: ``image/png`` or ``video/mp4``.
            origin: the device that made it.
            detail: what its event says about it.
        """
        about = {"object": name, "media_type": media_type, "origin": origin, "detail": detail}
        async with open_socket(self.engine, terms.DATA_PATH, self.traffic) as socket:
            await transfer.upload(socket, file, about)

    async def _ask(self, request: requests.Request, kind: type[A]) -> A:
        return await self._questions.ask(self._socket, request, kind)

    # The socket

    async def _attempt(self) -> TransportError:
        """Connect and listen until that ends; return why."""
        self._change(LinkState(name="connecting"))
        try:
            async with open_socket(self.engine, terms.CONTROL_PATH, self.traffic) as socket:
                await self._listen(socket)
        except TransportError as error:
            return error
        except ConnectionClosed as error:
            return ConnectionLostError(f"the connection to the engine broke: {error}")
        finally:
            self._forget()
        return ConnectionLostError("the engine closed the connection")

    async def _listen(self, socket: ClientConnection) -> None:
        hello = encoding.decode_answer(await socket.recv())
        if not isinstance(hello, answers.Hello):
            raise MalformedMessageError("the engine did not begin with hello")
        if self._closed.is_set():
            return  # while this attempt was under way, when there was no socket to close
        self.hello, self._socket = hello, socket
        self._connected.set()
        self._change(LinkState(name="connected"))
        for job, watched in tuple(self._watched.items()):
            watched.enter(hello.epoch)
            await socket.send(encoding.encode(watched.request(self._number(), job)))
        async for data in socket:
            self._take(encoding.decode_answer(data), len(data))

    def _take(self, message: answers.AnyResponse | Preview | Chunk, size: int) -> None:
        """Hand a message of ``size`` bytes on to whoever waits for it."""
        watched = self._watched.get(getattr(message, "job", ""))
        match message:
            case JobEvent(seq=seq):
                if watched and watched.is_new(seq):
                    self._hand_over(message)
                return
            case Preview():
                if watched:
                    watched.pay(size)
                self._hand_over(message)
                return
            case Snapshot(progress=progress):
                if watched:
                    watched.begin(progress.seq)
                self._hand_over(message)
        self._questions.answer(message)

    def _hand_over(self, message: Message) -> None:
        """Call the handler; a message that it cannot take is logged, and the link goes on."""
        try:
            self._on_message(message)
        except Exception:
            log.exception("a message about job %s could not be handled", message.job)

    def _forget(self) -> None:
        self._socket = None
        self._connected.clear()
        self._questions.lose()

    def _change(self, state: LinkState) -> None:
        self.state = state
        self._on_state(state)
