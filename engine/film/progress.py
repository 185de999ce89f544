"""The state of a job, folded from its events. Pure: engine and app fold the same log alike."""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import msgspec

from engine.errors import ErrorReport
from engine.film import events
from engine.film.events import AnyEvent
from engine.film.stages import FILM, KEYFRAME, SEGMENT, STAGES, Stage


class Timing(msgspec.Struct):
    """Seconds spent on ``count`` pieces of one kind of work."""

    seconds: float = 0.0
    count: int = 0

    def mean(self, guess: float) -> float:
        """Return seconds per piece, ``guess`` while nothing was measured."""
        return self.seconds / self.count if self.count else guess


class PieceTiming(msgspec.Struct):
    """A piece in the making: ``done`` of ``total`` steps or frames, and its share of the time.

    Where several are made at once, time is shared among them: so many pieces in so many seconds.
    ``row``: its place among those that one device makes at once.
    """

    done: int = 0
    total: int = 0
    seconds: float = 0.0
    row: int = 0

    @property
    def share(self) -> float:
        """Share of the piece that is done, in [0, 1]."""
        return self.done / self.total if self.total else 0.0


class Pieces(msgspec.Struct):
    """The pieces of one stage, by index.

    Attributes:
        names: content address of each finished piece, ``""`` for those still missing.
        details: remarks about finished pieces, as ``events.PieceFinished.detail`` has them.
        open: those that are being made.
        last: index of the one that was begun or finished last; -1 before the first.
        timing: seconds that units of work took; see ``engine.film.stages.Stage.per_frame``.
    """

    names: list[str] = []
    details: dict[int, str] = {}
    open: dict[int, PieceTiming] = {}
    last: int = -1
    timing: Timing = msgspec.field(default_factory=Timing)

    @property
    def finished(self) -> int:
        """Number of finished pieces."""
        return sum(map(bool, self.names))


Status = Literal["queued", "running", "paused", "finished", "cancelled", "failed"]

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
        phase: ``waiting``, ``loading``, the name of the stage that is worked on, or ``done``.
        plan: what is known of the graph by now.
        pieces: of each stage that the film has, in the order of the stages.
        at_once: pieces of one stage that were made at once, at most, a batch counting as one; as
            many devices took part. One alone may draw while it paints.
        position: jobs that go before this one while it waits.
        thrifty: whether it is painted in a way that saves memory.
    """

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
    plan: events.Planned | None = None
    pieces: dict[str, Pieces] = {}
    film: events.Finished | None = None
    error: ErrorReport | None = None
    started_at: float = 0.0
    changed_at: float = 0.0
    ended_at: float = 0.0
    since: float = 0.0

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("finished", "cancelled", "failed")

    def of(self, stage: Stage) -> Pieces:
        """Return the pieces of a stage; none if the film has none, or has no plan yet."""
        return self.pieces.get(stage.name) or Pieces()

    @property
    def keyframes(self) -> list[str]:
        """Content address of each keyframe, ``""`` for those still missing."""
        return self.of(KEYFRAME).names

    @property
    def segments(self) -> list[str]:
        """Content address of each segment, ``""`` for those still missing."""
        return self.of(SEGMENT).names

    def whole(self, stage: Stage) -> int:
        """Return the number of pieces of a stage that the film will have, at most."""
        return len(self.of(stage).names) + self._to_come(stage)

    def frames(self, stage: Stage, index: int) -> int:
        """Return the units of work of a piece: the frames of a segment, 1 of any other piece."""
        if not stage.per_frame or self.plan is None:
            return 1
        counts = self.plan.segment_frames
        return counts[index] if index < len(counts) else 1

    def units(self, stage: Stage) -> int:
        """Return the units of work of a stage, those still to be planned included."""
        if stage.name not in self.pieces or self.plan is None:
            return 0
        return self.plan.frames if stage.per_frame else self.whole(stage)

    def missing(self, stage: Stage) -> int:
        """Return the units of work of a stage's pieces that are not finished."""
        names = self.of(stage).names
        done = sum(self.frames(stage, index) for index, name in enumerate(names) if name)
        return self.units(stage) - done

    def _to_come(self, stage: Stage) -> int:
        if self.plan is None or stage.name not in self.pieces:
            return 0
        more = {"keyframe": self.plan.more_keyframes, "segment": self.plan.more_segments}
        return more.get(stage.of, 0)

    @property
    def ends(self) -> list[tuple[int, int]]:
        """The two keyframes of each segment, by index."""
        known = self.plan.ends if self.plan else ()
        last = max(0, len(self.keyframes) - 1)
        return [*known] or [(i, min(i + 1, last)) for i in range(len(self.segments))]

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
        return self._seconds(self._left) if self.plan else None

    @property
    def fraction(self) -> float:
        """Share of the work that is done, in [0, 1]."""
        if self.status == "finished":
            return 1.0
        total = self._seconds(self.units)
        return min(0.999, max(0.0, 1 - self._seconds(self._left) / total)) if total else 0.0

    def _left(self, stage: Stage) -> float:
        """Return the units of work of a stage that are still to be done."""
        open_ = self.of(stage).open.items()
        begun = sum(self.frames(stage, index) * piece.share for index, piece in open_)
        return self.missing(stage) - begun

    def _seconds(self, units: Callable[[Stage], float]) -> float:
        """Return the expected seconds of so many units of each stage."""
        devices = max(1, self.at_once)
        return sum(
            max(0.0, units(stage) * self.of(stage).timing.mean(stage.guess / devices))
            for stage in STAGES.values()
        )


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
        case events.PieceStarted() | events.PieceAdvanced() | events.PieceFinished() as event:
            _share_time(progress, logged.at)
            _make(progress, event)
            _note_phase(progress)
        case events.PieceLost(stage=stage, index=index):
            _share_time(progress, logged.at)
            if stage in progress.pieces:
                progress.pieces[stage].open.pop(index, None)
            _note_phase(progress)
        case events.Interrupted() | events.Paused():
            paused = isinstance(logged.event, events.Paused)
            progress.status, progress.phase = "paused" if paused else "queued", "waiting"
            _close(progress)
        case _:
            _end(progress, logged)


def _plan(progress: Progress, event: events.Planned) -> None:
    progress.model, progress.plan = event.model, event
    before = progress.pieces
    progress.pieces = {name: before.get(name, Pieces()) for name in event.stages if name in STAGES}
    for pieces in progress.pieces.values():
        pieces.names = []
    _lengthen(progress)


def _grow(progress: Progress, event: events.Grown) -> None:
    plan = progress.plan
    if plan is None:
        return
    added = {name: getattr(plan, name) + getattr(event, name) for name in GROWING}
    more = {"more_keyframes": event.more_keyframes, "more_segments": event.more_segments}
    progress.plan = msgspec.structs.replace(plan, **added, **more)
    _lengthen(progress)


def _lengthen(progress: Progress) -> None:
    """Give each stage a place for each of its pieces that the plan has by now."""
    assert progress.plan
    counts = {"keyframe": len(progress.plan.keyframes), "segment": len(progress.plan.segments)}
    for name, pieces in progress.pieces.items():
        pieces.names += [""] * (counts.get(STAGES[name].of, 1) - len(pieces.names))


def _make(
    progress: Progress, event: events.PieceStarted | events.PieceAdvanced | events.PieceFinished
) -> None:
    """Note what has happened to a piece; one that no plan names is left out."""
    pieces, index = progress.pieces.get(event.stage), event.index
    if pieces is None or index >= len(pieces.names):
        return
    match event:
        case events.PieceStarted(row=row):
            pieces.last, pieces.open[index] = index, PieceTiming(row=row)
        case events.PieceAdvanced(done=done, total=total):
            piece = pieces.open.setdefault(index, PieceTiming())
            piece.done, piece.total = done, total
        case events.PieceFinished():
            pieces.last, pieces.names[index] = index, event.object
            pieces.details[index] = event.detail
            made = pieces.open.pop(index, None)
            if made and not event.reused:
                pieces.timing.seconds += made.seconds
                pieces.timing.count += progress.frames(STAGES[event.stage], index)


def _share_time(progress: Progress, at: float) -> None:
    """Share the time since the last event among the pieces that were being made."""
    open_ = [piece for pieces in progress.pieces.values() for piece in pieces.open.values()]
    for piece in open_:
        piece.seconds += max(0.0, at - progress.since) / len(open_)
    progress.since = at


def _close(progress: Progress) -> None:
    for pieces in progress.pieces.values():
        pieces.open = {}


def _note_phase(progress: Progress) -> None:
    """Note how many pieces are made at once; the first stage with one of them is the phase."""
    first = {name: _batches(pieces) for name, pieces in progress.pieces.items() if pieces.open}
    progress.at_once = max(progress.at_once, *first.values(), 0)
    progress.phase = next(iter(first), progress.phase)


def _batches(pieces: Pieces) -> int:
    return sum(piece.row == 0 for piece in pieces.open.values())


def _end(progress: Progress, logged: Numbered) -> None:
    match logged.event:
        case events.Finished() as event:
            _finish_film(progress, event, logged.at)
            progress.status, progress.film = "finished", event
        case events.Cancelled():
            progress.status = "cancelled"
        case events.Failed(error=error):
            progress.status, progress.error = "failed", error
    progress.phase, progress.ended_at = "done", logged.at
    _close(progress)


def _finish_film(progress: Progress, event: events.Finished, at: float) -> None:
    """Note that the film itself is finished; logs of version 1 have no event of its own for it."""
    _share_time(progress, at)
    if not all(progress.of(FILM).names):
        opened = bool(progress.of(FILM).open)
        about = {"object": event.object, "sha256": event.sha256, "size": event.size}
        _make(progress, events.PieceFinished(stage=FILM.name, reused=not opened, **about))  # type: ignore[arg-type]
