"""A worker on another machine of a Ray cluster; it exchanges tasks and files as bytes.

It has a worker process, and a folder for the current task. It knows no films;
``engine.workers.ray_bridge`` is the other end. It does not import Ray, which makes an actor of it.
"""

import asyncio
import hashlib
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec

from engine.errors import VisionFluxError
from engine.film.preview_budget import PreviewQuality
from engine.models import catalogue
from engine.wire.messages.responses import DeviceInfo
from engine.workers import messages
from engine.workers.process import TaskStoppedError, WorkerDiedError, WorkerProcess

PART_BYTES = 4 * 2**20  # bytes of a file that are sent at once


class Content(msgspec.Struct, frozen=True):
    """The content of a file that a task reads, and its hash."""

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """Return bytes with their hash."""
        return cls(data, hashlib.sha256(data).hexdigest())

    def checked(self) -> bytes:
        """Return the bytes.

        Raises:
            OSError: they differ from what was sent.
        """
        if hashlib.sha256(self.data).hexdigest() != self.sha256:
            raise OSError("a file was damaged in the transfer between two machines")
        return self.data


class FileChunk(msgspec.Struct, frozen=True):
    """The next bytes of a file that a task made; ``messages.Made`` has the hash of the file.

    ``file``: its index in the task's targets.
    """

    file: int
    data: bytes


class PreviewBytes(msgspec.Struct, frozen=True):
    """A preview, encoded for clients."""

    body: bytes


Answer = messages.AnyReply | FileChunk | PreviewBytes


class RayActor:
    """The class of the Ray actor: one worker for one device of its machine.

    Args:
        chosen: the networks that the operator chose, as options of ``engine.render.worker``.
    """

    def __init__(self, chosen: Sequence[str]) -> None:
        command = (sys.executable, "-m", "engine.render.worker", *chosen)
        self._process = WorkerProcess(command, "auto", self._show)
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()

    async def ready(self) -> DeviceInfo:
        """Start the worker and return its device.

        Raises:
            WorkerDiedError: it ended before it was ready.
        """
        changed = asyncio.Event()
        self._process.on_change = changed.set
        await self._process.start()
        await changed.wait()
        if not self._process.ready:
            raise WorkerDiedError("before it was ready")
        return self._process.device

    async def run(self, work: messages.Work, files: list[Content]) -> AsyncIterator[Answer]:
        """Carry out one task; yield the worker's messages, its files, and the result.

        Args:
            work: the task, with the paths of the other machine.
            files: the content of ``inputs(work)``, in that order.

        Raises:
            WorkerDiedError: the worker ended during the task.
        """
        with tempfile.TemporaryDirectory(prefix="visionflux-") as name:
            self._answers = asyncio.Queue()
            work = await asyncio.to_thread(settle, work, files, Path(name))
            doing = asyncio.create_task(self._process.run(work, self._answers.put_nowait))
            doing.add_done_callback(lambda _: self._answers.put_nowait(None))
            while (answer := await self._answers.get()) is not None:
                yield answer
            try:
                result: messages.AnyReply = doing.result()
            except TaskStoppedError:
                result = messages.Stopped()
            except VisionFluxError as error:
                result = messages.Broke(error=error.report())
            if isinstance(result, messages.Made):
                for part in parts(messages.targets(work)):
                    yield part
            yield result

    async def stop(self, job: str) -> None:
        """Stop the current task."""
        self._process.stop(job)

    async def credit(self, setting: PreviewQuality | None) -> None:
        """Request one preview, as ``WorkerProcess.credit`` does."""
        self._process.credit(setting)

    def _show(self, body: bytes) -> None:
        self._answers.put_nowait(PreviewBytes(body))


def inputs(work: messages.Work) -> list[str]:
    """Return the files that a task reads."""
    match work:
        case messages.Make(inputs=files):
            return [*files.values()]
        case messages.Measure(first=first, second=second):
            return [first, second]
    return []


def settle(work: messages.Work, files: list[Content], folder: Path) -> messages.Work:
    """Write a task's files to a folder; return the task with the paths of this machine.

    A model that comes with VisionFlux is read from this machine.

    Raises:
        OSError: a file was damaged in transfer, or cannot be written.
    """
    paths = []
    for number, (path, file) in enumerate(zip(inputs(work), files, strict=True)):
        paths.append(str(folder / f"{number}{Path(path).suffix}"))
        Path(paths[-1]).write_bytes(file.checked())
    match work:
        case messages.Load(model=model) if model:
            return msgspec.structs.replace(work, model=catalogue().get(model.name, model))
        case messages.Measure():
            return msgspec.structs.replace(work, first=paths[0], second=paths[1])
        case messages.Make(pieces=pieces):
            here = tuple(
                msgspec.structs.replace(piece, target=_here(folder, piece)) for piece in pieces
            )
            read = dict(zip(work.inputs, paths, strict=True))
            return msgspec.structs.replace(work, pieces=here, inputs=read)
    return work


def _here(folder: Path, piece: messages.Piece) -> str:
    """Return the path of a piece's target on this machine."""
    return str(folder / f"made{piece.index}{Path(piece.target).suffix}")


def parts(files: Sequence[str]) -> Iterator[FileChunk]:
    """Yield the files that were made, in parts."""
    for number, file in enumerate(files):
        with Path(file).open("rb") as source:
            while data := source.read(PART_BYTES):
                yield FileChunk(number, data)
