"""Does watching slow down painting, and what do previews cost? Real engines, in one run.

    python -m benchmarks.previews [--rounds 6]
    python -m benchmarks.previews --budgets

Three engines make the same films in turns.

``off``: one client follows the events without previews. ``on``: one client takes every preview it
is sent. ``slow``: as ``off``, and a second client takes previews through a link of 10 KB/s.
Prints how much longer a film takes than with ``off``, as the median over rounds of the ratio
inside one round, and asserts that the three films are equal bit for bit.

``--budgets`` makes one film over and over, each time watched with another budget, prints the bytes
that its previews took (headers included) and how many came, and asserts that no budget was exceeded
by a whole preview and that the films are equal.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from pathlib import Path

from benchmarks.clients import a_recipe, narrow, watching
from engine import daemon
from engine.film.recipe import Recipe
from engine.models import catalogue
from engine.wire.pairing import Pairing

MODES = ("off", "on", "slow")
BUDGETS = (None, 6_000_000, 1_000_000, 300_000, 100_000, 30_000)  # bytes a film
SLOW = 10_000  # bytes per second


async def film(engine: Pairing, mode: str, recipe: Recipe, job: str) -> tuple[float, int, str]:
    """Make a film; return its seconds, the previews that were taken, and its hash."""
    async with contextlib.AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(watching(engine))
        await watcher.connection.submit(job, recipe)
        await watcher.connection.watch(job, previews=mode == "on")
        taken = watcher
        if mode == "slow":
            link = await stack.enter_async_context(narrow(engine, SLOW))
            taken = await stack.enter_async_context(watching(link))
            await taken.connection.watch(job)
        await watcher.ended.wait()
        finished = watcher.events[-1].event
        return watcher.seconds(), taken.previews, finished.sha256  # type: ignore[union-attr]


async def run(rounds: int, seconds: float) -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {mode: [] for mode in MODES}
    counts = dict.fromkeys(MODES, 0)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engines = {}
        for mode in MODES:
            options = daemon.Options(data=folder / mode, models=catalogue())
            engines[mode] = await stack.enter_async_context(daemon.running(options))
        for number in range(rounds + 1):
            recipe = a_recipe(number, seconds)
            hashes = set()
            for shift in range(len(MODES)):
                mode = MODES[(number + shift) % len(MODES)]
                took, previews, sha256 = await film(
                    engines[mode], mode, recipe, f"round-{number:03}"
                )
                hashes.add(sha256)
                if number:  # the first round warms up
                    times[mode].append(took)
                    counts[mode] += previews
            assert len(hashes) == 1, "watching changed the film"
    report(times, counts)


async def spend(seconds: float) -> None:
    """Watch one film with each budget; print what its previews cost."""
    recipe, hashes = a_recipe(0, seconds), set()
    for budget in BUDGETS:
        with tempfile.TemporaryDirectory() as folder:
            options = daemon.Options(data=Path(folder), models=catalogue())
            async with daemon.running(options) as engine, watching(engine) as watcher:
                await watcher.connection.submit("budget-film", recipe)
                await watcher.connection.watch("budget-film", budget=budget)
                await watcher.ended.wait()
        hashes.add(watcher.events[-1].event.sha256)  # type: ignore[union-attr]
        spent, largest = sum(watcher.sizes), max(watcher.sizes, default=0)
        assert budget is None or spent < budget + largest, "the budget was exceeded"
        print(
            f"budget {'none' if budget is None else f'{budget:,}':>9}  spent {spent:>9,} B in "
            f"{watcher.previews:3} previews of {spent // max(1, watcher.previews):>5,} B, "
            f"{watcher.finished} finished keyframes"
        )
    assert len(hashes) == 1, "the budget changed the film"


def report(times: dict[str, list[float]], counts: dict[str, int]) -> None:
    """Print one line for each mode."""
    for mode in MODES:
        ratios = [a / b for a, b in zip(times[mode], times["off"], strict=True)]
        print(
            f"{mode:5} median {statistics.median(times[mode]):6.2f} s  "
            f"min {min(times[mode]):6.2f} s  "
            f"against off: median {100 * (statistics.median(ratios) - 1):+5.1f} %, "
            f"of the minima {100 * (min(times[mode]) / min(times['off']) - 1):+5.1f} %  "
            f"previews taken {counts[mode]}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each film")
    parser.add_argument("--budgets", action="store_true", help="what previews cost instead")
    options = parser.parse_args()
    if options.budgets:
        asyncio.run(spend(options.seconds))
    else:
        asyncio.run(run(options.rounds, options.seconds))
