"""What the past films on an engine tell of the next one: read from the library's database.

It knows rows; ``ui.estimate.history`` knows what to make of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from engine.film import events
from engine.film.events import Logged
from engine.film.plan import Plan, grown, most_keyframes
from engine.film.progress import fold
from engine.film.recipe import Recipe
from ui.storage.event_log import EventLog
from ui.storage.tables import EventRow, Film, Piece


class Measurement(NamedTuple):
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


def lesson(recipe: Recipe, log: Sequence[Logged]) -> Measurement | None:
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
    return Measurement(
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


FILMS = 12  # that are looked at
PLANNABLE = 400  # keyframes up to which it is worth while to ask what is made already


class FilmHistory:
    """The films of one owner on one engine; safe to use from any thread."""

    def __init__(self, database: sa.Engine, owner: str, engine: str) -> None:
        self._database, self._record = database, EventLog(database)
        self._mine = sa.and_(Film.owner == owner, Film.engine == engine)

    def lessons(self) -> list[Measurement]:
        """Return what the newest films tell, the newest first."""
        done = sa.select(Film).where(self._mine, Film.status == "finished")
        newest = done.order_by(Film.finished_at.desc()).limit(FILMS)
        with Session(self._database) as session:
            films = list(session.scalars(newest))
        found = (lesson(film.recipe, self._record.of(film.job)) for film in films)
        return [one for one in found if one]

    def missing(self, recipe: Recipe) -> tuple[int, int]:
        """Return how many keyframes and frames of a film were not made before, at most.

        Where keyframes stand is known as far as the distances of earlier films' tell. The engine
        may have thrown some away since then; then the film takes longer.
        """
        most = most_keyframes(recipe)
        with Session(self._database) as session:
            planned = self._planned(session, recipe.model)
            if planned is None or most > PLANNABLE:
                return most, recipe.frames
            distances = self._distances(session)
            names = {"model": planned.model, "interpolator": planned.interpolator}
            plan = grown(Plan(recipe, batch=planned.batch, **names), distances)
            query = sa.select(Piece.object).join(Film, Film.job == Piece.job)
            made = set(session.scalars(query.where(self._mine, Piece.object.in_(plan.names))))
        keyframes = sum(node.name not in made for node in plan.keyframes) + plan.more_keyframes
        drawn = sum(node.length for node in plan.segments if node.name in made)
        return keyframes, recipe.frames - drawn

    def _distances(self, session: Session) -> dict[tuple[str, str], float]:
        """Return what the newest films tell of their keyframes' distances, by name."""
        done = sa.select(Film.job).where(self._mine).order_by(Film.finished_at.desc())
        found: dict[tuple[str, str], float] = {}
        for job in session.scalars(done.limit(FILMS)):
            plan = fold(self._record.of(job)).plan
            if plan:
                names = plan.keyframes
                found |= {(names[a], names[b]): distance for a, b, distance in plan.gaps}
        return found

    def _planned(self, session: Session, model: str) -> events.Planned | None:
        """Return the newest plan of a film that a model painted."""
        query = (
            sa.select(EventRow.event_json).join(Film, Film.job == EventRow.job).where(self._mine)
        )
        query = query.where(EventRow.kind == "planned").order_by(EventRow.at.desc()).limit(FILMS)
        plans = (msgspec.json.decode(text, type=events.Planned) for text in session.scalars(query))
        return next((plan for plan in plans if plan.model.rpartition("@")[0] == model), None)
