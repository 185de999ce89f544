"""Protocol version 1: messages to bytes and back, with its limits. No sockets.

``docs/protocol.md`` describes it for those who write a client in another language.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from engine import binary, purse
from engine.errors import ErrorReport, InvalidParameterError, MalformedMessageError
from engine.events import AnyEvent
from engine.models import Card
from engine.progress import Progress
from engine.recipe import Recipe, invalid

VERSION = 1
SUBPROTOCOL = "visionflux.v1"
CONTROL_PATH = "/v1/ws"
DATA_PATH = "/v1/data"
HEALTH_PATH = "/healthz"

PREVIEW_KIND, CHUNK_KIND, PART_KIND = 1, 2, 3


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine accepts; bytes unless said otherwise."""

    message: int = 12 * 2**20
    chunk: int = 256 * 2**10
    connections: int = 64  # at once
    queued_jobs: int = 32  # in all
    client_jobs: int = 16  # waiting, of one connection
    watched_jobs: int = 64  # by one connection
    upload: int = 64 * 2**20  # one object
    uploads: int = 8  # objects that one connection brings at once
    scenes: int = 64
    prompt: int = 2_000  # characters
    frames: int = 3_000
    min_side: int = 64  # pixels
    max_side: int = 1_024  # pixels
    max_steps: int = 150


LIMITS = Limits()

JobId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
ObjectName = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
RequestId = Annotated[int, Meta(ge=0, le=2**53)]
Budget = Annotated[int, Meta(ge=0, le=purse.MOST)] | None


# From the client, on the control socket


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client asks; the answer repeats ``id`` as ``re``."""

    id: RequestId


class Submit(Request, frozen=True, kw_only=True, tag="submit", forbid_unknown_fields=True):
    """Start a job; submitting the same id and recipe again starts nothing twice."""

    job: JobId
    recipe: msgspec.Raw


class Watch(Request, frozen=True, kw_only=True, tag="watch", forbid_unknown_fields=True):
    """Answer with a snapshot, then with every event after number ``after``; None: only new ones.

    ``budget``: bytes of previews that may be sent; None: no limit.
    """

    job: JobId
    after: Annotated[int, Meta(ge=0)] | None = None
    previews: bool = True
    budget: Budget = None


class ShowPreviews(Request, frozen=True, kw_only=True, tag="previews", forbid_unknown_fields=True):
    """Begin or end previews of a job that is watched; ``budget`` as in ``Watch``."""

    job: JobId
    wanted: bool
    budget: Budget = None


class Unwatch(Request, frozen=True, kw_only=True, tag="unwatch", forbid_unknown_fields=True):
    """Send nothing more of a job; the job goes on."""

    job: JobId


class Cancel(Request, frozen=True, kw_only=True, tag="cancel", forbid_unknown_fields=True):
    """End a job within one denoising step; a job that has ended stays as it is."""

    job: JobId


class Pause(Request, frozen=True, kw_only=True, tag="pause", forbid_unknown_fields=True):
    """Let a job rest within one denoising step; one that rests or has ended stays as it is."""

    job: JobId


class Resume(Request, frozen=True, kw_only=True, tag="resume", forbid_unknown_fields=True):
    """Queue a job that rests; one that does not stays as it is."""

    job: JobId


class ListJobs(Request, frozen=True, kw_only=True, tag="jobs", forbid_unknown_fields=True):
    """List the jobs of this engine, newest first."""


class Describe(Request, frozen=True, kw_only=True, tag="describe", forbid_unknown_fields=True):
    """Answer with a fresh hello."""


class FindMissing(
    Request, frozen=True, kw_only=True, tag="find_missing", forbid_unknown_fields=True
):
    """Ask which of these objects the engine lacks, so that they can be uploaded."""

    objects: Annotated[tuple[ObjectName, ...], Meta(max_length=8_192)]


# From the client, on the data socket


class Open(Request, frozen=True, kw_only=True, tag="open", forbid_unknown_fields=True):
    """Ask for size and hash of an object."""

    object: ObjectName


class Read(Request, frozen=True, kw_only=True, tag="read", forbid_unknown_fields=True):
    """Ask for one chunk; answered by a binary message of at most ``length`` bytes."""

    object: ObjectName
    offset: Annotated[int, Meta(ge=0)]
    length: Annotated[int, Meta(ge=1, le=LIMITS.chunk)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of an object that a client uploads, as a binary message; parts come in order.

    Attributes:
        size, sha256: of the whole object, which counts only once both are met.
        origin: device that made it, for the film's record.
    """

    id: RequestId
    object: ObjectName
    offset: Annotated[int, Meta(ge=0)]
    size: Annotated[int, Meta(ge=1, le=LIMITS.upload)]
    sha256: ObjectName
    media_type: Literal["image/png", "video/mp4"]
    origin: Annotated[str, Meta(max_length=200)] = ""
    detail: Annotated[str, Meta(max_length=40, pattern=r"^[a-z]*\Z")] = ""
    data: bytes = b""


ControlRequest = (
    Submit
    | Watch
    | Unwatch
    | ShowPreviews
    | Cancel
    | Pause
    | Resume
    | ListJobs
    | Describe
    | FindMissing
)
DataRequest = Open | Read


# From the engine


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what an engine sends as text."""


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The device that paints; memory in bytes, 0 where it is unknown."""

    name: str = "starting"
    kind: str = ""
    dtype: str = ""
    total_memory: int = 0
    free_memory: int = 0


def label(devices: Iterable[DeviceInfo]) -> str:
    """Return the names of devices for people, such as "2 × Tesla T4"."""
    counts = Counter(device.name for device in devices)
    return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model that recipes may name."""

    name: str
    card: Card


class Hello(Answer, frozen=True, kw_only=True, tag="hello"):
    """Sent first on a control socket, and as the answer to ``describe``.

    ``others``: devices that share a film with ``device``; ``interpolator`` is "" until a film was
    begun; ``notice`` as in ``events.Planned``.
    """

    re: int | None = None
    protocol: int = VERSION
    version: str
    engine: str
    device: DeviceInfo
    others: tuple[DeviceInfo, ...] = ()
    models: tuple[ModelInfo, ...]
    limits: Limits = LIMITS
    queue: int
    interpolator: str = ""
    notice: str = ""

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        """All devices that share a film."""
        return self.device, *self.others


class Accepted(Answer, frozen=True, kw_only=True, tag="accepted"):
    """The job exists; ``duplicate`` says that it did before."""

    re: int
    job: str
    duplicate: bool


class Snapshot(Answer, frozen=True, kw_only=True, tag="snapshot"):
    """The state of a job after ``progress.seq`` events; ``remaining`` in seconds."""

    re: int
    job: str
    recipe: Recipe
    created_at: float
    progress: Progress
    fraction: float
    remaining: float | None


class JobEvent(Answer, frozen=True, kw_only=True, tag="event"):
    """One event of a watched job's log."""

    job: str
    seq: int
    at: float
    event: AnyEvent


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A job in a list."""

    job: str
    status: str
    created_at: float
    prompt: str


class JobList(Answer, frozen=True, kw_only=True, tag="job_list"):
    """The jobs of this engine, newest first, at most 200."""

    re: int
    jobs: tuple[JobSummary, ...]


class Missing(Answer, frozen=True, kw_only=True, tag="missing"):
    """Those of the named objects that the engine lacks."""

    re: int
    objects: tuple[str, ...]


class Done(Answer, frozen=True, kw_only=True, tag="done"):
    """A request without another answer was carried out."""

    re: int


class ObjectInfo(Answer, frozen=True, kw_only=True, tag="object"):
    """Size (bytes), SHA-256 of the content and media type of an object."""

    re: int
    object: str
    size: int
    sha256: str
    media_type: str


class Refused(Answer, frozen=True, kw_only=True, tag="error"):
    """A request was not carried out; ``re`` is None where no id could be read."""

    re: int | None
    error: ErrorReport


AnyAnswer = Hello | Accepted | Snapshot | JobEvent | JobList | Missing | Done | ObjectInfo | Refused


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The newest picture of a job: a step's guess, a finished keyframe or an in-between frame.

    Attributes:
        index: of the keyframe or segment.
        step: denoising step, or frame of the segment; of ``steps``.
        jpeg: the encoded picture, its longer side at most 256 pixels.
    """

    job: str
    kind: Literal["step", "keyframe", "frame"]
    index: int
    step: int
    steps: int
    jpeg: bytes = b""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an object's content."""

    re: int
    object: str
    offset: int
    data: bytes = b""


T = TypeVar("T")


def encode(message: Request | Answer) -> str:
    """Return the text of a message."""
    return msgspec.json.encode(message).decode()


def encode_recipe(recipe: Recipe) -> str:
    """Return the JSON of a recipe, keys in a fixed order."""
    return msgspec.json.encode(recipe, order="deterministic").decode()


def encode_preview(preview: Preview) -> bytes:
    """Return the binary message of a preview."""
    return binary.pack(PREVIEW_KIND, preview, "jpeg")


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the binary message of a chunk."""
    return binary.pack(CHUNK_KIND, chunk, "data")


def encode_part(part: Part) -> bytes:
    """Return the binary message of a part."""
    return binary.pack(PART_KIND, part, "data")


def decode_part(data: bytes) -> Part:
    """Read a client's binary message.

    Raises:
        MalformedMessageError: it is no part of an object.
        InvalidParameterError: one of its fields is not acceptable.
    """
    try:
        parts = binary.split(data)
        if parts.kind != PART_KIND:
            problem = f"unknown kind of binary message: {parts.kind}"
            raise MalformedMessageError(problem, field="message")
        part = binary.unpack(parts, Part, "data")
    except msgspec.ValidationError as error:
        raise _refusal(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(f"this is no part: {error}", field="message") from error
    if len(part.data) > LIMITS.chunk or part.offset + len(part.data) > part.size:
        raise InvalidParameterError("data", "the part is too long", "send at most 256 KiB a part")
    return part


def decode_request(data: str | bytes, kind: Any) -> Any:
    """Read a client's message; ``kind`` is ``ControlRequest`` or ``DataRequest``.

    Raises:
        MalformedMessageError: it is no JSON object of a known type.
        InvalidParameterError: one of its fields is not acceptable.
    """
    if isinstance(data, bytes):
        raise MalformedMessageError("clients send text; this message is binary", field="message")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(f"this is no JSON: {error}", field="message") from error


def decode_answer(data: str | bytes) -> AnyAnswer | Preview | Chunk:
    """Read an engine's message.

    Raises:
        MalformedMessageError: it is no message of this protocol.
    """
    try:
        if isinstance(data, str):
            answer: AnyAnswer = msgspec.json.decode(data, type=AnyAnswer)
            return answer
        return _read_binary(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"the engine sent something else: {error}") from error


def request_id(data: str | bytes) -> int | None:
    """Return the id of a message that could not be read whole, so that its error finds home."""
    try:
        text = binary.split(data).header if isinstance(data, bytes) else data
        return msgspec.json.decode(text, type=_OnlyId).id
    except (msgspec.MsgspecError, MalformedMessageError, UnicodeDecodeError, RecursionError):
        return None


class _OnlyId(msgspec.Struct):
    id: RequestId


def _refusal(error: msgspec.ValidationError) -> MalformedMessageError | InvalidParameterError:
    translated = invalid(error, default_field="message")
    if translated.field in ("message", "type") or re.search("`type`", str(error)):
        return MalformedMessageError(f"unknown message: {error}", field="type")
    return translated


def _read_binary(data: bytes) -> Preview | Chunk:
    parts = binary.split(data)
    if parts.kind == PREVIEW_KIND:
        return binary.unpack(parts, Preview, "jpeg")
    if parts.kind == CHUNK_KIND:
        return binary.unpack(parts, Chunk, "data")
    raise MalformedMessageError(f"unknown kind of binary message: {parts.kind}")
