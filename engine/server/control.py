"""Serves one client on the control socket: answers its requests, and sends events and previews.

Each client reads the jobs' logs from its own position, so a slow one does not delay the others. At
most one preview waits for each. ``engine.server.server`` admits the clients.
"""

import asyncio
import logging
from collections.abc import Callable

from engine.errors import LimitError, MalformedMessageError, VisionFluxError
from engine.film.preview_budget import (
    QUICK_SECONDS,
    SETTINGS,
    SLOW_SECONDS,
    PreviewBudget,
    PreviewQuality,
)
from engine.film.recipe_json import read_recipe
from engine.jobs.job import Job
from engine.jobs.queue import JobQueue
from engine.storage.object_store import ObjectStore
from engine.wire.messages import codec, limits, requests, responses
from engine.wire.transport import ServerTransport, framed

log = logging.getLogger(__name__)

PREVIEW_WINDOW = 3  # unacknowledged previews of a job per client, while the stride is 1
PREVIEW_STRIDE = 6  # previews that one pong acknowledges, at most
EVENT_BATCH = 100  # events in one write, at most
MALFORMED_LIMIT = 20  # malformed messages in a row before a connection is closed


class Subscriber:
    """What one client has received of one job, and which previews may be sent to it.

    Attributes:
        budget: of bytes for previews; None while no previews are wanted.
        considered: number of the newest preview that was sent or skipped.
        under_way: number of previews that were sent and are not acknowledged yet.
        unasked: number of those after which no ping was sent yet.
        stride: previews that one pong acknowledges; more while pongs arrive quickly.
    """

    def __init__(self, job: Job, sent: int, budget: PreviewBudget | None) -> None:
        self.job, self.sent, self.budget = job, sent, budget
        self.setting = SETTINGS[0]
        self.considered = 0
        self.under_way = self.unasked = 0
        self.stride = 1

    @property
    def has_room(self) -> bool:
        """Whether a preview may be sent now."""
        window = PREVIEW_WINDOW + self.stride - 1
        return self.budget is not None and not self.budget.empty and self.under_way < window

    def choose(self) -> PreviewQuality | None:
        """Return how the next preview should be made; None if there should be none."""
        if self.budget is None or not self.has_room:
            return None
        self.setting = self.budget.choose(self.job.progress, self.job.recipe)
        return self.setting

    def takes_newest(self) -> bool:
        """Return whether to send the newest preview; each one is considered once."""
        if not self.has_room or self.considered >= self.job.preview_number:
            return False
        first, self.considered = not self.considered, self.job.preview_number
        return first or self.setting.shows(*self.job.shown)

    def events(self, most: int) -> list[bytes]:
        """Return the next events to send, as frames, and count them as sent."""
        frames = self.job.frames[self.sent : self.sent + most]
        self.sent += len(frames)
        return frames

    def preview(self) -> bytes:
        """Return the newest preview as a frame, and count it as sent."""
        assert self.budget
        self.under_way += 1
        self.unasked += 1
        self.budget.spend(len(self.job.preview), self.setting)
        return self.job.preview

    def acknowledged(self, previews: int, seconds: float) -> None:
        """Record that previews have arrived, the last one ``seconds`` after it was sent."""
        self.under_way -= previews
        if seconds > SLOW_SECONDS:
            self.stride = 1
        elif seconds < QUICK_SECONDS:
            self.stride = min(self.stride + 1, PREVIEW_STRIDE)
        if self.budget:
            self.budget.acknowledged(seconds)


class ControlSession:
    """One client on the control socket."""

    def __init__(
        self,
        connection: ServerTransport,
        jobs: JobQueue,
        store: ObjectStore,
        hello: Callable[[int | None], responses.Hello],
        epoch: str,
    ) -> None:
        self._connection, self._jobs, self._store, self._hello = connection, jobs, store, hello
        self._epoch = epoch
        self._watched: dict[str, Subscriber] = {}
        self._answers: asyncio.Queue[str] = asyncio.Queue(maxsize=64)
        self._news = asyncio.Event()

    async def serve(self) -> None:
        """Answer requests until the client disconnects; its jobs continue."""
        self._answers.put_nowait(codec.encode(self._hello(None)))
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
            answer, bad = await self._answer(data)
            malformed = malformed + 1 if bad else 0
            await self._answers.put(codec.encode(answer))
            self._news.set()
            if malformed >= MALFORMED_LIMIT:
                await self._connection.close(1008, "too many malformed messages")

    async def _answer(self, data: str | bytes) -> tuple[responses.AnyResponse, bool]:
        try:
            request = codec.decode_request(data, requests.ControlRequest)
        except VisionFluxError as error:
            answer = responses.Refused(re=codec.request_id(data), error=error.report())
            return answer, isinstance(error, MalformedMessageError)
        try:
            return await self._carry_out(request), False
        except VisionFluxError as error:
            return responses.Refused(re=request.id, error=error.report()), False

    async def _carry_out(self, request: requests.ControlRequest) -> responses.AnyResponse:
        match request:
            case requests.Submit():
                fresh = self._jobs.submit(request.job, read_recipe(request.recipe), self)
                await self._jobs.holding.hold(request.job)
                return responses.Accepted(re=request.id, job=request.job, duplicate=not fresh)
            case requests.Watch():
                return self._watch(request)
            case requests.Unwatch():
                if request.job in self._watched:
                    self._leave(self._watched.pop(request.job))
            case requests.ShowPreviews():
                if watching := self._watched.get(request.job):
                    watching.budget = PreviewBudget(request.budget) if request.wanted else None
                    self._want(watching)
            case requests.Cancel():
                self._jobs.cancel(self._jobs.get(request.job))
            case requests.Pause():
                self._jobs.pause(self._jobs.get(request.job))
            case requests.Resume():
                self._jobs.resume(self._jobs.get(request.job))
            case requests.ListJobs():
                return responses.JobList(re=request.id, jobs=self._jobs.summaries())
            case requests.Describe():
                return self._hello(request.id)
            case requests.FindMissing():
                missing = await self._store.missing(request.objects)
                return responses.Missing(re=request.id, objects=missing)
        return responses.Done(re=request.id)

    def _watch(self, request: requests.Watch) -> responses.Snapshot:
        full = len(self._watched) >= limits.LIMITS.watched_jobs
        if full and request.job not in self._watched:
            raise LimitError("this connection watches too many jobs", remedy="unwatch one")
        job = self._jobs.get(request.job)
        if known := self._watched.pop(job.id, None):
            self._leave(known)
        sent = len(job.frames) if request.after is None else request.after
        if sent > len(job.frames):  # the client has seen more than is left of the log
            sent = 0
        budget = PreviewBudget(request.budget) if request.previews else None
        watching = self._watched[job.id] = Subscriber(job, sent, budget)
        job.watchers.add(self._news.set)
        self._want(watching)
        return _snapshot(request.id, job, self._epoch)

    def _leave(self, watching: Subscriber) -> None:
        watching.job.watchers.discard(self._news.set)
        self._jobs.want(watching.job, watching, None)
        self._jobs.release(watching.job)

    # Sending: first answers, then events, then the newest preview

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while frames := self._some():
                await self._connection.send_frames(frames)
            for watching in tuple(self._watched.values()):
                if watching.unasked >= watching.stride:
                    await self._ask(watching)
                if watching not in watching.job.wants:
                    self._want(watching)

    def _some(self) -> bytes:
        """Return the most urgent frames; empty if there is nothing to send."""
        if not self._answers.empty():
            return framed(self._answers.get_nowait())
        frames: list[bytes] = []
        for watching in self._watched.values():
            frames += watching.events(EVENT_BATCH - len(frames))
        if len(frames) < EVENT_BATCH:
            shown = [each for each in self._watched.values() if each.takes_newest()]
            frames += [watching.preview() for watching in shown]
        return b"".join(frames)

    def _want(self, watching: Subscriber) -> None:
        self._jobs.want(watching.job, watching, watching.choose())

    async def _ask(self, watching: Subscriber) -> None:
        """Send a ping, whose pong shows that the previews before it have arrived."""
        previews, watching.unasked = watching.unasked, 0
        pong = asyncio.ensure_future(await self._connection.ping())
        pong.add_done_callback(lambda pong: self._arrived(watching, previews, pong))

    def _arrived(self, watching: Subscriber, previews: int, pong: asyncio.Future[float]) -> None:
        if pong.cancelled() or pong.exception():
            return  # the connection has ended
        watching.acknowledged(previews, pong.result())
        self._news.set()


def _snapshot(re: int, job: Job, epoch: str) -> responses.Snapshot:
    return responses.Snapshot(
        re=re,
        job=job.id,
        recipe=job.recipe,
        created_at=job.created_at,
        progress=job.progress,
        fraction=job.progress.fraction,
        remaining=job.progress.remaining,
        epoch=epoch,
    )
