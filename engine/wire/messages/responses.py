"""The messages of engines: answers, events of watched jobs, previews and chunks of objects."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from engine.errors import ErrorReport
from engine.film.events import AnyEvent
from engine.film.progress import Progress
from engine.film.recipe import Recipe
from engine.models import Card
from engine.wire.messages.limits import LIMITS, VERSION, Limits


class Response(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base class of the text messages of an engine."""


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


class Hello(Response, frozen=True, kw_only=True, tag="hello"):
    """Sent first on a control socket, and, without vocabularies, as the answer to ``describe``.

    ``others``: devices that share a film with ``device``; ``interpolator`` is "" until a film was
    started; ``notice`` as in ``events.Planned``. Another ``epoch`` than before means that
    logs may have lost their ends: an event's number may stand for another event. Older engines
    leave it out ("").
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
    epoch: str = ""

    def with_vocabularies(self, before: "Hello | None") -> "Hello":
        """Return this with the vocabularies that an earlier one has, and that do not change."""
        known = {model.name: model.card.vocabulary for model in before.models} if before else {}
        models = (
            msgspec.structs.replace(
                model,
                card=msgspec.structs.replace(
                    model.card, vocabulary=model.card.vocabulary or known.get(model.name)
                ),
            )
            for model in self.models
        )
        return msgspec.structs.replace(self, models=tuple(models))

    @property
    def devices(self) -> tuple[DeviceInfo, ...]:
        """All devices that share a film."""
        return self.device, *self.others


class Accepted(Response, frozen=True, kw_only=True, tag="accepted"):
    """The job exists; ``duplicate``: it existed before."""

    re: int
    job: str
    duplicate: bool


class Snapshot(Response, frozen=True, kw_only=True, tag="snapshot"):
    """The state of a job after ``progress.seq`` events; ``remaining`` in seconds.

    If ``progress.seq`` is below the requested ``after``, the log has lost its end. The engine then
    sends the whole log again, and a client discards its copy. ``epoch`` as in ``Hello``.
    """

    re: int
    job: str
    recipe: Recipe
    created_at: float
    progress: Progress
    fraction: float
    remaining: float | None
    epoch: str = ""


class JobEvent(Response, frozen=True, kw_only=True, tag="event"):
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


class JobList(Response, frozen=True, kw_only=True, tag="job_list"):
    """The jobs of this engine, newest first, at most 200."""

    re: int
    jobs: tuple[JobSummary, ...]


class Missing(Response, frozen=True, kw_only=True, tag="missing"):
    """Those of the named objects that the engine lacks."""

    re: int
    objects: tuple[str, ...]


class Done(Response, frozen=True, kw_only=True, tag="done"):
    """A request without another answer was carried out."""

    re: int


class ObjectInfo(Response, frozen=True, kw_only=True, tag="object"):
    """Size (bytes), SHA-256 of the content and media type of an object."""

    re: int
    object: str
    size: int
    sha256: str
    media_type: str


class Refused(Response, frozen=True, kw_only=True, tag="error"):
    """A request was not carried out; ``re`` is None where no id could be read."""

    re: int | None
    error: ErrorReport


AnyResponse = (
    Hello | Accepted | Snapshot | JobEvent | JobList | Missing | Done | ObjectInfo | Refused
)


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
