"""Keyframes at once against one by one, and what a film paints in vain to keep batches full.

    python -m benchmarks.batches [--batch 4]          # the offline model, and both families' shapes
    python -m benchmarks.batches --film [--batch 4]   # rows of whole films by the offline model

Both ways go through the painter, as the worker has it, and take turns; ratios are medians over
rounds. Families have random weights (``benchmarks.real_sizes``): on a GPU in their real shapes, on
a CPU with widths a tenth as large. A keyframe must come out the same whatever is beside it; on a
CPU in float32 that is asserted bit for bit, elsewhere told.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from benchmarks.clients import Watcher, watching
from benchmarks.painting import NEGATIVE, SHRINK, node, prompts
from benchmarks.real_sizes import SD15, SDXL, pipeline
from engine import daemon
from engine.film import events
from engine.film.graph import BATCHES, KeyframeNode
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.models import OFFLINE, catalogue
from engine.render.device import Device, choose_device
from engine.render.painting.painter import Painter

SCENES = (  # as a film of the offline model may have them
    "dawn over the sea, sun on the left",
    "snowy mountains at noon",
    "a city at night",
)
Pictures = list[np.ndarray]


def compare(family: str, side: int, options: argparse.Namespace) -> None:
    """Paint the same keyframes both ways in turn and print how they differ."""
    device = choose_device(options.device)
    painter = a_painter(family, device, options.batch)
    texts = enumerate(prompts(options.count))
    single = [node(text, seed, side, options.steps) for seed, text in texts]
    batch = [structs.replace(one, batch=options.batch) for one in single]
    gains, lone = list[float](), list[float]()
    for warm in range(options.rounds + 1):
        seconds, alone = paint(painter, single, 1)
        together, pictures = paint(painter, batch, options.batch)
        padded, first = paint(painter, batch[:1], 1)
        if warm:
            gains.append(seconds / together)
            lone.append(padded / seconds * options.count)
    moved = distance(alone, pictures)
    beside = distance(first, pictures[:1])
    assert beside == 0 or device.kind != "cpu", "a keyframe depends on what is beside it"
    print(
        f"{family} {side}x{side}, {options.steps} steps, batches of {options.batch}: "
        f"x{statistics.median(gains):.2f}, pixels moved by {moved} of 255 at most; a keyframe "
        f"alone in its batch takes {statistics.median(lone):.2f} of one painted singly and is "
        f"{'the same' if not beside else f'another by {beside}'}",
        flush=True,
    )


def a_painter(family: str, device: Device, batch: int) -> Painter:
    """Return what paints with the offline model, or in a family's shapes."""
    if family == OFFLINE:
        return Painter.load(catalogue()[OFFLINE], device, lambda *_: None, batch=batch)
    shrink = 1 if device.kind == "cuda" else SHRINK
    pipe = pipeline(family, device.name, device.torch_dtype, shrink)
    return Painter(pipe, device, "random@0", lambda _: None, batch=batch)


def paint(painter: Painter, nodes: list[KeyframeNode], at_once: int) -> tuple[float, Pictures]:
    """Paint keyframes, so many at once; return the seconds that it took, and the pictures."""
    begun, pictures = time.perf_counter(), dict[int, np.ndarray]()
    whole = dict(enumerate(nodes))
    for start in range(0, len(nodes), at_once):
        part = {index: whole[index] for index in range(start, min(start + at_once, len(nodes)))}
        pictures |= painter.paint_at_once(part, on_step=lambda *_: None, cancelled=lambda: False)
    return time.perf_counter() - begun, list(pictures.values())


def distance(one: Pictures, other: Pictures) -> int:
    """Return by how much values differ at most, of 255."""
    pairs = zip(one, other, strict=True)
    return int(max(abs(a.astype(int) - b).max() for a, b in pairs))


async def films(options: argparse.Namespace) -> None:
    """Make films and print how many rows were painted for their keyframes."""
    with tempfile.TemporaryDirectory() as data:
        running = daemon.Options(
            data=Path(data), device=options.device, models=catalogue(), batch=options.batch
        )
        async with daemon.running(running) as engine, watching(engine) as watcher:
            for number, (name, recipe) in enumerate(recipes().items()):
                await watcher.film(f"film-{number:04}", recipe)
                print(f"{name}: {rows(watcher, options.batch)}", flush=True)


def recipes() -> dict[str, Recipe]:
    """Return films with few steps, since it does not matter here what pictures cost."""
    scenes: list[dict[str, Any]] = [{"prompt": prompt, "seconds": 4} for prompt in SCENES]
    small = {"width": 128, "height": 128, "num_inference_steps": 4, "negative_prompt": NEGATIVE}
    cases: dict[str, dict[str, Any]] = {
        "one scene": {"scenes": scenes[:1]},
        "three scenes": {"scenes": scenes},
        "three scenes, evenly spaced": {"scenes": scenes, "spacing": "even"},
    }
    return {
        name: parse_recipe({**small, **case, "seed": 1000 * number})  # sharing no keyframes
        for number, (name, case) in enumerate(cases.items())
    }


def rows(watcher: Watcher, batch: int) -> str:
    """Return what a film's log tells of its keyframes and of the rows painted for them."""
    heard = [message.event for message in watcher.events]
    started = [event for event in heard if isinstance(event, events.PieceStarted)]
    begun = [event for event in started if event.stage == "keyframe"]
    batches = sum(event.row == 0 for event in begun)
    vain = 1 - len(begun) / (batches * batch)
    return f"{len(begun)} keyframes in {batches} batches of {batch}, {100 * vain:.0f} % in vain"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch", type=int, choices=BATCHES[1:], default=4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--count", type=int, default=8, help="keyframes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--film", action="store_true")
    options = parser.parse_args()
    if options.film:
        asyncio.run(films(options))
        return
    gpu = choose_device(options.device).kind == "cuda"
    options.steps = options.steps or (20 if gpu else 4)
    compare(OFFLINE, 256, options)
    for family in (SD15, SDXL):
        for side in (512, 1024) if gpu else (128,):
            compare(family, side, options)


if __name__ == "__main__":
    main()
