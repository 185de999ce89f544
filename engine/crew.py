"""Several workers as one: who is free, who holds the model, and who is out for this film.

Each is a foreman with one worker process for one device, here or, through Ray, elsewhere. It knows
neither films nor their order: what can be done at once is the business of ``engine.making``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from engine import tasks
from engine.errors import DeviceMemoryError, VisionFluxError
from engine.foreman import Foreman, TaskStoppedError, WorkerDiedError
from engine.protocol.answers import DeviceInfo
from engine.purse import Setting

log = logging.getLogger(__name__)


class MemoryShortError(Exception):
    """A device had no room for a task; a fresh worker, thrifty from the start, may have."""


class Crew:
    """The workers of an engine, at work on one film.

    Args:
        foremen: at least one; of those that are free the first is asked first.

    Attributes:
        interpolator: identity of the network that draws; "" before the first film.
        notice: why that is not the operator's choice; "" if it is.
    """

    def __init__(self, foremen: Sequence[Foreman]) -> None:
        self._foremen = tuple(foremen)
        self._busy: set[Foreman] = set()
        self._holding: set[Foreman] = set()  # what this film needs
        self._unfit: set[Foreman] = set()  # for this film
        self._load: tasks.Load | None = None  # what a worker does before its first task of a film
        self._loaded: tasks.Loaded | None = None  # what the first of them has answered
        self._stopped = False
        self._news = asyncio.Event()
        self.interpolator = self.notice = ""
        for foreman in self._foremen:
            foreman.on_change = partial(self._changed, foreman)

    @property
    def size(self) -> int:
        """Number of workers, ready or not."""
        return len(self._foremen)

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
        return max(foreman.peak for foreman in self._foremen)

    async def start(self) -> None:
        """Start every process that does not run; they get ready in the background."""
        for foreman in self._foremen:
            await foreman.start()

    async def close(self) -> None:
        """End every process."""
        for foreman in self._foremen:
            await foreman.close()

    async def load(
        self, load: tasks.Load, on_reply: Callable[[tasks.AnyReply], None]
    ) -> tasks.Loaded:
        """Begin with a film: one worker loads its model, the others do before their first task.

        Raises:
            as ``borrowed``, and as ``Foreman.run``.
        """
        if self._load is None or self._load.job != load.job:
            for foreman in self._foremen:
                foreman.forget()
        await self.start()
        self._holding.clear()
        self._unfit.clear()
        self._stopped = False
        self._load, self._loaded = load, None
        async with self.borrowed(on_reply):
            assert self._loaded
            self.interpolator, self.notice = self._loaded.interpolator, self._loaded.notice
            return self._loaded

    @asynccontextmanager
    async def borrowed(
        self, on_reply: Callable[[tasks.AnyReply], None] = lambda _: None
    ) -> AsyncIterator[Foreman]:
        """Wait for a free worker and have it load what the film needs, unless it did before.

        Raises:
            TaskStoppedError: the film was stopped meanwhile.
            WorkerDiedError: the worker died, here or in the context; it is started anew.
            MemoryShortError: its device was short of memory; it begins more thriftily next time.
            VisionFluxError: the model cannot be loaded.
        """
        while True:
            foreman = await self._free()
            self._busy.add(foreman)
            ways = len(foreman.ways)
            try:
                if await self._prepared(foreman, on_reply):
                    yield foreman
                    return
            except WorkerDiedError:
                await foreman.start()
                raise
            except DeviceMemoryError as error:
                if len(foreman.ways) > ways:
                    await foreman.start()
                elif not self._rule_out(foreman, str(error)):
                    raise
                raise MemoryShortError from error
            finally:
                self._busy.discard(foreman)
                self._news.set()

    def stop(self, job: str) -> None:
        """Have every task in hand given up, and no other begun."""
        self._stopped = self._load is not None and self._load.job == job
        for foreman in self._foremen:
            foreman.stop(job)
        self._news.set()

    def credit(self, setting: Setting | None) -> None:
        """Allow a preview, whoever is the first to have one; None allows none."""
        for foreman in self._foremen:
            foreman.credit(setting)

    def _changed(self, foreman: Foreman) -> None:
        """Note that a worker has become ready or has ended."""
        if not foreman.ready:
            self._holding.discard(foreman)
        self._news.set()

    async def _free(self) -> Foreman:
        """Wait for a worker that is fit and free, and ready unless no other is."""
        while True:
            if self._stopped:
                raise TaskStoppedError
            fit = [foreman for foreman in self._foremen if foreman not in self._unfit]
            free = [foreman for foreman in fit if foreman not in self._busy]
            if not any(foreman.ready for foreman in fit) and free:
                return free[0]
            ready = [foreman for foreman in free if foreman.ready]
            if ready:
                return max(ready, key=self._holding.__contains__)
            self._news.clear()
            await self._news.wait()

    async def _prepared(self, foreman: Foreman, on_reply: Callable[[tasks.AnyReply], None]) -> bool:
        """Have a worker load what the film needs; return whether it may take part.

        It may not with other weights than those by which the film's nodes are named.
        """
        if foreman in self._holding:
            return True
        assert self._load
        load = msgspec.structs.replace(self._load, ways=len(foreman.ways))
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
        ours, theirs = ((one.model, one.interpolator) for one in (self._loaded, loaded))
        if ours == theirs:
            self._holding.add(foreman)
        elif not self._rule_out(foreman, f"it has {theirs}, and the film needs {ours}"):
            raise WorkerDiedError("none is left that has the film's weights")
        return ours == theirs

    def _rule_out(self, foreman: Foreman, why: str) -> bool:
        """Go on with this film without a worker; return False if it is the last one."""
        if len(self._unfit) + 1 == len(self._foremen):
            return False
        log.warning("%s takes no part in this film: %s.", foreman.device.name, why)
        self._unfit.add(foreman)
        return True
