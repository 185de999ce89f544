"""The state of a job, folded from its events. Pure: engine and app fold the same log alike."""

from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

from engine.errors import ErrorReport
from engine.film import events
from engine.film.events import AnyEvent


class Timing(msgspec.Struct):
    """Seconds spent on ``count`` pieces of one kind of work."""

    seconds: float = 0.0
    count: int = 0

    def mean(self, guess: float) -> float:
        """Return seconds per piece, ``guess`` while nothing was measured."""
        return self.seconds / self.count if self.count else guess


class PieceTiming(msgspec.Struct):
    """A keyframe or segment in the making: steps or frames done, and its share of the time.

    Where several are made at once, time is shared among them: so many pieces in so many seconds.
    ``row``: place of a keyframe among those that one device paints at once.
    """

    done: int = 0
    seconds: float = 0.0
    row: int = 0


Status = Literal["queued", "running", "paused", "finished", "cancelled", "failed"]
Phase = Literal["waiting", "loading", "painting", "interpolating", "assembling", "done"]

KEYFRAME_GUESS = 3.0  # seconds a keyframe takes before one was measured
FRAME_GUESS = 0.1  # seconds an in-between takes before one was measured
GROWING = ("keyframes", "times", "segments", "segment_frames", "ends", "gaps")  # lists of a plan


class Numbered(Protocol):
    """An event with its number and its time: ``events.Logged`` and ``answers.JobEvent``."""

    @property
    def seq(self) -> int:
        """Number in the job's log, from 1."""

    @property
    def at(self) -> float:
        """Unix time, seconds."""

    @property
    def event(self) -> AnyEvent:
        """What happened."""


class Progress(msgspec.Struct, kw_only=True):
    """What is known of a job after ``seq`` events.

    Attributes:
        plan: what is known of the graph by now.
        at_once: pieces of one kind that were made at once, at most, a batch of keyframes counting
            as one; as many devices took part. One alone may draw while it paints.
        keyframe: index of the one that was begun or finished last; -1 before the first.
        open_keyframes: those being painted, by index, and the denoising steps done of each.
        keyframes: content address of each finished keyframe, ``""`` for those still missing.
        words: what is said of a keyframe, by index, as ``KeyframeFinished.detail`` has it.
        segment: index of the one that was begun or finished last; -1 before the first.
        open_segments: those being drawn, by index, and the frames done of each.
        segments: content address of each finished segment, ``""`` for those still missing.
        position: jobs that go before this one while it waits.
        thrifty: whether it is painted in a thriftier way, for want of memory.
    """

    status: Status = "queued"
    phase: Phase = "waiting"
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
    segment_frames: list[int] = []
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

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("finished", "cancelled", "failed")

    @property
    def whole(self) -> tuple[int, int]:
        """Number of keyframes and of segments that the film will have, at most."""
        more = (self.plan.more_keyframes, self.plan.more_segments) if self.plan else (0, 0)
        return len(self.keyframes) + more[0], len(self.segments) + more[1]

    @property
    def ends(self) -> list[tuple[int, int]]:
        """The two keyframes of each segment, by index."""
        told = self.plan.ends if self.plan else ()
        last = max(0, len(self.keyframes) - 1)
        return [*told] or [(i, min(i + 1, last)) for i in range(len(self.segments))]

    @property
    def strip(self) -> list[int]:
        """Indexes of the keyframes in order of time."""
        times = self.plan.times if self.plan else ()
        indexes = range(len(self.keyframes))
        return sorted(indexes, key=times.__getitem__) if times else [*indexes]

    @property
    def remaining(self) -> float | None:
        """Expected seconds until the film is done; None while the plan is not known."""
        if self.final:
            return 0.0
        return self._left() if self.keyframes else None

    @property
    def fraction(self) -> float:
        """Share of the work that is done, in [0, 1]."""
        if self.status == "finished":
            return 1.0
        frames = self.plan.frames if self.plan else 0
        total = self._work(self.whole[0], frames)
        return min(0.999, max(0.0, 1 - self._left() / total)) if total else 0.0

    def _left(self) -> float:
        drawn = zip(self.segment_frames, self.segments, strict=True)
        frames = self.plan.frames if self.plan else 0
        return self._work(
            self.whole[0] - sum(map(bool, self.keyframes)) - self._part(),
            frames
            - sum(count for count, name in drawn if name)
            - sum(piece.done for piece in self.open_segments.values()),
        )

    def _work(self, keyframes: float, frames: float) -> float:
        devices = max(1, self.at_once)
        painting = self.painting.mean(KEYFRAME_GUESS / devices)
        drawing = self.drawing.mean(FRAME_GUESS / devices)
        return max(0.0, keyframes * painting + frames * drawing)

    def _part(self) -> float:
        done = sum(piece.done for piece in self.open_keyframes.values())
        return done / self.steps if self.steps else 0.0


def fold(log: Iterable[Numbered]) -> Progress:
    """Return the state after all events of ``log``."""
    progress = Progress()
    for logged in log:
        advance(progress, logged)
    return progress


def advance(progress: Progress, logged: Numbered) -> None:
    """Bring ``progress`` forward by one event; an event it has seen before changes nothing."""
    if logged.seq <= progress.seq:
        return
    progress.seq, progress.changed_at = logged.seq, logged.at
    match logged.event:
        case events.Queued(position=position):
            progress.status, progress.phase, progress.position = "queued", "waiting", position
        case events.Started() as event:
            progress.status, progress.phase, progress.position = "running", "loading", 0
            progress.attempt, progress.device = event.attempt, event.device
            progress.started_at = progress.started_at or logged.at
            progress.thrifty = False
        case events.ModelLoading() as event:
            progress.phase, progress.model = "loading", event.model
            progress.loaded_percent = event.percent
        case events.Economized():
            progress.thrifty = True
        case events.Planned() as event:
            _plan(progress, event)
        case events.Grown() as event:
            _grow(progress, event)
        case events.KeyframeStarted() | events.KeyframeStep() | events.KeyframeFinished():
            _paint(progress, logged)
        case events.SegmentStarted() | events.SegmentFrame() | events.SegmentFinished():
            _draw(progress, logged)
        case events.Assembling():
            progress.phase = "assembling"
        case events.Interrupted(goes_on=True, keyframe=keyframe, segment=segment):
            _pass(progress, logged.at)
            progress.open_keyframes.pop(keyframe, None)
            progress.open_segments.pop(segment, None)
            _look(progress)
        case events.Interrupted() | events.Paused():
            paused = isinstance(logged.event, events.Paused)
            progress.status, progress.phase = "paused" if paused else "queued", "waiting"
            _close(progress)
        case _:
            _end(progress, logged)


def _plan(progress: Progress, event: events.Planned) -> None:
    progress.model, progress.plan = event.model, event
    progress.keyframes = [""] * len(event.keyframes)
    progress.segments = [""] * len(event.segments)
    progress.segment_frames = list(event.segment_frames)


def _grow(progress: Progress, event: events.Grown) -> None:
    plan = progress.plan
    if plan is None:
        return
    added = {name: getattr(plan, name) + getattr(event, name) for name in GROWING}
    more = {"more_keyframes": event.more_keyframes, "more_segments": event.more_segments}
    progress.plan = msgspec.structs.replace(plan, **added, **more)
    progress.keyframes += [""] * len(event.keyframes)
    progress.segments += [""] * len(event.segments)
    progress.segment_frames += event.segment_frames


def _paint(progress: Progress, logged: Numbered) -> None:
    _pass(progress, logged.at)
    match logged.event:
        case events.KeyframeStarted(index=index, row=row):
            progress.keyframe, progress.open_keyframes[index] = index, PieceTiming(row=row)
        case events.KeyframeStep(index=index, step=step, steps=steps):
            progress.open_keyframes.setdefault(index, PieceTiming()).done = step
            progress.steps = steps
        case events.KeyframeFinished(index=index) if index >= len(progress.keyframes):
            pass  # no plan names it
        case events.KeyframeFinished() as event:
            progress.keyframe, progress.keyframes[event.index] = event.index, event.object
            progress.words[event.index] = event.detail
            piece = progress.open_keyframes.pop(event.index, None)
            if piece and not event.reused:
                _measure(progress.painting, piece.seconds, 1)
    _look(progress)


def _draw(progress: Progress, logged: Numbered) -> None:
    _pass(progress, logged.at)
    match logged.event:
        case events.SegmentStarted(index=index):
            progress.segment, progress.open_segments[index] = index, PieceTiming()
        case events.SegmentFrame(index=index, frame=frame):
            progress.open_segments.setdefault(index, PieceTiming()).done = frame
        case events.SegmentFinished(index=index) if index >= len(progress.segments):
            pass  # no plan names it
        case events.SegmentFinished() as event:
            progress.segment, progress.segments[event.index] = event.index, event.object
            progress.judgements[event.index] = event.judgement
            piece = progress.open_segments.pop(event.index, None)
            if piece and not event.reused:
                frames = progress.segment_frames[event.index]
                _measure(progress.drawing, piece.seconds, frames)
    _look(progress)


def _pass(progress: Progress, at: float) -> None:
    """Share the time since the last word among what was being made."""
    pieces = [*progress.open_keyframes.values(), *progress.open_segments.values()]
    for piece in pieces:
        piece.seconds += max(0.0, at - progress.since) / len(pieces)
    progress.since = at


def _close(progress: Progress) -> None:
    progress.open_keyframes, progress.open_segments = {}, {}


def _look(progress: Progress) -> None:
    """Note how many take part; painting goes before drawing where both go on."""
    painting = sum(piece.row == 0 for piece in progress.open_keyframes.values())
    progress.at_once = max(progress.at_once, painting, len(progress.open_segments))
    if progress.open_keyframes:
        progress.phase = "painting"
    elif progress.open_segments:
        progress.phase = "interpolating"


def _measure(span: Timing, seconds: float, count: int) -> None:
    span.seconds += seconds
    span.count += count


def _end(progress: Progress, logged: Numbered) -> None:
    progress.phase, progress.ended_at = "done", logged.at
    _close(progress)
    match logged.event:
        case events.Finished() as event:
            progress.status, progress.film = "finished", event
        case events.Cancelled():
            progress.status = "cancelled"
        case events.Failed(error=error):
            progress.status, progress.error = "failed", error
