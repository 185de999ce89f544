"""What happens to a job, as values: each is logged once, numbered, and can be read again.

Previews are not events: they are never logged (see ``engine.wire.messages.responses.Preview``).
"""

from typing import Literal

import msgspec

from engine.errors import ErrorReport


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on a film; 0 is best everywhere.

    Attributes:
        flicker: what differs after motion is taken out, as a share of full white.
        jumps: places where the picture changes far faster than around them; cuts count.
        unevenness: spread of the speed at which the picture changes, as a share of its mean.
        brightness: how much brighter the end is than the beginning, a share of full white;
            negative where it is darker.
        colour: how far the end's mean colour is from the beginning's, on the same scale.
        duplicates: share of frames that repeat the one before.
    """

    flicker: float
    jumps: int
    unevenness: float
    brightness: float
    colour: float
    duplicates: float


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=False):
    """Base of all events."""


class Queued(Event, frozen=True, kw_only=True, tag="queued"):
    """The job waits; ``position`` jobs go before it (0: it is next)."""

    position: int


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """The engine took the job up; ``attempt`` counts from 1 and grows after a crash.

    ``device``: what works on it, such as ``2 × Tesla T4``.
    """

    attempt: int
    device: str


class ModelLoading(Event, frozen=True, kw_only=True, tag="model_loading"):
    """Weights are read or fetched; ``total_bytes`` is 0 while it is unknown."""

    model: str
    done_bytes: int
    total_bytes: int
    percent: float


class Planned(Event, frozen=True, kw_only=True, tag="planned"):
    """What is known of the build graph; names are content addresses.

    Attributes:
        keyframes: in order of their creation, which their indexes follow for good.
        times: seconds at which they stand on the way through the scenes; their order in the film.
        segments: in order of time.
        segment_frames: frames of each.
        ends: the two keyframes of each, by index.
        gaps: how much keyframes differ: two of them by index, and their distance.
        more_keyframes, more_segments: that may still be added, at most.
        notice: why another network than the engine's operator chose draws the in-betweens.
        batch: keyframes that are painted at once where they do not depend on one another.
    """

    keyframes: tuple[str, ...]
    times: tuple[float, ...] = ()
    segments: tuple[str, ...]
    segment_frames: tuple[int, ...]
    ends: tuple[tuple[int, int], ...] = ()
    gaps: tuple[tuple[int, int, float], ...] = ()
    more_keyframes: int = 0
    more_segments: int = 0
    frames: int
    model: str
    interpolator: str
    notice: str = ""
    batch: int = 1


class Grown(Event, frozen=True, kw_only=True, tag="grown"):
    """The plan has grown: what is to be appended to each list, and how much may still come."""

    keyframes: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    segments: tuple[str, ...] = ()
    segment_frames: tuple[int, ...] = ()
    ends: tuple[tuple[int, int], ...] = ()
    gaps: tuple[tuple[int, int, float], ...] = ()
    more_keyframes: int = 0
    more_segments: int = 0


class KeyframeStarted(Event, frozen=True, kw_only=True, tag="keyframe_started"):
    """Painting of keyframe ``index`` (from 0) begins.

    ``row``: its place (from 0) among those that are painted at once.
    """

    index: int
    row: int = 0


class KeyframeStep(Event, frozen=True, kw_only=True, tag="keyframe_step"):
    """Denoising step ``step`` (from 1) of ``steps`` is done."""

    index: int
    step: int
    steps: int


class Economized(Event, frozen=True, kw_only=True, tag="economized"):
    """The device's memory ran short; from here on the film is painted in a thriftier way.

    ``way`` is ``slices``, ``offload``, ``singly``, ``tiles``, ``small_tiles`` or ``layers``;
    ``exact`` says that pictures stay the same but for rounding.
    """

    way: str
    exact: bool


class KeyframeFinished(Event, frozen=True, kw_only=True, tag="keyframe_finished"):
    """A keyframe is in the store.

    ``reused``: it was there before; ``origin``: the device that made it; ``detail``: words about
    it, ``singly`` or ``tiled`` if, for want of memory, it was painted alone instead of in a batch
    or decoded in tiles, and so differs a little from what it would be, ``rerolled`` if it came out
    blank and was painted from another seed, ``blank`` if that did not help: another keyframe is
    seen in its place.
    """

    index: int
    object: str
    sha256: str
    size: int
    reused: bool
    origin: str = ""
    detail: str = ""


def remarks(detail: str) -> set[str]:
    """Return the words about a keyframe that its ``detail`` holds."""
    return set(detail.split())


class SegmentStarted(Event, frozen=True, kw_only=True, tag="segment_started"):
    """Drawing the frames between the two keyframes of segment ``index`` begins."""

    index: int
    frames: int


class SegmentFrame(Event, frozen=True, kw_only=True, tag="segment_frame"):
    """Frame ``frame`` (from 1) of ``frames`` of this segment is drawn."""

    index: int
    frame: int
    frames: int


class SegmentFinished(Event, frozen=True, kw_only=True, tag="segment_finished"):
    """A segment is in the store.

    ``judgement`` says how its gap was bridged: ``interpolate``, ``crossfade``, ``copy``, or, where
    the plan had it so, ``fade``, ``cut`` or ``hold``.
    """

    index: int
    object: str
    sha256: str
    size: int
    reused: bool
    judgement: str = ""
    origin: str = ""


class Assembling(Event, frozen=True, kw_only=True, tag="assembling"):
    """Segments are being joined into the film."""


class Finished(Event, frozen=True, kw_only=True, tag="finished"):
    """The film is in the store.

    ``interpolator``: identity of the network that drew in it; ``memory``: bytes of the device that
    were needed at most, 0 if unknown; ``scores``: how smooth the film is.
    """

    object: str
    sha256: str
    size: int
    media_type: str
    frames: int
    seconds: float
    width: int
    height: int
    interpolator: str = ""
    memory: int = 0
    scores: Scores | None = None


class Cancelled(Event, frozen=True, kw_only=True, tag="cancelled"):
    """A client cancelled the job; what was finished stays in the store."""


class Paused(Event, frozen=True, kw_only=True, tag="paused"):
    """A client paused the job; what was finished stays, and it goes on once a client resumes it."""


class Interrupted(Event, frozen=True, kw_only=True, tag="interrupted"):
    """The engine or a worker died, or memory did not suffice; the job goes on by itself.

    ``goes_on``: other workers went on meanwhile; only ``keyframe`` or ``segment``, by index, was
    lost on the way (-1: none).
    """

    reason: Literal["engine", "worker", "memory"]
    goes_on: bool = False
    keyframe: int = -1
    segment: int = -1


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """The job cannot be finished."""

    error: ErrorReport


AnyEvent = (
    Queued
    | Started
    | ModelLoading
    | Planned
    | Grown
    | KeyframeStarted
    | KeyframeStep
    | Economized
    | KeyframeFinished
    | SegmentStarted
    | SegmentFrame
    | SegmentFinished
    | Assembling
    | Finished
    | Cancelled
    | Paused
    | Interrupted
    | Failed
)


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """An event in a job's log: ``seq`` counts from 1 without a gap; ``at`` is Unix seconds."""

    seq: int
    at: float
    event: AnyEvent


FINAL = (Finished, Cancelled, Failed)
