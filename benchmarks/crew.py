"""How much faster do two devices make a film than one?

    python -m benchmarks.crew [--devices cuda:0,cuda:1]

Engines with one worker and with two make the same film of 16 keyframes in turn, each from an
empty store, after a short film that has every worker load its model. Time counts from the plan to
the film. Without two GPUs two workers on the CPU stand for them, one thread for each, against one
worker with one thread: that wants two idle cores. That all frames are equal is asserted.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from benchmarks.clients import Watcher, watching
from engine import daemon
from engine.models import catalogue
from engine.recipe import Recipe, parse_recipe

PROMPTS = ("dawn over the sea, sun on the left", "a city at night under a starry sky")


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", default="cpu,cpu", help="two of them (%(default)s)")
    parser.add_argument("--turns", type=int, default=2, help="of each (%(default)s)")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    alone = options.devices.partition(",")[0]
    ratios = []
    for _ in range(options.turns):
        one, frames = asyncio.run(measured(alone))
        two, same = asyncio.run(measured(options.devices))
        assert frames == same, "two workers made other frames than one"
        ratios.append(two / one)
        print(f"one worker {one:.1f} s, two {two:.1f} s: {two / one:.2f} of it", flush=True)
    print(f"frames equal; at best {min(ratios):.2f} of one worker's time")


def a_film(seconds: float, **settings: int) -> Recipe:
    """Return a recipe; one of five seconds has 16 keyframes."""
    scenes = [{"prompt": prompt, "seconds": seconds / 2} for prompt in PROMPTS]
    rate = {"fps": 12, "interpolation_factor": 4}
    return parse_recipe({"scenes": scenes, **rate, **settings})


async def measured(devices: str) -> tuple[float, dict[str, str]]:
    """Return the seconds of the film, and the hashes of all its parts by name."""
    with tempfile.TemporaryDirectory() as data:
        options = daemon.Options(data=Path(data), models=catalogue(), device=devices)
        async with daemon.running(options) as engine, watching(engine) as watcher:
            await ready(watcher, devices.count(",") + 1)
            await watcher.film("warming-up", a_film(1.0, num_inference_steps=1))
            await watcher.film("measured", a_film(5.0))
    heard = [message.event for message in watcher.events]
    painted = sum(type(event).__name__ == "KeyframeFinished" for event in heard)
    print(f"{devices}: {painted} keyframes", flush=True)
    return watcher.seconds(), {e.object: e.sha256 for e in heard if hasattr(e, "sha256")}


async def ready(watcher: Watcher, workers: int) -> None:
    """Wait until all workers are."""
    while True:
        hello = await watcher.connection.describe()
        if hello.device.kind and len(hello.devices) == workers:
            return
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
