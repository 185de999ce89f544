"""The workers of an engine: which are free, have the model, or are excluded from a film.

Each is a process for one device of this machine or, through Ray, of another one. A device with
enough memory has a helper too: a second process that does everything but painting while the first
one paints. It knows neither films nor the order of their steps (``engine.jobs.film_builder``).
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import psutil

from engine.errors import (
    DeviceMemoryError,
    InvalidParameterError,
    VisionFluxError,
    WorkerStartError,
)
from engine.film.preview_budget import PreviewQuality
from engine.wire.messages.responses import DeviceInfo
from engine.workers import messages
from engine.workers.process import ROOT, TaskStoppedError, WorkerDiedError, WorkerProcess

log = logging.getLogger(__name__)


class MemoryShortError(Exception):
    """A device had too little memory for a task; its next worker saves memory from the start."""


class WorkerPool:
    """The workers of an engine, which work on one film at a time.

    Args:
        workers: at least one; the first free one is used.
        second: returns a helper for a worker that has loaded a film's model, from the state of its
            device; None if it gets none.

    Attributes:
        interpolator: identity of the network that draws in-betweens; "" before the first film.
        notice: why it is not the network that the operator chose; "" if it is.
    """

    def __init__(
        self,
        workers: Sequence[WorkerProcess],
        second: Callable[[DeviceInfo], WorkerProcess | None] = lambda _: None,
    ) -> None:
        self._workers = tuple(workers)
        self._second = second
        self._helpers: dict[WorkerProcess, WorkerProcess] = {}
        self._busy: set[WorkerProcess] = set()
        self._holding: set[WorkerProcess] = set()  # that have loaded the film's model
        self._unfit: set[WorkerProcess] = set()  # excluded from this film
        self._load: messages.Load | None = None  # precedes a worker's first task of a film
        self._loaded: messages.Loaded | None = None  # the first answer to it
        self._stopped = False
        self._news = asyncio.Event()
        self.interpolator = self.notice = ""
        for worker in self._workers:
            worker.on_change = partial(self._changed, worker)

    @property
    def size(self) -> int:
        """Number of workers, ready or not, without helpers."""
        return len(self._workers)

    @property
    def helpers(self) -> int:
        """Number of helpers; if there are any, the other workers only paint."""
        return len(self._ready_helpers())

    @property
    def ready(self) -> int:
        """Number of workers that are ready."""
        return sum(worker.ready for worker in self._workers)

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices of the ready workers; if none is ready, that of the first worker."""
        ready = tuple(worker.device for worker in self._workers if worker.ready)
        return ready or (self._workers[0].device,)

    @property
    def memory(self) -> int:
        """Peak bytes of a device during the film."""
        helpers = (helper.peak for helper in self._helpers.values())
        return max(worker.peak for worker in self._workers) + max(helpers, default=0)

    async def start(self) -> None:
        """Start all processes that do not run; they become ready in the background.

        A process that cannot be started is logged. Its next task raises WorkerStartError.
        """
        for worker in self._workers:
            await self._start(worker)

    async def _start(self, worker: WorkerProcess) -> None:
        try:
            await worker.start()
        except WorkerStartError as error:
            log.error("%s: %s. Remedy: %s.", error.code, error, error.remedy)

    async def close(self) -> None:
        """End all processes."""
        for worker in self._all():
            await worker.close()

    async def load(
        self, load: messages.Load, on_reply: Callable[[messages.AnyReply], None]
    ) -> messages.Loaded:
        """Begin a film: one worker loads its model, the others before their first task.

        Raises:
            as ``borrowed``, and as ``WorkerProcess.run``.
        """
        if self._load is None or self._load.job != load.job:
            for worker in self._all():
                worker.forget()
            self._unfit.clear()
        await self.start()
        self._holding.clear()
        self._unfit -= {*self._workers}
        self._stopped = False
        self._load, self._loaded = load, None
        async with self.borrowed(on_reply, paints=True):
            assert self._loaded
            self.interpolator, self.notice = self._loaded.interpolator, self._loaded.notice
            return self._loaded

    @asynccontextmanager
    async def borrowed(
        self,
        on_reply: Callable[[messages.AnyReply], None] = lambda _: None,
        *,
        paints: bool = False,
    ) -> AsyncIterator[WorkerProcess]:
        """Wait for a free worker, and have it load the film's model unless it has.

        Args:
            on_reply: called with the worker's replies while it loads.
            paints: whether a keyframe is to be painted; helpers cannot do this.

        Raises:
            TaskStoppedError: the film was stopped meanwhile.
            WorkerDiedError: the worker died, here or in the context; it is started again, a helper
                only for the next film.
            WorkerStartError: its process cannot be started.
            MemoryShortError: its device had too little memory; the next worker saves memory.
            VisionFluxError: the model cannot be loaded.
        """
        while True:
            await self._dismiss()
            worker = await self._free(paints)
            self._busy.add(worker)
            ways = len(worker.ways)
            try:
                if await self._prepared(worker, on_reply):
                    yield worker
                    return
            except WorkerDiedError as death:
                if worker in self._workers:
                    await self._start(worker)
                else:
                    self._rule_out(worker, str(death))
                raise
            except DeviceMemoryError as error:
                if len(worker.ways) > ways:
                    await self._start(worker)
                elif not self._rule_out(worker, str(error)):
                    raise
                raise MemoryShortError from error
            finally:
                self._busy.discard(worker)
                self._news.set()

    def stop(self, job: str) -> None:
        """Stop all running tasks, and begin no more."""
        self._stopped = self._load is not None and self._load.job == job
        for worker in self._all():
            worker.stop(job)
        self._news.set()

    def credit(self, setting: PreviewQuality | None) -> None:
        """Request one preview, from the worker that has one first; None requests none."""
        for worker in self._all():
            worker.credit(setting)

    def _all(self) -> tuple[WorkerProcess, ...]:
        return (*self._workers, *self._helpers.values())

    def _ready_helpers(self) -> list[WorkerProcess]:
        """Return the ready helpers of workers that have enough memory."""
        pairs = self._helpers.items()
        there = [helper for worker, helper in pairs if helper.ready and not worker.ways]
        return [helper for helper in there if helper not in self._unfit]

    def _changed(self, worker: WorkerProcess) -> None:
        """Handle that a worker has become ready or has ended."""
        if not worker.ready:
            self._holding.discard(worker)
        self._news.set()

    async def _free(self, paints: bool) -> WorkerProcess:
        """Wait for a free worker that can take part, preferably a ready one."""
        while True:
            if self._stopped:
                raise TaskStoppedError
            fit = [worker for worker in self._workers if worker not in self._unfit]
            fit = fit if paints else self._ready_helpers() or fit
            free = [worker for worker in fit if worker not in self._busy]
            if not any(worker.ready for worker in fit) and free:
                return free[0]
            ready = [worker for worker in free if worker.ready]
            if ready:
                return max(ready, key=self._holding.__contains__)
            self._news.clear()
            await self._news.wait()

    async def _prepared(
        self, worker: WorkerProcess, on_reply: Callable[[messages.AnyReply], None]
    ) -> bool:
        """Have a worker load the film's model; return whether it can take part.

        It cannot if its weights differ from those in the names of the film's nodes.
        """
        if worker in self._holding:
            return True
        assert self._load
        paints = worker in self._workers
        load = msgspec.structs.replace(self._load, ways=len(worker.ways))
        load = load if paints else msgspec.structs.replace(load, model=None)
        try:
            loaded = await worker.run(load, on_reply)
        except DeviceMemoryError:
            raise
        except VisionFluxError as error:
            if not self._rule_out(worker, str(error)):
                raise
            return False
        assert isinstance(loaded, messages.Loaded)
        self._loaded = self._loaded or loaded
        ours = (
            self._loaded.model if paints else "",
            self._loaded.interpolator,
            self._loaded.upscaler,
        )
        theirs = (loaded.model, loaded.interpolator, loaded.upscaler)
        if ours == theirs:
            self._holding.add(worker)
            await self._pair(worker)
        elif not self._rule_out(worker, f"it has {theirs}, and the film needs {ours}"):
            raise WorkerDiedError("no worker is left that has the film's weights")
        return ours == theirs

    def _rule_out(self, worker: WorkerProcess, why: str) -> bool:
        """Exclude a worker from this film; return False if it is the last one."""
        if {*self._workers} <= {*self._unfit, worker}:
            return False
        log.warning("%s is excluded from this film: %s.", worker.device.name, why)
        self._unfit.add(worker)
        return True

    async def _pair(self, worker: WorkerProcess) -> None:
        """Start a helper for a worker that has loaded the model, if its device has the memory."""
        if worker.ways or worker not in self._workers:
            return
        helper = self._helpers.get(worker) or self._second(worker.device)
        if helper and helper not in self._unfit:
            self._helpers[worker] = helper
            helper.on_change = partial(self._changed, helper)
            await self._start(helper)

    async def _dismiss(self) -> None:
        """End the helpers of workers that are short of memory, once they are free."""
        for worker, helper in tuple(self._helpers.items()):
            if worker.ways and helper not in self._busy:
                del self._helpers[worker]
                await helper.close()


ALL_DEVICES = "all"
DISCOVERY_TIMEOUT = 90.0  # seconds that a list of devices or shares may take
# Free bytes beside a model: what it paints with, and a second worker.
SECOND_WORKER_MEMORY = 4_000_000_000
RAY_BRIDGE_COMMAND = (sys.executable, "-m", "engine.workers.ray_bridge")
RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0"}  # no usage statistics are sent


async def discover_workers(
    devices: str,
    command: Sequence[str],
    on_preview: Callable[[bytes], None],
    has_room: Callable[[DeviceInfo], bool],
) -> WorkerPool:
    """Return the pool for the devices of this machine.

    Args:
        devices: names of ``render.device``, separated by commas, or ``all``.
        command: starts a worker; ``--device`` is appended.
        on_preview: as in ``WorkerProcess``.
        has_room: returns whether a device on which a model is loaded gets a helper.

    Raises:
        InvalidParameterError: torch did not report which devices there are.
    """
    if devices == ALL_DEVICES:
        devices = await _answer((*command, "--list"), "device", "name the devices")
    names = [name.strip() for name in devices.split(",")]
    environment = _threads(len(names)) if len(names) > 1 else {}

    def second(device: DeviceInfo) -> WorkerProcess | None:
        there = has_room(device)
        return WorkerProcess(command, device.kind, on_preview, environment) if there else None

    return WorkerPool(
        [WorkerProcess(command, name, on_preview, environment) for name in names], second
    )


async def discover_cluster_workers(
    address: str, chosen: Sequence[str], on_preview: Callable[[bytes], None]
) -> WorkerPool:
    """Return the pool for a Ray cluster: a worker for each share that it has now.

    Args:
        address: of the cluster's head, ``host:port``; this machine is one of its nodes.
        chosen: the networks that the operator chose, as options of ``engine.render.worker``.
        on_preview: as in ``WorkerProcess``.

    Raises:
        InvalidParameterError: no cluster answers, or it has no room for a worker.
    """
    command = (*RAY_BRIDGE_COMMAND, "--ray", address, *chosen)
    remedy = 'pip install "ray>=2.60,<2.61", and ray start on every machine'
    shares = (await _answer(command, "ray", remedy)).split()
    return WorkerPool(
        [WorkerProcess(command, share, on_preview, RAY_ENVIRONMENT) for share in shares]
    )


def has_room_for_two(device: DeviceInfo) -> bool:
    """Return whether a GPU has enough memory for a helper beside the worker that paints."""
    return device.kind.startswith("cuda") and device.free_memory >= SECOND_WORKER_MEMORY


async def _answer(command: Sequence[str], field: str, remedy: str) -> str:
    """Return what a command prints; it must print something and exit with 0."""
    problem = "no device was found"
    try:
        asked = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **RAY_ENVIRONMENT},
        )
    except OSError as error:
        raise InvalidParameterError(field, f"{problem} ({error})", remedy) from error
    try:
        async with asyncio.timeout(DISCOVERY_TIMEOUT):
            output, _ = await asked.communicate()
    except TimeoutError:
        asked.kill()
        await asked.wait()
        output = b""
    if asked.returncode or not output:
        raise InvalidParameterError(field, problem, remedy)
    return output.decode()


def _threads(workers: int) -> dict[str, str]:
    """Return the environment variable that divides a machine's cores among its workers."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(asked) if asked.isdecimal() else psutil.cpu_count(logical=False) or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // workers))}
