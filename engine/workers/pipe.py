"""A worker's end of the pipe to its server. It moves frames; what they mean is in ``tasks``."""

import os
import sys
import threading
from typing import BinaryIO

from engine.wire.messages import codec as encoding
from engine.wire.messages import responses as answers
from engine.workers import messages as tasks


class ServerGoneError(Exception):
    """Nobody holds the other end of the pipe any more."""


class Channel:
    """Frames to and from the server; any thread may send.

    Whoever sends must expect ``ServerGoneError``.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._lock = threading.Lock()

    def send(self, reply: tasks.Reply) -> None:
        """Send a reply."""
        self._write(tasks.pack(reply))

    def send_preview(self, preview: answers.Preview) -> None:
        """Send a preview."""
        self.forward(tasks.PREVIEW_KIND, encoding.encode_preview(preview))

    def forward(self, kind: int, body: bytes) -> None:
        """Send what is encoded already."""
        self._write(tasks.frame(kind, body))

    def receive(self) -> tasks.AnyTask | None:
        """Return the next task; None when the server is gone."""
        head = self._source.read(tasks.FRAME.size)
        if len(head) < tasks.FRAME.size:
            return None
        length, _ = tasks.FRAME.unpack(head)
        return tasks.read_task(self._source.read(length))

    def _write(self, data: bytes) -> None:
        try:
            with self._lock:
                self._sink.write(data)
                self._sink.flush()
        except BrokenPipeError as error:
            raise ServerGoneError from error


def claim_stdout() -> BinaryIO:
    """Keep the standard output for frames alone; whatever libraries print goes to the log."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sink
