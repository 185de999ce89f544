"""What tests ask of events about pieces."""

from collections.abc import Iterable

from engine.film.events import (
    AnyEvent,
    PieceAdvanced,
    PieceFinished,
    PieceStarted,
)

VERBS = {PieceStarted: "started", PieceAdvanced: "advanced", PieceFinished: "finished"}


def kind_of(event: AnyEvent) -> str:
    """Return the name of an event's class; of one about a piece, such as "keyframe started"."""
    if isinstance(event, PieceStarted | PieceAdvanced | PieceFinished):
        return f"{event.stage} {VERBS[type(event)]}"
    return type(event).__name__


def finished(events: Iterable[AnyEvent], *stages: str) -> list[PieceFinished]:
    """Return the events of finished pieces, of some stages or of all."""
    found = (event for event in events if isinstance(event, PieceFinished))
    return [event for event in found if not stages or event.stage in stages]
