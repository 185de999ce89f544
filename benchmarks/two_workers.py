"""How much faster do two workers make a film than one, and when is its first preview there?

    python -m benchmarks.two_workers [--devices cuda:0,cuda:1] # two devices, 16 keyframes
    python -m benchmarks.two_workers --mate [--device cuda:0]  # room for two, 8 keyframes x 8

Engines with one worker and with two make the same film in turn, each from an empty store, after
short films that have every worker load what it needs. Time counts from the plan to the film. That
all frames are equal is asserted. With ``--mate`` the second one draws while the first paints, and
keyframes stand at even distances; on a GPU models have the shapes of Stable Diffusion 1.5 and
SDXL with random weights. On a CPU each worker has one thread: that wants two idle cores.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.clients import Watcher, watching
from benchmarks.real_sizes import SD15, SDXL, pipeline
from engine import daemon
from engine.film.events import PieceFinished
from engine.film.progress import Progress, advance
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.models import OFFLINE, Model, catalogue
from engine.render.device import choose_device

PROMPTS = ("dawn over the sea, sun on the left", "a city at night under a starry sky")
SPREAD = {"fps": 12, "interpolation_factor": 4}  # five seconds have 16 keyframes
EVEN = {"fps": 8, "interpolation_factor": 8, "spacing": "even"}  # a keyframe each second
Way = dict[str, Any]  # options of an engine


class Made(NamedTuple):
    """A film's seconds, those until its first preview, with the model loaded or not, its parts."""

    seconds: float
    first: float
    cold: float
    parts: dict[str, str]


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", default="cpu,cpu", help="two of them (%(default)s)")
    parser.add_argument("--mate", action="store_true", help="two workers on one device")
    parser.add_argument("--device", default="auto", help="with --mate (%(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="per keyframe (%(default)s)")
    parser.add_argument("--turns", type=int, default=2, help="of each (%(default)s)")
    options = parser.parse_args()
    steps = {"num_inference_steps": options.steps}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.mate:
        one = {"device": options.device, "has_room": lambda _: False}
        two = {"device": options.device, "has_room": lambda _: True}
        for model, side in models(options.device):
            settings = {"model": model.name, "width": side, "height": side, **steps, **EVEN}
            recipe = a_film(7.125, **settings)
            compare(one, two, model, recipe, options.turns)
    else:
        one = {"device": options.devices.partition(",")[0]}
        two = {"device": options.devices}
        compare(one, two, catalogue()[OFFLINE], a_film(5.0, **steps, **SPREAD), options.turns)


def models(device: str) -> Iterator[tuple[Model, int]]:
    """Yield what to paint with, and the side in pixels: real shapes on a GPU."""
    chosen = choose_device(device)
    if chosen.kind != "cuda":
        yield catalogue()[OFFLINE], 256
        return
    for family in (SD15, SDXL):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, family)
            pipeline(family, chosen.name, chosen.torch_dtype).save_pretrained(folder)
            for side in (512, 1024):
                yield catalogue([str(folder)])[family], side


def a_film(seconds: float, **settings: Any) -> Recipe:
    """Return a recipe of two scenes."""
    scenes = [{"prompt": prompt, "seconds": seconds / 2} for prompt in PROMPTS]
    return parse_recipe({"scenes": scenes, **settings})


def compare(one: Way, two: Way, model: Model, recipe: Recipe, turns: int) -> None:
    """Have a film made in both ways in turn; print the ratios and the first previews."""
    made = []
    for _ in range(turns):
        pair = [
            asyncio.run(measured(way, workers, model, recipe))
            for workers, way in enumerate((one, two), 1)
        ]
        assert pair[0].parts == pair[1].parts, "two workers made other frames than one"
        made += pair
        alone, both = (film.seconds for film in pair)
        print(f"one worker {alone:.1f} s, two {both:.1f} s: {both / alone:.2f} of it", flush=True)
    pairs = zip(made[::2], made[1::2], strict=True)
    ratios = [both.seconds / alone.seconds for alone, both in pairs]
    first = statistics.median(film.first for film in made)
    cold = statistics.median(film.cold for film in made)
    print(
        f"{recipe.model} {recipe.width}: frames equal; {statistics.median(ratios):.2f} of one "
        f"worker's time, {min(ratios):.2f} at best; first preview {first:.2f} s after submit, "
        f"{cold:.1f} s if the model is not loaded yet"
    )


async def measured(way: Way, workers: int, model: Model, recipe: Recipe) -> Made:
    """Make a film with an engine of its own that has so many workers."""
    with tempfile.TemporaryDirectory() as data:
        options = daemon.Options(data=Path(data), models={model.name: model}, **way)
        async with daemon.running(options) as engine, watching(engine) as watcher:
            await ready(watcher, options.device.count(",") + 1)
            cold = await warm_up(watcher, recipe, workers)
            await watcher.film("measured", recipe, previews=True)
    heard = [message.event for message in watcher.events]
    painted = sum(isinstance(event, PieceFinished) and event.stage == "keyframe" for event in heard)
    print(f"{options.device}: {painted} keyframes", flush=True)
    parts = {event.object: event.sha256 for event in heard if hasattr(event, "sha256")}
    return Made(watcher.seconds(), watcher.first, cold, parts)


async def warm_up(watcher: Watcher, recipe: Recipe, workers: int) -> float:
    """Make short films until all workers were at it at once; return when the first was seen."""
    scenes = tuple(msgspec.structs.replace(scene, seconds=1.0) for scene in recipe.scenes)
    short = msgspec.structs.replace(recipe, scenes=scenes, num_inference_steps=2)
    cold = 0.0
    for seed in itertools.count(1):
        film = msgspec.structs.replace(short, seed=seed)
        await watcher.film(f"warming-up-{seed}", film, previews=True)
        cold = cold or watcher.first
        if most_at_once(watcher) >= workers:
            break
    return cold


def most_at_once(watcher: Watcher) -> int:
    """Return how many pieces of the film were made at once, at most."""
    progress, most = Progress(), 0
    for message in watcher.events:
        advance(progress, message)
        most = max(most, sum(len(pieces.open) for pieces in progress.pieces.values()))
    return most


async def ready(watcher: Watcher, workers: int) -> None:
    """Wait until all workers are."""
    while True:
        hello = await watcher.connection.describe()
        if hello.device.kind and len(hello.devices) == workers:
            return
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
