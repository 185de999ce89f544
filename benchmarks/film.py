"""How long does a film take, and how much memory, from a running engine with an empty store?

    python -m benchmarks.film

Makes the four-second film of two prompts at 24 fps with the offline model, then the same film
with the second prompt changed. Prints the time from the plan to the film, the mean time of a
keyframe and of a frame, how much of the second film was reused, and the peak resident memory of
the engine's processes together.
"""

import argparse
import asyncio
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.clients import Watcher, watching
from engine import daemon
from engine.film.progress import fold
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.film.stages import KEYFRAME, SEGMENT
from engine.models import catalogue

PROMPTS = ("dawn over the sea, sun on the left", "a city at night under a starry sky")
CHANGED = (PROMPTS[0], "a forest at dusk, birds")


class Memory:
    """Watches the resident memory of this process and its children, in a thread."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._ended.wait(0.2):
            family = [me, *me.children(recursive=True)]
            self.peak = max(self.peak, sum(map(_resident, family)))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def a_recipe(prompts: tuple[str, ...]) -> Recipe:
    """Return the recipe of a four-second film at 24 fps."""
    scenes = [{"prompt": prompt, "seconds": 4 / len(prompts)} for prompt in prompts]
    return parse_recipe({"scenes": scenes})


async def film(watcher: Watcher, recipe: Recipe, job: str) -> None:
    """Make a film and print what it took."""
    began = time.monotonic()
    await watcher.film(job, recipe, previews=True)
    progress = fold(watcher.events)
    painting, drawing = (progress.of(stage).timing for stage in (KEYFRAME, SEGMENT))
    print(
        f"{job}: {watcher.seconds():.1f} s from the plan to the film "
        f"({time.monotonic() - began:.1f} s with loading), {recipe.frames} frames; "
        f"{painting.count} of {len(progress.keyframes)} keyframes painted, "
        f"{painting.mean(0):.2f} s each; {1000 * drawing.mean(0):.0f} ms a frame"
    )


async def run() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        options = daemon.Options(data=Path(folder), models=catalogue())
        async with daemon.running(options) as engine, watching(engine) as watcher:
            await film(watcher, a_recipe(PROMPTS), "first-film")
            await film(watcher, a_recipe(CHANGED), "changed-prompt")
    print(f"peak memory of the engine's processes: {memory.peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    asyncio.run(run())
