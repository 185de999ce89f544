"""Starts a worker process, gives it one task at a time, watches it and restarts it.

The server survives a worker that crashes, is killed for its memory, or hangs in torch. It does not
know jobs, clients or files; ``engine.render.worker`` is the process itself.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.errors import DeviceMemoryError, VisionFluxError, WorkerStartError
from engine.film.preview_budget import PreviewQuality
from engine.wire.messages.responses import DeviceInfo
from engine.workers import messages

ROOT = Path(__file__).parents[2]
log = logging.getLogger(__name__)

SILENCE_TIMEOUT = 300.0  # seconds without a message after which a busy worker counts as hung


class WorkerDiedError(Exception):
    """The process ended, or hung and was killed, during a task."""


class TaskStoppedError(Exception):
    """The task was stopped on request."""


class WorkerProcess:
    """One worker process for one device.

    Args:
        command: starts the process; ``--device`` and ``device`` are appended.
        on_preview: called with each preview, encoded for clients.
        environment: variables for the process, in addition to those of this process.

    Attributes:
        ways: to save memory, used for the current film.
        peak: peak bytes of its device during the film, as in ``messages.Made``.
        on_change: called when the worker has become ready or has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        device: str,
        on_preview: Callable[[bytes], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = (*command, "--device", device)
        self._on_preview = on_preview
        self._environment = environment or {}
        self._process: asyncio.subprocess.Process | None = None
        self._replies: asyncio.Queue[messages.AnyReply | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._credit: PreviewQuality | None = None  # for the one preview that the worker may encode
        self._is_ready = False
        self.device = DeviceInfo()
        self.peak = 0
        self.ways: set[str] = set()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def ready(self) -> bool:
        """Whether the process runs and has reported its device."""
        return self._is_ready and self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process unless it runs; it becomes ready in the background.

        Raises:
            WorkerStartError: the system cannot start it.
        """
        if self._process and self._process.returncode is None:
            return
        self._replies, self._is_ready = asyncio.Queue(), False
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env={**os.environ, **self._environment},
            )
        except OSError as error:
            raise WorkerStartError(f"the worker cannot be started: {error}") from error
        self._reader = asyncio.create_task(self._read(self._process, self._replies))
        if self._credit:
            self._send(messages.Credit(setting=self._credit))

    async def run(
        self, work: messages.Work, on_reply: Callable[[messages.AnyReply], None] = lambda _: None
    ) -> messages.Loaded | messages.Made | messages.Measured:
        """Carry out one task.

        Raises:
            WorkerDiedError: the process ended, now or since its last task. A ``Load`` starts
                another one: no other task may meet a process that has loaded nothing.
            TaskStoppedError: ``stop`` was called.
            VisionFluxError: the task failed, or ``on_reply`` did.
        """
        trouble: VisionFluxError | None = None
        async with self._busy:
            if isinstance(work, messages.Load) or not self._process:
                await self.start()
            elif self._process.returncode is not None:
                raise WorkerDiedError(f"code {self._process.returncode}, between two tasks")
            self._send(work)
            while True:
                match await self._next():
                    case messages.Made() | messages.Measured() | messages.Loaded() as result:
                        if trouble:
                            raise trouble
                        return result
                    case messages.Stopped():
                        raise TaskStoppedError
                    case messages.Broke(error=error):
                        if error.code == DeviceMemoryError.code:
                            # oneDNN never again makes what it once had no room for.
                            await self.close()
                        raise VisionFluxError.restore(error)
                    case reply:
                        try:
                            on_reply(reply)
                        except (
                            VisionFluxError
                        ) as error:  # the worker's next message is of this task
                            trouble = trouble or error

    def forget(self) -> None:
        """Prepare for another film."""
        self.ways.clear()
        self.peak = 0

    def stop(self, job: str) -> None:
        """Stop the current task."""
        self._send(messages.Stop(job=job))

    def credit(self, setting: PreviewQuality | None) -> None:
        """Request one preview, made as ``setting`` says; None requests none."""
        if setting != self._credit:
            self._credit = setting
            self._send(messages.Credit(setting=setting))

    async def close(self) -> None:
        """End the process."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.kill()  # it owns nothing that could be lost
        await process.wait()
        if self._reader:
            await self._reader

    def _send(self, task: messages.Task) -> None:
        if self._process and self._process.stdin and self._process.returncode is None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(messages.pack(task))

    async def _next(self) -> messages.AnyReply:
        try:
            # Not wait_for: before Python 3.12 it forgets a cancellation that a reply comes with.
            async with asyncio.timeout(SILENCE_TIMEOUT):
                reply = await self._replies.get()
        except TimeoutError:
            log.error("The worker was silent for %.0f s; it is restarted.", SILENCE_TIMEOUT)
            assert self._process
            self._process.kill()
            reply = None
        if reply is None:
            assert self._process
            code = await self._process.wait()
            log.error("The worker ended with code %s.", code)
            raise WorkerDiedError(f"code {code}")
        return reply

    async def _read(
        self, process: asyncio.subprocess.Process, replies: asyncio.Queue[messages.AnyReply | None]
    ) -> None:
        assert process.stdout
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length, kind = messages.FRAME.unpack(
                    await process.stdout.readexactly(messages.FRAME.size)
                )
                body = await process.stdout.readexactly(length)
                if kind == messages.PREVIEW_KIND:
                    self._credit = None
                    self._on_preview(body)
                else:
                    self._take(messages.read_reply(body), replies)
        replies.put_nowait(None)
        if process is self._process:
            self._is_ready = False
            self.on_change()

    def _take(
        self, reply: messages.AnyReply, replies: asyncio.Queue[messages.AnyReply | None]
    ) -> None:
        match reply:
            case messages.Ready(device=device):
                self.device, self._is_ready = device, True
                self.on_change()
                return
            case messages.Loaded(device=device):
                self.device = device
            case messages.Economized(way=way):
                self.ways.add(way)
            case messages.Made(memory=memory):
                self.peak = memory
        replies.put_nowait(reply)
