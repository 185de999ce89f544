"""What a film will cost before it is made: time, memory and data, each with honest error bars.

How the cost of a piece grows with a recipe is known beforehand (``Stage.cost``); how fast an
engine is, and how sure one can be of that, its past films tell (``ui.estimate.history``). Pure:
recipes and lessons in, figures out.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

from engine.film.recipe import Recipe
from engine.film.stages import SEGMENT, STAGES, Stage
from engine.models import Card
from ui.estimate.history import Measurement, sharing
from ui.storage.pieces import is_mirrored

Works = Mapping[str, float]  # by the model's name

COLD = 8.0  # seconds in which a model is loaded, before that was seen
WARM = 0.3  # seconds in which one is found to be loaded already
LOADED = 1.5  # seconds that tell the one from the other
GPU = 0.08  # time on a GPU as a share of that on two cores, before a film was made there
LARGE_GPU = 0.007  # likewise, of painting with a network that keeps all of a GPU busy
OFFLINE_WORK = 2.8  # of the offline model, as ``Card.work`` counts
LARGE = 20.0  # work above which a network keeps a GPU busy
DOUBT = math.log(2.5)  # of a first guess; errors are differences of logarithms
CAUTION = 0.35  # error that one film more is expected to have, counted as one observation
RECENT = 0.8  # weight of a film against that of the one after it
BASE, PER_PIXEL = 900_000_000, 4_000  # bytes of memory
NO_WORKS: Works = MappingProxyType({})
EVENT_BYTES = 160  # on the wire


class Speed(NamedTuple):
    """Seconds that the parts of a film take on an engine; ``each``: of a unit, by stage."""

    loading: float
    each: Mapping[str, float]

    def whole(self, units: Mapping[str, int]) -> float:
        """Return the seconds of a film of so many units of work, by stage."""
        return self.loading + sum(count * self.each[name] for name, count in units.items())


class Estimate(NamedTuple):
    """What a film will probably cost.

    Attributes:
        seconds, low, high: expected, and the bounds between which it should lie.
        memory: bytes of the device, at most.
        data: bytes that cross the way to the engine; 0 for the one on this computer.
        films: past films that it was learnt from.
        fetched: bytes of the model that the engine may have to fetch first, in no figure here.
    """

    seconds: float
    low: float
    high: float
    memory: int
    data: int
    films: int
    fetched: int = 0


def unit_seconds(stage: Stage, recipe: Recipe, works: Works = NO_WORKS) -> float:
    """Return seconds per unit of work on two cores, in-betweens by the offline network.

    ``works``: the ``Card.work`` of models by name; others count as the offline one.
    """
    return stage.cost(recipe, (works.get(recipe.model) or OFFLINE_WORK) / OFFLINE_WORK)


def speed(
    recipe: Recipe,
    lessons: Sequence[Measurement],
    *,
    cold: bool,
    gpu: bool = False,
    devices: int = 1,
    works: Works = NO_WORKS,
) -> Speed:
    """Return how fast an engine will be with a recipe.

    Args:
        recipe: of the film to come.
        lessons: of its past films, the newest first.
        cold: whether it has loaded no model yet.
        gpu: whether it has a GPU.
        devices: that share the work.
        works: as ``unit_seconds`` takes them.
    """
    loads = [past.loading for past in lessons if past.loading]
    slow = [load for load in loads if load > LOADED]
    fast = [load for load in loads if load <= LOADED]
    each = {
        name: unit_seconds(stage, recipe, works)
        * _ratio(stage, recipe, lessons, gpu, works)
        / sharing(stage, devices)
        for name, stage in STAGES.items()
    }
    return Speed(_middle(slow, COLD) if cold else _middle(fast, WARM), each)


def doubt(lessons: Sequence[Measurement], *, gpu: bool = False, works: Works = NO_WORKS) -> float:
    """Return how far off a prediction may be, as a difference of logarithms.

    Each of the films is predicted from those before it; one error more is added out of caution.
    """
    if not lessons:
        return DOUBT
    errors = []
    for index, past in enumerate(lessons[:-1]):
        if past.seconds > 0:
            cold = past.loading > LOADED
            before = lessons[index + 1 :]
            expected = speed(
                past.recipe, before, cold=cold, gpu=gpu, devices=past.devices, works=works
            )
            errors.append(math.log(past.seconds / expected.whole(past.units)))
    return math.sqrt((CAUTION**2 + sum(error**2 for error in errors)) / (1 + len(errors)))


def price(
    recipe: Recipe,
    lessons: Sequence[Measurement],
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
    """Return what a film will cost.

    Args:
        recipe: of the film.
        lessons: of the engine's past films, the newest first.
        units: of work that must be done, by the stage's name.
        cold: whether the engine has loaded no model yet.
        gpu: whether it has a GPU.
        devices: that share the work.
        card: of the film's model.
        works: as ``unit_seconds`` takes them.
        far: whether its data must come here over a network.
        previews: bytes that previews may take.
        mirror: bytes of finished pieces that may be brought here.
    """
    parts = speed(recipe, lessons, cold=cold, gpu=gpu, devices=devices, works=works)
    seconds = parts.whole(units)
    away = math.exp(doubt(lessons, gpu=gpu, works=works))
    weights = card.download if card else 0
    return Estimate(
        seconds,
        low=seconds / away,
        high=seconds * away,
        memory=_memory(recipe, lessons, card),
        data=_data(recipe, lessons, units, previews, mirror) if far else 0,
        films=len(lessons),
        fetched=0 if any(past.recipe.model == recipe.model for past in lessons) else weights,
    )


def _ratio(
    stage: Stage, recipe: Recipe, lessons: Sequence[Measurement], gpu: bool, works: Works
) -> float:
    """Return seconds seen per second expected: the median, near and recent films weighing more.

    The closer a film's pieces were to these in cost, the less it matters how costs really grow.
    """
    here = unit_seconds(stage, recipe, works)
    weighed = []
    for age, past in enumerate(lessons):
        if seconds := past.each.get(stage.name):
            there = unit_seconds(stage, past.recipe, works)
            near = math.exp(-2 * abs(math.log(there / here)))
            same = 1.0 if past.recipe.model == recipe.model else 0.05
            weighed.append((seconds / there, RECENT**age * near * same))
    return _weighted_median(weighed) if weighed else _unknown(stage, recipe, gpu, works)


def _unknown(stage: Stage, recipe: Recipe, gpu: bool, works: Works) -> float:
    """Return that ratio before a film was made on the engine; joining films needs no GPU."""
    if not gpu or stage.of == "film":
        return 1.0
    return LARGE_GPU if stage.paints and works.get(recipe.model, 0) > LARGE else GPU


def _weighted_median(weighed: list[tuple[float, float]]) -> float:
    """Return the value on either side of which lies half of the weight."""
    ordered = sorted(weighed)
    half, total = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        total += weight
        if total >= half:
            return value
    return ordered[-1][0]


def _memory(recipe: Recipe, lessons: Sequence[Measurement], card: Card | None) -> int:
    """Return the memory of the film that was closest in size, adjusted to this one.

    Before there was one, what the model's card says counts.
    """
    pixels = recipe.width * recipe.height
    known = [past for past in lessons if past.memory and past.recipe.model == recipe.model]
    if not known:
        said = card.memory - PER_PIXEL * card.defaults.width * card.defaults.height if card else 0
        return max(BASE, said) + PER_PIXEL * pixels
    nearest = min(known, key=lambda past: abs(past.recipe.width * past.recipe.height - pixels))
    there = nearest.recipe.width * nearest.recipe.height
    return max(BASE // 4, nearest.memory + PER_PIXEL * (pixels - there))


def _data(
    recipe: Recipe,
    lessons: Sequence[Measurement],
    units: Mapping[str, int],
    previews: int,
    mirror: int,
) -> int:
    """Return the bytes of the film, its events, its previews and the pieces that are mirrored."""
    pixels, films = recipe.width * recipe.height, [past for past in lessons if past.size]
    sizes = [past.size / past.recipe.frames / _pixels(past) for past in films]
    film = recipe.frames * pixels * _middle(sizes, SEGMENT.pixel_bytes)
    pieces = reported = 0.0
    for name, count in units.items():
        stage = STAGES[name]
        made = [past.sizes[name] / _pixels(past) for past in films if past.sizes.get(name)]
        pieces += count * pixels * _middle(made, stage.pixel_bytes) * is_mirrored(stage)
        reported += count * (stage.previews(recipe, 1) + 1) * EVENT_BYTES
    return round(film + min(mirror, pieces) + previews + reported)


def _pixels(past: Measurement) -> int:
    return past.recipe.width * past.recipe.height


def _middle(values: Sequence[float], unknown: float) -> float:
    return median(values) if values else unknown
