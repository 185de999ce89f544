"""What a film that was made tells of its engine: how long its parts took, and how large they were.

Pure: a log in, figures out. What a film to come will cost is ``ui.estimate.cost``'s business.
"""

from collections.abc import Sequence
from typing import NamedTuple

from engine.film import events
from engine.film.events import Logged
from engine.film.progress import fold
from engine.film.recipe import Recipe


class Lesson(NamedTuple):
    """What one film that was made tells.

    Attributes:
        painting: seconds that a device spent on a keyframe; 0 if none was painted.
        drawing: seconds that a device spent on a frame of segments; 0 if none was drawn.
        keyframes, frames: that were made, not found in the store.
        seconds: from its start to its end; 0 if it was interrupted in between.
        memory: bytes that were needed at most; 0 if unknown.
        size: bytes of the film.
        picture, segment: bytes of a keyframe, and of a segment's frame; 0 if unknown.
        devices: that took part.
    """

    recipe: Recipe
    loading: float
    painting: float
    drawing: float
    joining: float
    keyframes: int
    frames: int
    seconds: float
    memory: int
    size: int
    picture: float
    segment: float
    devices: int = 1


def lesson(recipe: Recipe, log: Sequence[Logged]) -> Lesson | None:
    """Return what the log of a finished film tells; None if it tells nothing."""
    progress = fold(log)
    if progress.film is None:
        return None
    at = {type(logged.event): logged.at for logged in log}  # the last of each kind
    times = (at.get(kind) for kind in (events.Started, events.Planned, events.Assembling))
    started, planned, assembling = times
    whole = progress.attempt == 1 and not {events.Interrupted, events.Paused} & set(at)
    heard = [logged.event for logged in log]
    devices = max(1, progress.at_once)  # among which progress shares time out
    pictures = [one.size for one in heard if isinstance(one, events.KeyframeFinished)]
    pieces = [one.size for one in heard if isinstance(one, events.SegmentFinished)]
    return Lesson(
        recipe,
        loading=planned - started if whole and started and planned else 0.0,
        painting=progress.painting.mean(0.0) * devices,
        drawing=progress.drawing.mean(0.0) * devices,
        joining=progress.ended_at - assembling if assembling else 0.0,
        keyframes=progress.painting.count,
        frames=progress.drawing.count,
        seconds=progress.ended_at - started if whole and started else 0.0,
        memory=progress.film.memory,
        size=progress.film.size,
        picture=sum(pictures) / len(pictures) if pictures else 0.0,
        segment=sum(pieces) / recipe.frames,
        devices=devices,
    )
