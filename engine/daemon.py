"""An engine as a whole: a locked data folder, its key, its journal, its queue and its sockets.

It knows which parts there are and how they start and stop; what they do is theirs.
"""

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout
from websockets.asyncio.server import Server

from engine.errors import FolderInUseError, PortError
from engine.files import write_private
from engine.jobs.queue import JobQueue
from engine.models import Model, interpolators, upscalers
from engine.server.server import EngineServer
from engine.storage.object_store import STORE_BYTES, ObjectStore, translated
from engine.storage.recovery import open_journal
from engine.tunnels import Tunnel, supervisor
from engine.wire.messages.responses import DeviceInfo
from engine.wire.pairing import LINK_FILE, TUNNEL_FILE, Pairing, new_key
from engine.workers import pool
from engine.workers.pool import WorkerPool

log = logging.getLogger(__name__)

KEY, LOCK, JOURNAL = "engine.key", "engine.lock", "engine.db"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine is started.

    Attributes:
        device: names of devices with commas between them, or ``all``.
        ray: address of a Ray cluster whose devices work instead; "" for none.
        batch: keyframes that are painted at once, of ``graph.BATCHES``.
        has_room: returns whether a device gets a second worker, which draws while the first paints.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 0
    device: str = "auto"
    ray: str = ""
    has_room: Callable[[DeviceInfo], bool] = pool.has_room_for_two
    room: int = STORE_BYTES
    rife: str = interpolators.AUTO
    upscaler: str = upscalers.DEFAULT
    batch: int = 1
    models: dict[str, Model]
    worker: tuple[str, ...] = (sys.executable, "-m", "engine.render.worker")
    tunnel: Tunnel | None = None


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Pairing]:
    """Run an engine while the context lasts; its pairing link also stands in the data folder.

    Raises:
        StorageError: the folder cannot be used; FolderInUseError: another engine uses it.
        InvalidParameterError: no device was found.
    """
    with _locked(options.data):
        workers = await _discover_workers(options, lambda preview: jobs.show(preview))
        journal = open_journal(options.data / JOURNAL)
        store = ObjectStore(options.data, journal, options.room)
        jobs = JobQueue(journal, store, options.models, workers, options.batch)
        key = load_key(options.data)
        server = EngineServer(jobs, journal, store, options.models, key)
        listening = await _listen(server, options.host, options.port)
        jobs.restore()
        work = asyncio.create_task(jobs.work())
        work.add_done_callback(_report_end)
        port = listening.sockets[0].getsockname()[1]
        engine = Pairing(f"http://{_reachable(options.host)}:{port}", key)
        link = options.data / LINK_FILE
        _write(link, engine.link)
        try:
            yield engine
        finally:
            link.unlink(missing_ok=True)
            listening.close(code=1012, reason="the engine stops")
            await listening.wait_closed()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            await workers.close()
            journal.close()


def _report_end(work: asyncio.Task[None]) -> None:
    """Log why the queue ended, if it did so by itself: no job would be taken up any more."""
    if not work.cancelled() and (error := work.exception()):
        log.critical("The queue has ended; restart the engine.", exc_info=error)


async def _discover_workers(options: Options, on_preview: Callable[[bytes], None]) -> WorkerPool:
    chosen = ("--rife", options.rife, "--upscaler", options.upscaler)
    if options.ray:
        return await pool.discover_cluster_workers(options.ray, chosen, on_preview)
    worker = (*options.worker, *chosen)
    return await pool.discover_workers(options.device, worker, on_preview, options.has_room)


async def serve(options: Options, *, until_input_ends: bool) -> None:
    """Run an engine until it is interrupted, or until its standard input ends.

    Raises:
        TunnelError: the tunnel cannot be opened, and trying again would not help.
    """
    async with running(options) as engine:
        print(
            f"{'On this machine' if options.tunnel else 'Pairing link'}: {engine.link}", flush=True
        )
        duties: list[Coroutine[Any, Any, Any]]
        duties = [_input_end() if until_input_ends else asyncio.Event().wait()]
        if options.tunnel:
            file = options.data / TUNNEL_FILE
            duties.append(
                supervisor.keep_open(options.tunnel, engine, lambda way: announce(way, file))
            )
        await _until_one_ends(duties)


def announce(way: Pairing | None, file: Path) -> None:
    """Say how an engine is reached from elsewhere; None: not at all, for the moment."""
    if way is None:
        file.unlink(missing_ok=True)
    else:
        _write(file, way.link)
        print(f"Pairing link: {way.link}", flush=True)


async def _until_one_ends(duties: list[Coroutine[Any, Any, Any]]) -> None:
    tasks = [asyncio.ensure_future(duty) for duty in duties]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def load_key(data: Path) -> bytes:
    """Return the engine's key, made at the first start; only its owner can read the file."""
    path = data / KEY
    with translated(path):
        if not path.exists():
            _write(path, new_key().hex())
        return bytes.fromhex(path.read_text().strip())


def _write(path: Path, text: str) -> None:
    with translated(path):
        write_private(path, text.encode())


async def _listen(server: EngineServer, host: str, port: int) -> Server:
    try:
        return await server.start(host, port)
    except (OSError, OverflowError) as error:
        raise PortError(host, port, str(error)) from error


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    with translated(data):
        data.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data / LOCK)
    with translated(data):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise FolderInUseError(str(data)) from error
    try:
        yield
    finally:
        lock.release()


async def _input_end() -> None:
    """Wait until nobody holds the other end of the standard input."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    await ended.wait()
