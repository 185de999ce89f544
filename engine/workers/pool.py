"""Several workers as one: who is free, who holds the model, and who is out for this film.

Each is a foreman with one worker process for one device, here or, through Ray, elsewhere. A device
with room for two has a mate as well, which does all but painting while the other one paints. It
knows neither films nor their order: what can be done at once is the business of
``engine.jobs.film_builder``.
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
from engine.workers import messages as tasks
from engine.workers.process import ROOT, TaskStoppedError, WorkerDiedError, WorkerProcess

log = logging.getLogger(__name__)


class MemoryShortError(Exception):
    """A device had no room for a task; a fresh worker, thrifty from the start, may have."""


class WorkerPool:
    """The workers of an engine, at work on one film.

    Args:
        foremen: at least one; of those that are free the first is asked first.
        second: returns a mate for a worker that has loaded a film's model, by the device as it is
            then; None if it gets none.

    Attributes:
        interpolator: identity of the network that draws; "" before the first film.
        notice: why that is not the operator's choice; "" if it is.
    """

    def __init__(
        self,
        foremen: Sequence[WorkerProcess],
        second: Callable[[DeviceInfo], WorkerProcess | None] = lambda _: None,
    ) -> None:
        self._foremen = tuple(foremen)
        self._second = second
        self._mates: dict[WorkerProcess, WorkerProcess] = {}
        self._busy: set[WorkerProcess] = set()
        self._holding: set[WorkerProcess] = set()  # what this film needs
        self._unfit: set[WorkerProcess] = set()  # for this film
        self._load: tasks.Load | None = None  # what a worker does before its first task of a film
        self._loaded: tasks.Loaded | None = None  # what the first of them has answered
        self._stopped = False
        self._news = asyncio.Event()
        self.interpolator = self.notice = ""
        for foreman in self._foremen:
            foreman.on_change = partial(self._changed, foreman)

    @property
    def size(self) -> int:
        """Number of workers, ready or not, mates aside."""
        return len(self._foremen)

    @property
    def mates(self) -> int:
        """Number of mates that are there for all but painting; the others only paint then."""
        return len(self._helpers())

    @property
    def ready(self) -> int:
        """Number of workers that are ready."""
        return sum(foreman.ready for foreman in self._foremen)

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices of those that are ready; while none is, what is known of the first."""
        ready = tuple(foreman.device for foreman in self._foremen if foreman.ready)
        return ready or (self._foremen[0].device,)

    @property
    def memory(self) -> int:
        """Bytes of a device that the film has needed at most."""
        mates = (mate.peak for mate in self._mates.values())
        return max(foreman.peak for foreman in self._foremen) + max(mates, default=0)

    async def start(self) -> None:
        """Start every process that does not run; they get ready in the background.

        A process that cannot be started is logged. Its next task raises WorkerStartError.
        """
        for foreman in self._foremen:
            await self._start(foreman)

    async def _start(self, foreman: WorkerProcess) -> None:
        try:
            await foreman.start()
        except WorkerStartError as error:
            log.error("%s: %s. Remedy: %s.", error.code, error, error.remedy)

    async def close(self) -> None:
        """End every process."""
        for foreman in self._all():
            await foreman.close()

    async def load(
        self, load: tasks.Load, on_reply: Callable[[tasks.AnyReply], None]
    ) -> tasks.Loaded:
        """Begin with a film: one worker loads its model, the others do before their first task.

        Raises:
            as ``borrowed``, and as ``WorkerProcess.run``.
        """
        if self._load is None or self._load.job != load.job:
            for foreman in self._all():
                foreman.forget()
            self._unfit.clear()
        await self.start()
        self._holding.clear()
        self._unfit -= {*self._foremen}
        self._stopped = False
        self._load, self._loaded = load, None
        async with self.borrowed(on_reply, paints=True):
            assert self._loaded
            self.interpolator, self.notice = self._loaded.interpolator, self._loaded.notice
            return self._loaded

    @asynccontextmanager
    async def borrowed(
        self, on_reply: Callable[[tasks.AnyReply], None] = lambda _: None, *, paints: bool = False
    ) -> AsyncIterator[WorkerProcess]:
        """Wait for a free worker and have it load what the film needs, unless it did before.

        Args:
            on_reply: hears what the worker says while it loads.
            paints: a keyframe is to be painted, which no mate does.

        Raises:
            TaskStoppedError: the film was stopped meanwhile.
            WorkerDiedError: the worker died, here or in the context; it is started anew, a mate
                for the next film.
            WorkerStartError: its process cannot be started.
            MemoryShortError: its device was short of memory; it begins more thriftily next time.
            VisionFluxError: the model cannot be loaded.
        """
        while True:
            await self._dismiss()
            foreman = await self._free(paints)
            self._busy.add(foreman)
            ways = len(foreman.ways)
            try:
                if await self._prepared(foreman, on_reply):
                    yield foreman
                    return
            except WorkerDiedError as death:
                if foreman in self._foremen:
                    await self._start(foreman)
                else:
                    self._rule_out(foreman, str(death))
                raise
            except DeviceMemoryError as error:
                if len(foreman.ways) > ways:
                    await self._start(foreman)
                elif not self._rule_out(foreman, str(error)):
                    raise
                raise MemoryShortError from error
            finally:
                self._busy.discard(foreman)
                self._news.set()

    def stop(self, job: str) -> None:
        """Have every task in hand given up, and no other begun."""
        self._stopped = self._load is not None and self._load.job == job
        for foreman in self._all():
            foreman.stop(job)
        self._news.set()

    def credit(self, setting: PreviewQuality | None) -> None:
        """Allow a preview, whoever is the first to have one; None allows none."""
        for foreman in self._all():
            foreman.credit(setting)

    def _all(self) -> tuple[WorkerProcess, ...]:
        return (*self._foremen, *self._mates.values())

    def _helpers(self) -> list[WorkerProcess]:
        """Return the mates that are there, of workers that have enough memory."""
        pairs = self._mates.items()
        there = [mate for foreman, mate in pairs if mate.ready and not foreman.ways]
        return [mate for mate in there if mate not in self._unfit]

    def _changed(self, foreman: WorkerProcess) -> None:
        """Note that a worker has become ready or has ended."""
        if not foreman.ready:
            self._holding.discard(foreman)
        self._news.set()

    async def _free(self, paints: bool) -> WorkerProcess:
        """Wait for a worker that is fit and free, and ready unless no other is."""
        while True:
            if self._stopped:
                raise TaskStoppedError
            fit = [foreman for foreman in self._foremen if foreman not in self._unfit]
            fit = fit if paints else self._helpers() or fit
            free = [foreman for foreman in fit if foreman not in self._busy]
            if not any(foreman.ready for foreman in fit) and free:
                return free[0]
            ready = [foreman for foreman in free if foreman.ready]
            if ready:
                return max(ready, key=self._holding.__contains__)
            self._news.clear()
            await self._news.wait()

    async def _prepared(
        self, foreman: WorkerProcess, on_reply: Callable[[tasks.AnyReply], None]
    ) -> bool:
        """Have a worker load what the film needs; return whether it may take part.

        It may not with other weights than those by which the film's nodes are named.
        """
        if foreman in self._holding:
            return True
        assert self._load
        paints = foreman in self._foremen
        load = msgspec.structs.replace(self._load, ways=len(foreman.ways))
        load = load if paints else msgspec.structs.replace(load, model=None)
        try:
            loaded = await foreman.run(load, on_reply)
        except DeviceMemoryError:
            raise
        except VisionFluxError as error:
            if not self._rule_out(foreman, str(error)):
                raise
            return False
        assert isinstance(loaded, tasks.Loaded)
        self._loaded = self._loaded or loaded
        ours = (self._loaded.model if paints else "", self._loaded.interpolator)
        theirs = (loaded.model, loaded.interpolator)
        if ours == theirs:
            self._holding.add(foreman)
            await self._pair(foreman)
        elif not self._rule_out(foreman, f"it has {theirs}, and the film needs {ours}"):
            raise WorkerDiedError("none is left that has the film's weights")
        return ours == theirs

    def _rule_out(self, foreman: WorkerProcess, why: str) -> bool:
        """Go on with this film without a worker; return False if it is the last one."""
        if {*self._foremen} <= {*self._unfit, foreman}:
            return False
        log.warning("%s takes no part in this film: %s.", foreman.device.name, why)
        self._unfit.add(foreman)
        return True

    async def _pair(self, foreman: WorkerProcess) -> None:
        """Give a worker that has loaded the model a mate, if its device has room for two."""
        if foreman.ways or foreman not in self._foremen:
            return
        mate = self._mates.get(foreman) or self._second(foreman.device)
        if mate and mate not in self._unfit:
            self._mates[foreman] = mate
            mate.on_change = partial(self._changed, mate)
            await self._start(mate)

    async def _dismiss(self) -> None:
        """End the mates of workers that run short of memory, once they are free."""
        for foreman, mate in tuple(self._mates.items()):
            if foreman.ways and mate not in self._busy:
                del self._mates[foreman]
                await mate.close()


ALL = "all"
PATIENCE = 90.0  # seconds until a question counts as unanswered
ROOM = 4_000_000_000  # free bytes beside a model: what it paints with, and a second worker
BRIDGE = (sys.executable, "-m", "engine.workers.ray_bridge")
SILENT = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is told to Ray's makers


async def discover_workers(
    devices: str,
    worker: Sequence[str],
    on_preview: Callable[[bytes], None],
    has_room: Callable[[DeviceInfo], bool],
) -> WorkerPool:
    """Return the crew for the devices of this machine.

    Args:
        devices: names with commas between them, as ``render.device`` knows them, or ``all``.
        worker: command that starts one; ``--device`` is appended.
        on_preview: as ``WorkerProcess`` wants it.
        has_room: tells whether a device on which a model is loaded gets a second worker.

    Raises:
        InvalidParameterError: torch did not tell which devices there are.
    """
    if devices == ALL:
        devices = await _answer((*worker, "--list"), "device", "name the devices")
    names = [name.strip() for name in devices.split(",")]
    environment = _threads(len(names)) if len(names) > 1 else {}

    def second(device: DeviceInfo) -> WorkerProcess | None:
        there = has_room(device)
        return WorkerProcess(worker, device.kind, on_preview, environment) if there else None

    return WorkerPool(
        [WorkerProcess(worker, name, on_preview, environment) for name in names], second
    )


async def muster_cluster(
    address: str, rife: str, on_preview: Callable[[bytes], None]
) -> WorkerPool:
    """Return the crew for a Ray cluster: a worker for each share of it that was there just now.

    Args:
        address: of the cluster's head, ``host:port``; this machine is one of its nodes.
        rife: the operator's choice of a network.
        on_preview: as ``WorkerProcess`` wants it.

    Raises:
        InvalidParameterError: no cluster answers, or it has no room for a worker.
    """
    command = (*BRIDGE, "--ray", address, "--rife", rife)
    remedy = "pip install -r engine/requirements-ray.txt, and ray start on every machine"
    shares = (await _answer(command, "ray", remedy)).split()
    return WorkerPool([WorkerProcess(command, share, on_preview, SILENT) for share in shares])


def roomy(device: DeviceInfo) -> bool:
    """Tell whether a GPU has room for a worker that draws beside the one that paints."""
    return device.kind.startswith("cuda") and device.free_memory >= ROOM


async def _answer(command: Sequence[str], field: str, remedy: str) -> str:
    """Return what a command prints; it must print something and end well."""
    problem = "nothing answers that could do the work"
    try:
        asked = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, **SILENT}
        )
    except OSError as error:
        raise InvalidParameterError(field, f"{problem} ({error})", remedy) from error
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await asked.communicate()
    except TimeoutError:
        asked.kill()
        await asked.wait()
        said = b""
    if asked.returncode or not said:
        raise InvalidParameterError(field, problem, remedy)
    return said.decode()


def _threads(workers: int) -> dict[str, str]:
    """Return the variable by which workers of one machine share its cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(asked) if asked.isdecimal() else psutil.cpu_count(logical=False) or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // workers))}
