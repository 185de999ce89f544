"""The messages between the server and a worker process, and their encoding on the pipe.

Each frame is a length, a kind and a body: JSON, or a preview that is already encoded.
"""

import os
import struct
import sys
import threading
from typing import Any, BinaryIO

import msgspec

from engine.errors import ErrorReport
from engine.film.preview_budget import PreviewQuality
from engine.film.stages import Node
from engine.models import Model
from engine.wire.messages import codec, responses
from engine.wire.messages.responses import DeviceInfo

FRAME = struct.Struct(">IB")  # length of the body, kind
JSON_KIND, PREVIEW_KIND = 0, 1


class Task(msgspec.Struct, frozen=True, kw_only=True, tag_field="task"):
    """Base class of the messages to a worker; ``job`` is the job of its previews."""

    job: str


class Load(Task, frozen=True, kw_only=True, tag="load"):
    """Load a model and the networks for in-betweens and, if that is asked for, for enlarging.

    ``model``: None for a worker that does not paint; ``ways``: to save memory, used from the start;
    ``keyframes``: maximal number to paint, ``batch`` of them at once; ``upscale``: how many times
    as long their sides become.
    """

    model: Model | None
    ways: int = 0
    keyframes: int = 0
    batch: int = 1
    upscale: int = 1


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Piece ``index`` of a stage, to be written to the file ``target``."""

    index: int
    node: Node
    target: str


class Make(Task, frozen=True, kw_only=True, tag="make"):
    """Make pieces of one stage together: up to ``rows`` keyframes, else one piece.

    ``inputs``: the files of their nodes' inputs, by content address.
    """

    stage: str
    pieces: tuple[Piece, ...]
    inputs: dict[str, str] = {}


class Measure(Task, frozen=True, kw_only=True, tag="measure"):
    """Measure how much two keyframes (PNG files) differ."""

    first: str
    second: str


class Stop(Task, frozen=True, kw_only=True, tag="stop"):
    """Stop the current task within one denoising step."""


class Credit(Task, frozen=True, kw_only=True, tag="credit"):
    """Make one preview as ``setting`` says; None: make none, as no watcher can receive one."""

    job: str = ""
    setting: PreviewQuality | None


Work = Load | Make | Measure
AnyTask = Work | Stop | Credit


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply"):
    """Base class of the messages of a worker."""


class Ready(Reply, frozen=True, kw_only=True, tag="ready"):
    """The process has started; ``device`` is its device."""

    device: DeviceInfo


class Loading(Reply, frozen=True, kw_only=True, tag="loading"):
    """Bytes of the weights of ``model`` downloaded so far; ``total`` is 0 while unknown."""

    model: str
    done: int
    total: int


class Loaded(Reply, frozen=True, kw_only=True, tag="loaded"):
    """Identities of the loaded networks ("" for none), and the device's state.

    ``notice``: why in-betweens are not drawn by the network that the operator chose; "" if they
    are.
    """

    model: str
    interpolator: str
    upscaler: str = ""
    notice: str = ""
    device: DeviceInfo


class Advanced(Reply, frozen=True, kw_only=True, tag="advanced"):
    """Step ``done`` of ``total`` of piece ``index`` of the current task's stage."""

    index: int
    done: int
    total: int


class Economized(Reply, frozen=True, kw_only=True, tag="economized"):
    """The device was short of memory; the task continues in a way that saves memory."""

    way: str
    exact: bool


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A target that was written.

    ``detail``: the encoded shape of a film; for other pieces, as in ``events.PieceFinished``.
    """

    sha256: str
    size: int
    detail: str = ""


class Made(Reply, frozen=True, kw_only=True, tag="made"):
    """The targets were written; ``files`` has the order of ``targets``.

    ``memory``: peak bytes of the device since the worker began with the job (without a GPU: since
    it started).
    """

    files: tuple[File, ...]
    memory: int = 0


class Measured(Reply, frozen=True, kw_only=True, tag="measured"):
    """How much two keyframes differ; 0 if they are equal."""

    distance: float


class Stopped(Reply, frozen=True, kw_only=True, tag="stopped"):
    """The task was stopped."""


class Broke(Reply, frozen=True, kw_only=True, tag="broke"):
    """The task failed; the worker is ready for the next."""

    error: ErrorReport


AnyReply = Ready | Loading | Loaded | Advanced | Economized | Made | Measured | Stopped | Broke


def targets(work: Work) -> tuple[str, ...]:
    """Return the files that a task writes."""
    return tuple(piece.target for piece in work.pieces) if isinstance(work, Make) else ()


def pack(message: Task | Reply) -> bytes:
    """Return the frame of a message."""
    return frame(JSON_KIND, msgspec.json.encode(message))


def frame(kind: int, body: bytes) -> bytes:
    """Return a frame."""
    return FRAME.pack(len(body), kind) + body


def read_task(body: bytes) -> AnyTask:
    """Read a message to a worker."""
    return _decode(body, AnyTask)  # type: ignore[no-any-return]


def read_reply(body: bytes) -> AnyReply:
    """Read a message of a worker."""
    return _decode(body, AnyReply)  # type: ignore[no-any-return]


def _decode(body: bytes, kind: Any) -> Any:
    return msgspec.json.decode(body, type=kind)


class ServerGoneError(Exception):
    """The server has closed its end of the pipe."""


class Channel:
    """Frames to and from the server; any thread may send.

    All methods that send raise ``ServerGoneError`` if the server is gone.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._lock = threading.Lock()

    def send(self, reply: Reply) -> None:
        """Send a reply."""
        self._write(pack(reply))

    def send_preview(self, preview: responses.Preview) -> None:
        """Send a preview."""
        self.forward(PREVIEW_KIND, codec.encode_preview(preview))

    def forward(self, kind: int, body: bytes) -> None:
        """Send a body that is already encoded."""
        self._write(frame(kind, body))

    def receive(self) -> AnyTask | None:
        """Return the next task; None when the server is gone."""
        head = self._source.read(FRAME.size)
        if len(head) < FRAME.size:
            return None
        length, _ = FRAME.unpack(head)
        return read_task(self._source.read(length))

    def _write(self, data: bytes) -> None:
        try:
            with self._lock:
                self._sink.write(data)
                self._sink.flush()
        except BrokenPipeError as error:
            raise ServerGoneError from error


def claim_stdout() -> BinaryIO:
    """Reserve the standard output for frames; what libraries print goes to the log."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sink
