"""Reads measurements of the past films on an engine from the library's database.

``ui.estimate.cost`` makes an estimate of them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from engine.film import events
from engine.film.events import Logged
from engine.film.plan import Plan, grown, most_keyframes
from engine.film.progress import Progress, fold
from engine.film.recipe import Recipe
from engine.film.stages import STAGES, Stage
from engine.models import Card
from ui.storage.event_log import EventLog
from ui.storage.tables import EventRow, Film, Piece


class Measurement(NamedTuple):
    """What was measured on one film.

    Attributes:
        loading: seconds until the model was loaded; 0 if unknown.
        each: seconds of a device per unit of work, by the stage's name; 0 without a unit.
        units: that were made, not reused, by the stage's name.
        sizes: bytes of a unit, by the stage's name; 0 if unknown.
        seconds: from its start to its end; 0 if it was interrupted.
        memory: peak in bytes; 0 if unknown.
        size: bytes of the film.
        devices: number of devices that made it.
    """

    recipe: Recipe
    loading: float
    each: Mapping[str, float]
    units: Mapping[str, int]
    sizes: Mapping[str, float]
    seconds: float
    memory: int
    size: int
    devices: int = 1


def measure(recipe: Recipe, log: Sequence[Logged]) -> Measurement | None:
    """Return the measurement of a finished film from its log; None if it is not finished."""
    progress = fold(log)
    if progress.film is None:
        return None
    at = {type(logged.event): logged.at for logged in log}  # the last of each kind
    started, planned = at.get(events.Started), at.get(events.Planned)
    uninterrupted = progress.attempt == 1 and not {events.Interrupted, events.Paused} & set(at)
    timings = {name: progress.of(stage).timing for name, stage in STAGES.items()}
    return Measurement(
        recipe,
        loading=planned - started if uninterrupted and started and planned else 0.0,
        each={
            name: timing.mean(0.0) * sharing(STAGES[name], progress.at_once)
            for name, timing in timings.items()
        },
        units={name: timing.count for name, timing in timings.items()},
        sizes={name: _unit_bytes(progress, stage, log) for name, stage in STAGES.items()},
        seconds=progress.ended_at - started if uninterrupted and started else 0.0,
        memory=progress.film.memory,
        size=progress.film.size,
        devices=max(1, progress.at_once),
    )


def sharing(stage: Stage, devices: int) -> int:
    """Return how many devices share the work of a stage; stages of the film use one."""
    return max(1, devices) if stage.of != "film" else 1


def _unit_bytes(progress: Progress, stage: Stage, log: Sequence[Logged]) -> float:
    finished = [one.event for one in log if isinstance(one.event, events.PieceFinished)]
    sizes = [one.size for one in finished if one.stage == stage.name]
    return sum(sizes) / progress.units(stage) if sizes else 0.0


MAX_FILMS = 12  # that are read
MAX_PLANNED_KEYFRAMES = 400  # for films with more, ``missing`` does not look at finished pieces


class FilmHistory:
    """The films of one owner on one engine; safe to use from any thread."""

    def __init__(self, database: sa.Engine, owner: str, engine: str) -> None:
        self._database, self._event_log = database, EventLog(database)
        self._mine = sa.and_(Film.owner == owner, Film.engine == engine)

    def measurements(self) -> list[Measurement]:
        """Return what was measured on the newest films, the newest first."""
        done = sa.select(Film).where(self._mine, Film.status == "finished")
        newest = done.order_by(Film.finished_at.desc()).limit(MAX_FILMS)
        with Session(self._database) as session:
            films = list(session.scalars(newest))
        found = (measure(film.recipe, self._event_log.of(film.job)) for film in films)
        return [one for one in found if one]

    def missing(self, recipe: Recipe, card: Card | None = None) -> dict[str, int]:
        """Return the maximum of units that a film still needs, by the stage's name.

        ``card``: of the recipe's model, which tells how it reads prompts.
        The times of keyframes are known if an earlier film had the same distances. The engine
        may have deleted pieces since then; then the film takes longer.
        """
        most = most_keyframes(recipe)
        with Session(self._database) as session:
            planned = self._planned(session, recipe.model)
            if planned is None or most > MAX_PLANNED_KEYFRAMES:
                return most_units(recipe)
            distances = self._distances(session)
            plan = grown(
                Plan(
                    recipe,
                    model=planned.model,
                    interpolator=planned.interpolator,
                    upscaler=planned.upscaler,
                    batch=planned.batch,
                    vocabulary=card.vocabulary if card else None,
                    weighted=bool(card and card.prompt_weights),
                ),
                distances,
            )
            query = sa.select(Piece.object).join(Film, Film.job == Piece.job)
            made = set(session.scalars(query.where(self._mine, Piece.object.in_(plan.names))))
        return {stage.name: _missing_units(plan, stage, made) for stage in plan.stages}

    def _distances(self, session: Session) -> dict[tuple[str, str], float]:
        """Return the distances between keyframes of the newest films, by their names."""
        done = sa.select(Film.job).where(self._mine).order_by(Film.finished_at.desc())
        found: dict[tuple[str, str], float] = {}
        for job in session.scalars(done.limit(MAX_FILMS)):
            plan = fold(self._event_log.of(job)).plan
            if plan:
                names = plan.keyframes
                found |= {(names[a], names[b]): distance for a, b, distance in plan.gaps}
        return found

    def _planned(self, session: Session, model: str) -> events.Planned | None:
        """Return the newest plan of a film that this model painted."""
        query = (
            sa.select(EventRow.event_json).join(Film, Film.job == EventRow.job).where(self._mine)
        )
        query = (
            query.where(EventRow.kind == "planned").order_by(EventRow.at.desc()).limit(MAX_FILMS)
        )
        plans = (msgspec.json.decode(text, type=events.Planned) for text in session.scalars(query))
        return next((plan for plan in plans if plan.model.rpartition("@")[0] == model), None)


def most_units(recipe: Recipe) -> dict[str, int]:
    """Return the maximum of units of a film without finished pieces, by the stage's name."""
    pieces = {"keyframe": most_keyframes(recipe), "film": 1}
    return {
        name: recipe.frames if stage.per_frame else pieces.get(stage.of, recipe.frames)
        for name, stage in STAGES.items()
        if stage.wanted(recipe)
    }


def _missing_units(plan: Plan, stage: Stage, made: set[str]) -> int:
    """Return the units of a stage that are not in ``made``."""
    nodes = plan.nodes(stage)
    if not stage.per_frame:
        return sum(node.name not in made for node in nodes) + plan.more(stage)
    made_segments = [
        segment for segment, node in zip(plan.segments, nodes, strict=True) if node.name in made
    ]
    return plan.recipe.frames - sum(segment.length for segment in made_segments)
