"""How far off is the price that stands before the button, film after film on a new engine?

    python -m benchmarks.price [--films 10] [--seed 1] [--logs FILE]

Makes small films of random length, size, steps and pace with the offline model on an engine with
an empty store. Before each one it predicts the time from what the films before it have taught,
then prints that beside the truth, with the load of the machine, since other work spoils both.
``--logs`` keeps the recipes and their logs, one film a line.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.clients import Watcher, watching
from engine import daemon
from engine.film.events import Logged
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.film.stages import KEYFRAME, SEGMENT
from engine.models import catalogue
from ui.estimate.cost import Estimate, price
from ui.estimate.history import Measurement, measure, most_units
from ui.storage.event_log import TRANSIENT_KINDS

PLACES = ("the sea", "snowy mountains", "a still lake", "a pine forest", "sand dunes", "a city")
TIMES = ("dawn", "noon", "sunset", "dusk", "night")
SIZES = ((256, 256), (344, 192), (192, 344))
TAUGHT = 5  # films after which the price should hold


class Film(msgspec.Struct):
    """A film that was made: its recipe, and its log without what passes."""

    recipe: Recipe
    log: list[Logged]


def recipes(count: int, seed: int) -> Iterator[Recipe]:
    """Yield small films that have little in common."""
    dice = random.Random(seed)
    for _ in range(count):
        scenes = [
            {
                "prompt": f"{dice.choice(TIMES)} over {dice.choice(PLACES)}",
                "seconds": round(dice.uniform(0.5, 2), 1),
            }
            for _ in range(dice.randint(1, 2))
        ]
        width, height = dice.choice(SIZES)
        yield parse_recipe(
            {
                "scenes": scenes,
                "seed": dice.randrange(2**32),
                "width": width,
                "height": height,
                "num_inference_steps": dice.randint(8, 24),
                "fps": dice.choice((8, 12, 16, 24)),
                "interpolation_factor": dice.choice((4, 6, 8, 12)),
            }
        )


def predict(recipe: Recipe, lessons: list[Measurement]) -> Estimate:
    """Return the price of a film of which nothing was made before."""
    return price(recipe, lessons[::-1], units=most_units(recipe), cold=not lessons)


async def make(watcher: Watcher, recipe: Recipe, job: str) -> Film:
    """Have a film made."""
    await watcher.film(job, recipe)
    heard = (Logged(seq=one.seq, at=one.at, event=one.event) for one in watcher.events)
    return Film(recipe, [one for one in heard if _lasts(one)])


def _lasts(logged: Logged) -> bool:
    return logged.event.__struct_config__.tag not in TRANSIENT_KINDS


async def run(count: int, seed: int, logs: Path | None) -> None:
    """Make the films and print how far off their prices were."""
    lessons: list[Measurement] = []
    off: list[float] = []
    inside = 0
    with tempfile.TemporaryDirectory() as folder:
        options = daemon.Options(data=Path(folder), models=catalogue())
        async with daemon.running(options) as engine, watching(engine) as watcher:
            for number, recipe in enumerate(recipes(count, seed), 1):
                expected, load = predict(recipe, lessons), os.getloadavg()[0]
                film = await make(watcher, recipe, f"film-{number:04d}")
                told = measure(film.recipe, film.log)
                assert told
                assert told.seconds
                lessons.append(told)
                off.append(expected.seconds / told.seconds - 1)
                inside += expected.low <= told.seconds <= expected.high
                print(_line(number, recipe, expected, told, off[-1], load), flush=True)
                if logs:
                    with logs.open("ab") as file:
                        file.write(msgspec.json.encode(film) + b"\n")
    _summary(off, inside)


def _line(
    number: int, recipe: Recipe, expected: Estimate, told: Measurement, off: float, load: float
) -> str:
    return (
        f"{number:3}: {recipe.width}x{recipe.height}, {told.units[KEYFRAME.name]} keyframes of "
        f"{recipe.num_inference_steps} steps, {told.units[SEGMENT.name]} frames: expected "
        f"{expected.seconds:5.1f} s ({expected.low:.1f} to {expected.high:.1f}), "
        f"took {told.seconds:5.1f} s, {off:+.0%}; load {load:.0f}; {told.memory / 1e9:.2f} GB"
    )


def _summary(off: list[float], inside: int) -> None:
    later = [abs(each) for each in off[TAUGHT:]]
    print(f"{inside} of {len(off)} within their bars")
    if later:
        within = sum(each <= 0.25 for each in later)
        print(
            f"after {TAUGHT} films: {within} of {len(later)} within 25 %, "
            f"median {statistics.median(later):.0%}, worst {max(later):.0%} off"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--films", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path)
    asked = parser.parse_args()
    asyncio.run(run(asked.films, asked.seed, asked.logs))
