"""The messages of clients: requests on both sockets, and the parts of uploaded objects."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from engine.wire.messages.limits import LIMITS, Budget, JobId, ObjectName, RequestId


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base class of requests; the answer repeats ``id`` as ``re``."""

    id: RequestId


class Submit(Request, frozen=True, kw_only=True, tag="submit", forbid_unknown_fields=True):
    """Start a job; submitting the same id and recipe again has no effect."""

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
    """Stop reporting on a job; the job continues."""

    job: JobId


class Cancel(Request, frozen=True, kw_only=True, tag="cancel", forbid_unknown_fields=True):
    """Cancel a job within one denoising step; no effect on a job that has ended."""

    job: JobId


class Pause(Request, frozen=True, kw_only=True, tag="pause", forbid_unknown_fields=True):
    """Pause a job within one denoising step; no effect on one that is paused or has ended."""

    job: JobId


class Resume(Request, frozen=True, kw_only=True, tag="resume", forbid_unknown_fields=True):
    """Queue a paused job again; no effect on any other."""

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


# On the data socket


class Open(Request, frozen=True, kw_only=True, tag="open", forbid_unknown_fields=True):
    """Ask for size and hash of an object."""

    object: ObjectName


class Read(Request, frozen=True, kw_only=True, tag="read", forbid_unknown_fields=True):
    """Ask for one chunk; answered by a binary message of at most ``length`` bytes."""

    object: ObjectName
    offset: Annotated[int, Meta(ge=0)]
    length: Annotated[int, Meta(ge=1, le=LIMITS.chunk)]


class UploadPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of an object that a client uploads, as a binary message; parts come in order.

    Attributes:
        size, sha256: of the whole object; it is stored only if both match.
        origin: the device that made it, for the film's record.
        detail: the detail of its event.
    """

    id: RequestId
    object: ObjectName
    offset: Annotated[int, Meta(ge=0)]
    size: Annotated[int, Meta(ge=1, le=LIMITS.upload)]
    sha256: ObjectName
    media_type: Literal["image/png", "video/mp4"]
    origin: Annotated[str, Meta(max_length=200)] = ""
    detail: Annotated[str, Meta(max_length=40, pattern=r"^[a-z ]*\Z")] = ""
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
