"""Helper processes of the tests: started, waited for, and ended.

A helper that ends before it is ready fails its test at once, with everything that it has written.
"""

import contextlib
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
START_TIMEOUT = 240.0  # seconds until a helper is ready on a busy machine
END_TIMEOUT = 60.0  # seconds until it has ended in good order
LAST_LINES_TIMEOUT = 5.0  # seconds; a process that it has started may keep its output open
SOCKET_FOLDER_LENGTH = 40  # of 104 bytes that a socket's path may have; Ray's own part is 60


class Process:
    """A helper process; as a context it is ended with it.

    Args:
        command: its program and arguments.
        log: a file for its standard error; whatever is there already stays.
        graceful: end it by ending its standard input, not by a signal.
        environment: more variables for it.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, graceful: bool = False, **environment: str
    ) -> None:
        self.command, self._log, self._graceful = command, log, graceful
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._printed: list[str] = []
        with log.open("ab") as sink:
            self._begin = sink.tell()
            self.popen = psutil.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                errors="replace",
            )
        self._reader = threading.Thread(target=self._read, daemon=True)  # a full pipe stops it
        self._reader.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            self._printed.append(line)
            self._lines.put(line.strip())
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def log(self) -> str:
        """What it has written to its standard error so far."""
        with self._log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")

    @property
    def output(self) -> str:
        """What it has written so far, to its standard output and its standard error."""
        return "".join(self._printed) + self.log

    def line(self, timeout: float = START_TIMEOUT) -> str:
        """Return the next line of its standard output."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(self._describe(f"has printed nothing in {timeout} s")) from None
        if line is None:
            self._lines.put(None)
            raise AssertionError(self._describe(f"has ended with status {self.wait()}"))
        return line

    def until(self, condition: Callable[[], T], timeout: float = START_TIMEOUT) -> T:
        """Wait until a condition is true of what it does; return what the condition returned."""
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            self.check()
            if time.monotonic() > deadline:
                raise AssertionError(self._describe(f"is not ready after {timeout} s"))
            time.sleep(0.02)
        return found

    def check(self) -> None:
        """Fail if it has ended."""
        if (status := self.popen.poll()) is not None:
            raise AssertionError(self._describe(f"has ended with status {status}"))

    def send(self, line: str) -> None:
        """Write a line to its standard input."""
        print(line, file=self.popen.stdin, flush=True)

    def wait(self, timeout: float = END_TIMEOUT) -> int:
        """Wait until it has ended and everything it printed was read; return its status."""
        status = self.popen.wait(timeout)
        self._reader.join(LAST_LINES_TIMEOUT)
        return int(status)

    def end(self) -> None:
        """End it, by force if it does not end in time."""
        with contextlib.suppress(BrokenPipeError):  # it has ended, and left something unread
            self.popen.stdin.close()
        if not self._graceful and self.popen.poll() is None:
            self.popen.terminate()
        try:
            self.wait()
        except psutil.TimeoutExpired:
            self.kill()
        if not self._reader.is_alive():
            self.popen.stdout.close()

    def kill(self) -> None:
        """End it at once."""
        self.popen.kill()
        self.wait()

    def _describe(self, problem: str) -> str:
        return f"{' '.join(map(str, self.command))}\n{problem}; it wrote:\n{self.output[-8000:]}"


def short_folder() -> Path:
    """Return a new folder whose path is short enough for sockets in it."""
    where = tempfile.gettempdir()
    return Path(
        tempfile.mkdtemp(prefix="vf", dir=where if len(where) <= SOCKET_FOLDER_LENGTH else "/tmp")
    )
