"""Is an engine's memory flat while it makes a long film?

    python -m benchmarks.film_memory [--seconds 60] [--side 128]

Makes one film with the offline model and samples the resident memory of the engine's processes,
server and worker apart, every half second. It prints the mean of each tenth of the time from the
first finished segment to the last, as a share of the first tenth's: flat means that all are near 1.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.clients import watching
from engine import daemon
from engine.film.events import PieceFinished
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue

PAUSE = 0.5  # seconds between samples
JOB = "film-memory"

Sample = tuple[float, int, int]  # time, bytes of the server, bytes of its worker


async def sample(samples: list[Sample]) -> None:
    """Note the memory of this process and of those that it started, for ever."""
    server = psutil.Process(os.getpid())
    while True:
        workers = sum(child.memory_info().rss for child in server.children())
        samples.append((time.time(), server.memory_info().rss, workers))
        await asyncio.sleep(PAUSE)


async def run(seconds: float, side: int) -> None:
    """Make the film and print the table."""
    prompts = ["dawn over the sea", "a forest at noon", "a lake at night, stars"]
    recipe = parse_recipe(
        {
            "scenes": [{"prompt": one, "seconds": seconds / len(prompts)} for one in prompts],
            "width": side,
            "height": side,
            "num_inference_steps": 4,
            "fps": 12,
        }
    )
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        options = daemon.Options(data=Path(folder), models=catalogue())
        async with daemon.running(options) as engine, watching(engine) as watcher:
            sampling = asyncio.create_task(sample(samples))
            await watcher.connection.submit(JOB, recipe)
            await watcher.connection.watch(JOB, previews=False)
            await watcher.ended.wait()
            sampling.cancel()
    log = watcher.events
    drawn = [
        logged.at
        for logged in log
        if isinstance(logged.event, PieceFinished) and logged.event.stage == "segment"
    ]
    span = drawn[-1] - drawn[0]
    print(f"{recipe.frames} frames of {side}x{side}, {len(drawn)} segments")
    for who, column in (("server", 1), ("worker", 2)):
        tenths = [
            statistics.mean(
                one[column]
                for one in samples
                if part * span / 10 <= one[0] - drawn[0] <= (part + 1) * span / 10
            )
            for part in range(10)
        ]
        shares = " ".join(f"{tenth / tenths[0]:.3f}" for tenth in tenths)
        print(f"{who}: {tenths[0] / 2**20:.0f} MiB, {shares}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--side", type=int, default=128)
    options = parser.parse_args()
    asyncio.run(run(options.seconds, options.side))


if __name__ == "__main__":
    main()
