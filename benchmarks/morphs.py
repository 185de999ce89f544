"""The same films made in four ways, by running engines with the offline model.

``adaptive``: keyframes where the picture changes. ``even``: as many at most, on the beat.
``fade``: those of ``even``, cross-faded instead of moved into each other. ``walk``: every frame
painted by diffusion, as notebooks do. Each way has an engine and a store of its own, and the ways
take turns, so that none profits from another's pictures or from a quieter minute.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import cv2
import msgspec

from benchmarks.clients import Watcher, watching
from engine import daemon
from engine.film.events import Finished, Scores
from engine.film.progress import fold
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from engine.render.rife.interpolator import fade
from engine.render.video import encode, smoothness
from engine.render.video.ffmpeg import Frame

WAYS = ("adaptive", "even", "fade", "walk")
SECONDS, FPS, FACTOR, STEPS = 3.0, 16, 8, 8  # 48 frames; 7 keyframes at most

PROMPTS: tuple[tuple[str, ...], ...] = (
    ("dawn over the sea, sun on the left", "a city at night, the moon on the right"),
    ("a still lake at noon, clouds", "a still lake at sunset, clouds"),
    ("snowy mountains at dusk, moon in the centre", "sand dunes at noon, sun in the centre"),
    ("a pine forest at dawn, birds", "a pine forest at night, northern lights"),
    ("the ocean at sunset, sun on the right", "the ocean at night, moon on the left, stars"),
    ("a city skyline at dawn", "a city skyline at dusk, stars"),
    ("a desert at night, stars", "snowy mountains at dawn, snow"),
    ("a lake at dusk, moon on the left", "a forest at noon, sun on the right"),
    ("mountains at sunset, birds", "the sea at dawn, birds"),
    ("a forest in falling snow at dawn", "a city in falling snow at night"),
    ("sand dunes in the golden hour, sun on the left", "sand dunes at midnight, moon on the left"),
    ("a quiet sea at noon, clouds", "a mountain lake at noon, clouds"),
    ("the alps at midday", "the alps at twilight, stars", "the alps at night, aurora"),
    ("dawn over the sea", "a forest at noon", "a city at night"),
    ("a lake at dawn, sun on the right", "a lake at sunset", "a desert at dusk"),
    ("a forest at dusk", "mountains at dusk", "the sea at dusk"),
    ("a city at sunset, sun in the centre", "the ocean at dusk", "a lake at night, stars"),
    ("a skyline at night under a starry sky, the moon on the left",),
    ("a mountain lake at dawn, drifting clouds",),
    ("the sea at sunset, flying birds",),
)


class Made(msgspec.Struct, frozen=True):
    """What a film took and how it came out.

    Attributes:
        seconds: from the plan to the film.
        keyframes: painted pictures.
    """

    scores: Scores
    seconds: float
    keyframes: int


def recipes() -> list[Recipe]:
    """Return the twenty recipes."""
    return [
        parse_recipe(
            {
                "scenes": [{"prompt": one, "seconds": SECONDS / len(prompts)} for one in prompts],
                "seed": 100 * number,
                "fps": FPS,
                "interpolation_factor": FACTOR,
                "num_inference_steps": STEPS,
            }
        )
        for number, prompts in enumerate(PROMPTS)
    ]


def in_way(recipe: Recipe, way: str) -> Recipe:
    """Return the recipe of a film that is made in one of the ways."""
    spacing = "adaptive" if way == "adaptive" else "even"
    factor = 1 if way == "walk" else recipe.interpolation_factor
    return msgspec.structs.replace(recipe, spacing=spacing, interpolation_factor=factor)


@asynccontextmanager
async def engines(folder: Path, ways: Sequence[str]) -> AsyncIterator[dict[str, Watcher]]:
    """Run an engine for each way, and connect to it."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for way in ways:
            options = daemon.Options(data=folder / way, models=catalogue())
            engine = await stack.enter_async_context(daemon.running(options))
            found[way] = await stack.enter_async_context(watching(engine))
        yield found


async def make(watcher: Watcher, recipe: Recipe, job: str, target: Path) -> Made:
    """Make a film into ``target``; its keyframes go beside it."""
    await watcher.film(job, recipe, previews=True)
    film = watcher.events[-1].event
    assert isinstance(film, Finished), film
    assert film.scores
    progress = fold(watcher.events)
    await watcher.connection.fetch(film.object, target)
    for index, name in enumerate(progress.keyframes):
        await watcher.connection.fetch(name, keyframe(target, index))
    return Made(film.scores, watcher.seconds(), len(progress.keyframes))


def make_faded(even: Made, film: Path, target: Path) -> Made:
    """Make the film of an even film's keyframes that only fades; the time is painting's alone."""
    pictures = [_read(keyframe(film, index)) for index in range(even.keyframes)]
    height, width = pictures[0].shape[:2]
    encode.encode_segment(target, _faded(pictures), fps=FPS, width=width, height=height)
    return Made(smoothness.measure(target), even.seconds, even.keyframes)


def _faded(pictures: Sequence[Frame]) -> Iterator[Frame]:
    """Yield the frames between pictures that stand ``FACTOR`` apart, the last at the end."""
    last = round(SECONDS * FPS) - 1
    beats = [*range(0, last, FACTOR), last]
    for (start, end), pair in zip(pairwise(beats), pairwise(pictures), strict=True):
        yield from (fade(*pair, step / (end - start)) for step in range(end - start))
    yield pictures[-1]


def _read(path: Path) -> Frame:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def keyframe(film: Path, index: int) -> Path:
    """Return the file of a film's keyframe."""
    return film.with_name(f"{film.stem}-{index:03d}.png")
