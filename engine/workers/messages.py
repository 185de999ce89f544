"""What the server and a worker process say to each other, and how it stands on their pipe.

Each frame is a length, a kind and a body: JSON, or a preview that is already encoded.
"""

import os
import struct
import sys
import threading
from typing import Any, BinaryIO

import msgspec

from engine.errors import ErrorReport
from engine.film.events import Scores
from engine.film.graph import FilmNode, KeyframeNode, SegmentNode
from engine.film.preview_budget import PreviewQuality
from engine.models import Model
from engine.wire.messages import codec as encoding
from engine.wire.messages import responses as answers
from engine.wire.messages.responses import DeviceInfo

FRAME = struct.Struct(">IB")  # length of the body, kind
JSON_KIND, PREVIEW_KIND = 0, 1


class Task(msgspec.Struct, frozen=True, kw_only=True, tag_field="task"):
    """Base of what a worker is told; ``job`` is whom its previews are for."""

    job: str


class Load(Task, frozen=True, kw_only=True, tag="load"):
    """Load a model and the interpolation network.

    ``model``: None for a worker that is not to paint; ``ways``: to save memory, taken at once;
    ``keyframes``: that are to be painted, at most, ``batch`` of them at once.
    """

    model: Model | None
    ways: int = 0
    keyframes: int = 0
    batch: int = 1


class Keyframe(msgspec.Struct, frozen=True, kw_only=True):
    """Keyframe ``index``, which is to be painted into the file ``target``, a PNG."""

    index: int
    node: KeyframeNode
    target: str


class Paint(Task, frozen=True, kw_only=True, tag="paint"):
    """Paint keyframes at once, as many as their nodes say, or fewer.

    ``source``, ``anchor`` and ``subject`` are the PNGs that a lone one's node names; "": it names
    none.
    """

    keyframes: tuple[Keyframe, ...]
    source: str = ""
    anchor: str = ""
    subject: str = ""


class Draw(Task, frozen=True, kw_only=True, tag="draw"):
    """Draw and encode segment ``index`` into ``target``, from the PNGs ``first`` and ``second``."""

    index: int
    node: SegmentNode
    first: str
    second: str
    target: str


class Measure(Task, frozen=True, kw_only=True, tag="measure"):
    """Tell how much two keyframes, PNGs, differ."""

    first: str
    second: str


class Join(Task, frozen=True, kw_only=True, tag="join"):
    """Join segment files into the film ``target``."""

    node: FilmNode
    segments: tuple[str, ...]
    target: str


class Stop(Task, frozen=True, kw_only=True, tag="stop"):
    """Give up the task in hand within one denoising step."""


class Credit(Task, frozen=True, kw_only=True, tag="credit"):
    """Somebody has room for one preview, made as ``setting`` says; None: nobody has any more."""

    job: str = ""
    setting: PreviewQuality | None


Work = Load | Paint | Measure | Draw | Join
AnyTask = Work | Stop | Credit


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="reply"):
    """Base of what a worker says."""


class Ready(Reply, frozen=True, kw_only=True, tag="ready"):
    """The process is up and has looked at its device."""

    device: DeviceInfo


class Loading(Reply, frozen=True, kw_only=True, tag="loading"):
    """Bytes of weights fetched so far; ``total`` is 0 while unknown; ``model``: whose."""

    model: str
    done: int
    total: int


class Loaded(Reply, frozen=True, kw_only=True, tag="loaded"):
    """Identities of what is loaded now, ``model`` "" for none, and the device as it is now.

    ``notice``: why another network than the operator's choice draws in-betweens; "" if it does.
    """

    model: str
    interpolator: str
    notice: str = ""
    device: DeviceInfo


class Advanced(Reply, frozen=True, kw_only=True, tag="advanced"):
    """Denoising step or frame ``done`` of ``total``, of keyframe or segment ``index``."""

    index: int
    done: int
    total: int


class Economized(Reply, frozen=True, kw_only=True, tag="economized"):
    """The device's memory ran short; the task goes on in a thriftier way."""

    way: str
    exact: bool


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a film's file holds; a GIF has fewer and smaller frames than its recipe says.

    ``scores``: how smooth it is.
    """

    frames: int
    seconds: float
    width: int
    height: int
    scores: Scores | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A target that is written.

    ``detail`` is a segment's judgement, a film's encoded shape, or the words about a keyframe that
    ``events.KeyframeFinished`` has.
    """

    sha256: str
    size: int
    detail: str = ""


class Made(Reply, frozen=True, kw_only=True, tag="made"):
    """The targets are written, told in the order of ``targets``.

    ``memory``: bytes of the device that the worker has needed at most since it began with the job
    (without a GPU: since it started).
    """

    files: tuple[File, ...]
    memory: int = 0


class Measured(Reply, frozen=True, kw_only=True, tag="measured"):
    """How much two keyframes differ; 0: not at all."""

    distance: float


class Stopped(Reply, frozen=True, kw_only=True, tag="stopped"):
    """The task was given up."""


class Broke(Reply, frozen=True, kw_only=True, tag="broke"):
    """The task failed; the worker is ready for the next."""

    error: ErrorReport


AnyReply = Ready | Loading | Loaded | Advanced | Economized | Made | Measured | Stopped | Broke


def targets(work: Work) -> tuple[str, ...]:
    """Return the files that a task is to write."""
    match work:
        case Paint(keyframes=keyframes):
            return tuple(keyframe.target for keyframe in keyframes)
        case Draw(target=target) | Join(target=target):
            return (target,)
    return ()


def encode_shape(shape: Shape) -> str:
    """Return a shape as text."""
    return msgspec.json.encode(shape).decode()


def read_shape(text: str) -> Shape:
    """Read a shape."""
    return msgspec.json.decode(text, type=Shape)


def pack(message: Task | Reply) -> bytes:
    """Return the frame of a message."""
    return frame(JSON_KIND, msgspec.json.encode(message))


def frame(kind: int, body: bytes) -> bytes:
    """Return a frame."""
    return FRAME.pack(len(body), kind) + body


def read_task(body: bytes) -> AnyTask:
    """Read what a worker is told."""
    return _decode(body, AnyTask)  # type: ignore[no-any-return]


def read_reply(body: bytes) -> AnyReply:
    """Read what a worker says."""
    return _decode(body, AnyReply)  # type: ignore[no-any-return]


def _decode(body: bytes, kind: Any) -> Any:
    return msgspec.json.decode(body, type=kind)


class ServerGoneError(Exception):
    """Nobody holds the other end of the pipe any more."""


class Channel:
    """Frames to and from the server; any thread may send.

    Whoever sends must expect ``ServerGoneError``.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._lock = threading.Lock()

    def send(self, reply: Reply) -> None:
        """Send a reply."""
        self._write(pack(reply))

    def send_preview(self, preview: answers.Preview) -> None:
        """Send a preview."""
        self.forward(PREVIEW_KIND, encoding.encode_preview(preview))

    def forward(self, kind: int, body: bytes) -> None:
        """Send what is encoded already."""
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
    """Keep the standard output for frames alone; whatever libraries print goes to the log."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sink
