"""Estimates the time, the memory and the data that a film will need, with error bounds.

``Stage.cost`` says how the cost of a piece depends on the recipe. The speed of an engine, and the
error of the estimate, come from its past films (``ui.estimate.history``). Pure: recipes and
measurements in, figures out.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

from engine.film.recipe import Recipe
from engine.film.stages import SEGMENT, STAGES, Stage
from engine.models import Card, Defaults
from ui.estimate.history import Measurement, sharing
from ui.storage.pieces import is_mirrored

Works = Mapping[str, float]  # by the model's name

COLD_LOAD_SECONDS = 8.0  # to load a model, until that was measured
WARM_LOAD_SECONDS = 0.3  # if it is loaded already
COLD_LOAD_THRESHOLD = 1.5  # seconds; a load that takes longer is a cold one
GPU_TIME_SHARE = 0.08  # of the time on two cores, until a film was made
LARGE_NETWORK_TIME_SHARE = 0.007  # likewise, to paint with a large network
OFFLINE_WORK = 2.8  # of the offline model, as ``Card.work`` counts
LARGE_NETWORK_WORK = 20.0  # ``Card.work`` above which a network uses all of a GPU
FIRST_GUESS_ERROR = math.log(2.5)  # errors are differences of logarithms
PRIOR_ERROR = 0.35  # counted as the error of one more film
AGE_WEIGHT = 0.8  # of a film, relative to the next newer one
BASE_MEMORY, MEMORY_PER_PIXEL = 900_000_000, 4_000  # bytes
NO_WORKS: Works = MappingProxyType({})
EVENT_BYTES = 160  # on the wire


class Speed(NamedTuple):
    """Seconds that an engine needs to load the model, and for a unit of each stage."""

    loading: float
    each: Mapping[str, float]

    def whole(self, units: Mapping[str, int]) -> float:
        """Return the seconds for a film with these units of work, by the stage's name."""
        return self.loading + sum(count * self.each[name] for name, count in units.items())


class Estimate(NamedTuple):
    """What a film will probably need.

    Attributes:
        seconds, low, high: the expected time, and its bounds.
        memory: bytes of the device, at most.
        data: bytes of traffic with the engine; 0 for the one on this computer.
        films: number of past films that the estimate is based on.
        fetched: bytes of the model that the engine may have to download first; not in ``data``.
    """

    seconds: float
    low: float
    high: float
    memory: int
    data: int
    films: int
    fetched: int = 0


def unit_seconds(stage: Stage, recipe: Recipe, works: Works = NO_WORKS) -> float:
    """Return seconds per unit of work on two cores, with RIFE for in-betweens.

    Args:
        stage: of the work.
        recipe: of the film.
        works: the ``Card.work`` of models, by name; 0 or none counts as the offline model's.
    """
    return stage.cost(recipe, (works.get(recipe.model) or OFFLINE_WORK) / OFFLINE_WORK)


def speed(
    recipe: Recipe,
    measurements: Sequence[Measurement],
    *,
    cold: bool,
    gpu: bool = False,
    devices: int = 1,
    works: Works = NO_WORKS,
) -> Speed:
    """Return the expected speed of an engine with a recipe.

    Args:
        recipe: of the film.
        measurements: of the engine's past films, the newest first.
        cold: whether the engine has loaded no model yet.
        gpu: whether the engine has a GPU.
        devices: that share the work.
        works: as in ``unit_seconds``.
    """
    loads = [past.loading for past in measurements if past.loading]
    slow = [load for load in loads if load > COLD_LOAD_THRESHOLD]
    fast = [load for load in loads if load <= COLD_LOAD_THRESHOLD]
    each = {
        name: unit_seconds(stage, recipe, works)
        * _ratio(stage, recipe, measurements, gpu, works)
        / sharing(stage, devices)
        for name, stage in STAGES.items()
    }
    return Speed(
        _median(slow, COLD_LOAD_SECONDS) if cold else _median(fast, WARM_LOAD_SECONDS), each
    )


def expected_error(
    measurements: Sequence[Measurement], *, gpu: bool = False, works: Works = NO_WORKS
) -> float:
    """Return the expected error of an estimate, as a difference of logarithms.

    It is that of the past films, each estimated from those before it, and of ``PRIOR_ERROR``.
    """
    if not measurements:
        return FIRST_GUESS_ERROR
    errors = []
    for index, past in enumerate(measurements[:-1]):
        if past.seconds > 0:
            cold = past.loading > COLD_LOAD_THRESHOLD
            before = measurements[index + 1 :]
            expected = speed(
                past.recipe, before, cold=cold, gpu=gpu, devices=past.devices, works=works
            )
            errors.append(math.log(past.seconds / expected.whole(past.units)))
    return math.sqrt((PRIOR_ERROR**2 + sum(error**2 for error in errors)) / (1 + len(errors)))


def price(
    recipe: Recipe,
    measurements: Sequence[Measurement],
    *,
    units: Mapping[str, int],
    cold: bool,
    gpu: bool = False,
    devices: int = 1,
    card: Card | None = None,
    works: Works = NO_WORKS,
    far: bool = False,
    previews: int = 0,
    mirror: int = 0,
) -> Estimate:
    """Return the estimate for a film.

    Args:
        recipe: of the film.
        measurements: of the engine's past films, the newest first.
        units: of work to do, by the stage's name.
        cold: whether the engine has loaded no model yet.
        gpu: whether the engine has a GPU.
        devices: that share the work.
        card: of the film's model.
        works: as in ``unit_seconds``.
        far: whether the engine is on another computer.
        previews: limit for the bytes of previews.
        mirror: limit for the bytes of finished pieces that are downloaded meanwhile.
    """
    parts = speed(recipe, measurements, cold=cold, gpu=gpu, devices=devices, works=works)
    seconds = parts.whole(units)
    factor = math.exp(expected_error(measurements, gpu=gpu, works=works))
    weights = card.download if card else 0
    return Estimate(
        seconds,
        low=seconds / factor,
        high=seconds * factor,
        memory=_memory_bytes(recipe, measurements, card),
        data=_data_bytes(recipe, measurements, units, previews, mirror) if far else 0,
        films=len(measurements),
        fetched=0 if any(past.recipe.model == recipe.model for past in measurements) else weights,
    )


def _ratio(
    stage: Stage, recipe: Recipe, measurements: Sequence[Measurement], gpu: bool, works: Works
) -> float:
    """Return the ratio of measured to expected seconds: the median over past films.

    Recent films have more weight, and so have films whose pieces cost about as much: for them, an
    error of ``Stage.cost`` matters less.
    """
    cost = unit_seconds(stage, recipe, works)
    if not cost:  # the stage is too quick to count
        return 1.0
    weighted = []
    for age, past in enumerate(measurements):
        if seconds := past.each.get(stage.name):
            past_cost = unit_seconds(stage, past.recipe, works)
            similarity = math.exp(-2 * abs(math.log(past_cost / cost)))
            model_weight = 1.0 if past.recipe.model == recipe.model else 0.05
            weighted.append((seconds / past_cost, AGE_WEIGHT**age * similarity * model_weight))
    return _weighted_median(weighted) if weighted else _default_ratio(stage, recipe, gpu, works)


def _default_ratio(stage: Stage, recipe: Recipe, gpu: bool, works: Works) -> float:
    """Return the ratio for an engine without measurements; stages of the film use no GPU."""
    if not gpu or stage.of == "film":
        return 1.0
    large = stage.paints and works.get(recipe.model, 0) > LARGE_NETWORK_WORK
    return LARGE_NETWORK_TIME_SHARE if large else GPU_TIME_SHARE


def _weighted_median(weighted: list[tuple[float, float]]) -> float:
    """Return the first value up to which the sum of weights is at least half of their total."""
    ordered = sorted(weighted)
    half, total = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        total += weight
        if total >= half:
            return value
    return ordered[-1][0]


def _memory_bytes(recipe: Recipe, measurements: Sequence[Measurement], card: Card | None) -> int:
    """Return the memory of the past film with the nearest size, adjusted to this one.

    Without one, it is computed from the model's card.
    """
    pixels = _area(recipe)
    known = [past for past in measurements if past.memory and past.recipe.model == recipe.model]
    if not known:
        stated = card.memory - MEMORY_PER_PIXEL * _area(card.defaults) if card else 0
        return max(BASE_MEMORY, stated) + MEMORY_PER_PIXEL * pixels
    nearest = min(known, key=lambda past: abs(past.recipe.width * past.recipe.height - pixels))
    past_pixels = _area(nearest.recipe)
    return max(BASE_MEMORY // 4, nearest.memory + MEMORY_PER_PIXEL * (pixels - past_pixels))


def _data_bytes(
    recipe: Recipe,
    measurements: Sequence[Measurement],
    units: Mapping[str, int],
    previews: int,
    mirror: int,
) -> int:
    """Return the bytes of the film, its events, its previews and the pieces that are mirrored."""
    films = [past for past in measurements if past.size]
    sizes = [past.size / past.recipe.frames / _pixels(past.recipe, SEGMENT) for past in films]
    film = recipe.frames * _pixels(recipe, SEGMENT) * _median(sizes, SEGMENT.pixel_bytes)
    pieces = reported = 0.0
    for name, count in units.items():
        stage = STAGES[name]
        made = [
            past.sizes[name] / _pixels(past.recipe, stage) for past in films if past.sizes.get(name)
        ]
        pieces += (
            count * _pixels(recipe, stage) * _median(made, stage.pixel_bytes) * is_mirrored(stage)
        )
        reported += count * (stage.previews(recipe, 1) + 1) * EVENT_BYTES
    return round(film + min(mirror, pieces) + previews + reported)


def _area(of: Recipe | Defaults) -> int:
    """Return the pixels of a picture."""
    return of.width * of.height


def _pixels(recipe: Recipe, stage: Stage) -> int:
    """Return the pixels of a picture that a stage makes."""
    return _area(recipe) if stage.paints else math.prod(recipe.film_size)


def _median(values: Sequence[float], unknown: float) -> float:
    return median(values) if values else unknown
