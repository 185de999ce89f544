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


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a film's file holds; a GIF has fewer and smaller frames than its recipe says.

    ``scores``: how smooth it is.
    """

    frames: int
    seconds: float
    width: int
    height: int
    scores: Scores | None = None


def encode_shape(shape: Shape) -> str:
    """Return a shape as text, the ``detail`` of a film."""
    return msgspec.json.encode(shape).decode()


def read_shape(text: str) -> Shape:
    """Read a shape."""
    return msgspec.json.decode(text, type=Shape)


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
        stages: names of the stages that the film has, in the order of ``engine.film.stages``.
        notice: why another network than the engine's operator chose draws the in-betweens.
        upscaler: identity of the network that enlarges keyframes; "" if they stay as painted.
        batch: keyframes that are painted at once where they do not depend on one another.
        prompts: what is painted in each scene, where the model completes prompts; else none.
    """

    keyframes: tuple[str, ...]
    times: tuple[float, ...] = ()
    segments: tuple[str, ...]
    segment_frames: tuple[int, ...]
    ends: tuple[tuple[int, int], ...] = ()
    gaps: tuple[tuple[int, int, float], ...] = ()
    more_keyframes: int = 0
    more_segments: int = 0
    stages: tuple[str, ...] = ("keyframe", "segment", "film")
    frames: int
    model: str
    interpolator: str
    notice: str = ""
    upscaler: str = ""
    batch: int = 1
    prompts: tuple[str, ...] = ()


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


class PieceStarted(Event, frozen=True, kw_only=True, tag="piece_started"):
    """Work on a piece begins: ``index`` (from 0) counts among the pieces of its stage.

    ``stage``: name of one of ``engine.film.stages.STAGES``; ``row``: its place (from 0) among the
    pieces that one device makes at once.
    """

    stage: str
    index: int = 0
    row: int = 0


class PieceAdvanced(Event, frozen=True, kw_only=True, tag="piece_advanced"):
    """Step ``done`` (from 1) of ``total`` is done: a denoising step, a frame."""

    stage: str
    index: int = 0
    done: int
    total: int


class PieceFinished(Event, frozen=True, kw_only=True, tag="piece_finished"):
    """A piece is in the store.

    Attributes:
        object: its name, a content address.
        sha256, size: of its content; bytes.
        reused: whether it was there before.
        origin: the device that made it.
        detail: remarks about it, separated by spaces. Of a keyframe: ``singly`` or ``tiled`` if, as
            memory was short, it was painted alone instead of in a batch or decoded in tiles, and so
            differs a little from what it would be; ``rerolled`` if it came out blank and was
            painted from another seed, ``blank`` if that did not help: another keyframe is seen in
            its place. Of a segment, how its gap was bridged: ``interpolate``, ``crossfade``,
            ``copy``, or, where the plan had it so, ``fade``, ``cut`` or ``hold``.
    """

    stage: str
    index: int = 0
    object: str
    sha256: str
    size: int
    reused: bool
    origin: str = ""
    detail: str = ""


class PieceLost(Event, frozen=True, kw_only=True, tag="piece_lost"):
    """The worker that made a piece died, or lacked memory; other workers went on meanwhile.

    ``stage`` is "" if it was a measurement, of which nothing is kept.
    """

    reason: Literal["worker", "memory"]
    stage: str = ""
    index: int = 0


def remarks(detail: str) -> set[str]:
    """Return the remarks about a piece that its ``detail`` holds."""
    return set(detail.split())


class Economized(Event, frozen=True, kw_only=True, tag="economized"):
    """The device's memory ran short; from here on the film is painted in a way that saves memory.

    ``way`` is ``slices``, ``offload``, ``singly``, ``tiles``, ``small_tiles`` or ``layers``;
    ``exact`` says that pictures stay the same but for rounding.
    """

    way: str
    exact: bool


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
    """A client paused the job; what was finished stays, and a client can resume it."""


class Interrupted(Event, frozen=True, kw_only=True, tag="interrupted"):
    """The engine or all workers died, or memory did not suffice; the job is resumed by itself."""

    reason: Literal["engine", "worker", "memory"]


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """The job cannot be finished."""

    error: ErrorReport


AnyEvent = (
    Queued
    | Started
    | ModelLoading
    | Planned
    | Grown
    | PieceStarted
    | PieceAdvanced
    | PieceFinished
    | PieceLost
    | Economized
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
