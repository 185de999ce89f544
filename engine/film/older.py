"""Reads what earlier versions wrote: events and states of version 1, which spelled out each stage.

There keyframes, segments and the film had events of their own. All that is read here becomes what
``engine.film.events`` and ``engine.film.progress`` have today. Nothing is written in this form.
"""

from typing import Literal

import msgspec

from engine.errors import ErrorReport
from engine.film import events
from engine.film.events import AnyEvent
from engine.film.progress import Pieces, PieceTiming, Progress, Status, Timing

KEYFRAME, SEGMENT, FILM = "keyframe", "segment", "film"  # names of stages
PHASES = {"painting": KEYFRAME, "interpolating": SEGMENT, "assembling": FILM}


class OlderEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the events that are no longer written."""


class KeyframeStarted(OlderEvent, frozen=True, kw_only=True, tag="keyframe_started"):
    """Today ``PieceStarted``."""

    index: int
    row: int = 0


class KeyframeStep(OlderEvent, frozen=True, kw_only=True, tag="keyframe_step"):
    """Today ``PieceAdvanced``."""

    index: int
    step: int
    steps: int


class KeyframeFinished(OlderEvent, frozen=True, kw_only=True, tag="keyframe_finished"):
    """Today ``PieceFinished``."""

    index: int
    object: str
    sha256: str
    size: int
    reused: bool
    origin: str = ""
    detail: str = ""


class SegmentStarted(OlderEvent, frozen=True, kw_only=True, tag="segment_started"):
    """Today ``PieceStarted``."""

    index: int


class SegmentFrame(OlderEvent, frozen=True, kw_only=True, tag="segment_frame"):
    """Today ``PieceAdvanced``."""

    index: int
    frame: int
    frames: int


class SegmentFinished(OlderEvent, frozen=True, kw_only=True, tag="segment_finished"):
    """Today ``PieceFinished``; ``judgement`` is its ``detail``."""

    index: int
    object: str
    sha256: str
    size: int
    reused: bool
    judgement: str = ""
    origin: str = ""


class Assembling(OlderEvent, frozen=True, kw_only=True, tag="assembling"):
    """Today ``PieceStarted`` of the film."""


class Interrupted(OlderEvent, frozen=True, kw_only=True, tag="interrupted"):
    """Today ``PieceLost`` where other workers went on, which is what ``goes_on`` says."""

    reason: Literal["engine", "worker", "memory"]
    goes_on: bool = False
    keyframe: int = -1
    segment: int = -1


Unchanged = (
    events.Queued
    | events.Started
    | events.ModelLoading
    | events.Planned
    | events.Grown
    | events.PieceStarted
    | events.PieceAdvanced
    | events.PieceFinished
    | events.PieceLost
    | events.Economized
    | events.Finished
    | events.Cancelled
    | events.Paused
    | events.Failed
)
EitherEvent = (
    Unchanged
    | KeyframeStarted
    | KeyframeStep
    | KeyframeFinished
    | SegmentStarted
    | SegmentFrame
    | SegmentFinished
    | Assembling
    | Interrupted
)
_DECODER = msgspec.json.Decoder(EitherEvent)


def read_event(data: bytes | str) -> AnyEvent:
    """Read an event that this version or an earlier one wrote.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return current(_DECODER.decode(data))


def current(event: EitherEvent) -> AnyEvent:
    """Return an event as this version has it."""
    match event:
        case KeyframeStarted(index=index, row=row):
            return events.PieceStarted(stage=KEYFRAME, index=index, row=row)
        case SegmentStarted(index=index):
            return events.PieceStarted(stage=SEGMENT, index=index)
        case Assembling():
            return events.PieceStarted(stage=FILM)
        case KeyframeStep(index=index, step=done, steps=total):
            return events.PieceAdvanced(stage=KEYFRAME, index=index, done=done, total=total)
        case SegmentFrame(index=index, frame=done, frames=total):
            return events.PieceAdvanced(stage=SEGMENT, index=index, done=done, total=total)
        case KeyframeFinished():
            return _finished(KEYFRAME, event, event.detail)
        case SegmentFinished():
            return _finished(SEGMENT, event, event.judgement)
        case Interrupted():
            return _interrupted(event)
    return event


def _finished(
    stage: str, event: KeyframeFinished | SegmentFinished, detail: str
) -> events.PieceFinished:
    return events.PieceFinished(
        stage=stage,
        index=event.index,
        object=event.object,
        sha256=event.sha256,
        size=event.size,
        reused=event.reused,
        origin=event.origin,
        detail=detail,
    )


def _interrupted(event: Interrupted) -> events.Interrupted | events.PieceLost:
    if not event.goes_on or event.reason == "engine":
        return events.Interrupted(reason=event.reason)
    if event.segment >= 0:
        return events.PieceLost(reason=event.reason, stage=SEGMENT, index=event.segment)
    stage = KEYFRAME if event.keyframe >= 0 else ""
    return events.PieceLost(reason=event.reason, stage=stage, index=max(0, event.keyframe))


class OlderProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A job's state as a snapshot of version 1 has it; see ``Progress``."""

    status: Status = "queued"
    phase: str = "waiting"
    seq: int = 0
    position: int = 0
    attempt: int = 0
    device: str = ""
    at_once: int = 0
    thrifty: bool = False
    model: str = ""
    loaded_percent: float = 0.0
    keyframe: int = -1
    open_keyframes: dict[int, PieceTiming] = {}
    steps: int = 0
    keyframes: list[str] = []
    words: dict[int, str] = {}
    segment: int = -1
    open_segments: dict[int, PieceTiming] = {}
    segments: list[str] = []
    plan: events.Planned | None = None
    judgements: dict[int, str] = {}
    film: events.Finished | None = None
    error: ErrorReport | None = None
    started_at: float = 0.0
    changed_at: float = 0.0
    ended_at: float = 0.0
    painting: Timing = msgspec.field(default_factory=Timing)
    drawing: Timing = msgspec.field(default_factory=Timing)
    since: float = 0.0

    def current(self) -> Progress:
        """Return the state as this version has it."""
        progress = Progress(
            **{
                name: getattr(self, name)
                for name in self.__struct_fields__
                if name in Progress.__struct_fields__
            }
        )
        progress.phase = PHASES.get(self.phase, self.phase)
        if self.plan is None:
            return progress
        progress.pieces = {
            KEYFRAME: Pieces(
                names=self.keyframes,
                details=self.words,
                open=self.open_keyframes,
                last=self.keyframe,
                timing=self.painting,
            ),
            SEGMENT: Pieces(
                names=self.segments,
                details=self.judgements,
                open=self.open_segments,
                last=self.segment,
                timing=self.drawing,
            ),
            FILM: Pieces(names=[self.film.object if self.film else ""] * bool(self.plan)),
        }
        for piece in self.open_keyframes.values():
            piece.total = self.steps
        for index, piece in self.open_segments.items():
            piece.total = self.plan.segment_frames[index]
        return progress
