"""Do fifty watchers slow down painting? Three engines, the same films, in turns, in one run.

    python -m benchmarks.watchers [--rounds 8] [--apart]

``alone``: one client follows the events without previews. ``one``: it takes previews, too, which
the worker then has to encode. ``watched``: as ``alone``, and fifty more take events and
previews, one of them through a link of 1 KB/s, and one that never reads. They run in a process of
their own at the lowest priority, because in life they sit on other machines; what they still take
from the engine counts against it. With ``--apart`` it is as in life: the engine, server and worker,
has one core for itself and the crowd another, so that only serving costs.

Prints how much longer a film takes than ``alone``, as the median over rounds of the ratio inside
one round, the processor time of the server, what the crowd was sent, and the server's memory;
asserts that the films are equal bit for bit.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.clients import Onlooker, a_recipe, narrow, watching
from engine import daemon
from engine.film.recipe import Recipe
from engine.models import catalogue
from engine.wire.pairing import Pairing

MODES = ("alone", "one", "watched")
Figures = dict[str, list[float]]  # by mode, one of each round
WATCHERS = 50
NARROW = 1_000  # bytes per second of the slowest reader's link


# The crowd, in a process of its own


async def crowd(engine: Pairing) -> None:
    """Watch every job whose id comes on the standard input, with ``WATCHERS`` connections."""
    async with narrow(engine, NARROW) as link:
        ways = [engine] * (WATCHERS - 2) + [link]
        watchers = [Onlooker(way) for way in ways] + [Onlooker(engine, deaf=True)]
        tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
        await asyncio.gather(*(watcher.connected.wait() for watcher in watchers))
        print("ready", flush=True)
        while job := (await asyncio.to_thread(sys.stdin.readline)).strip():
            for watcher in watchers:
                await watcher.watch(job)
        taken = sum((watcher.taken for watcher in watchers), Counter())
        print(taken[str], taken[bytes], flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def a_crowd(
    engine: Pairing, core: int | None, films: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``crowd`` in a process of its own: on a core of its own, or at the lowest priority.

    At the end say what it was sent while so many films were made.
    """

    def settle() -> None:
        os.nice(19) if core is None else os.sched_setaffinity(0, {core})

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.watchers", "--crowd", engine.link),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=settle,
    )
    assert process.stdin
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        process.stdin.close()
        texts, previews = map(int, (await process.stdout.read()).split())
        await process.wait()
        share = 1 / films / WATCHERS
        print(f"a watcher was sent {texts * share:.0f} texts and {previews * share:.0f} previews")


# The measurement


def processor_seconds(others: int) -> tuple[float, float]:
    """Return what the server has used, and what it has with its workers; ``others`` is neither."""
    own = psutil.Process()
    workers = [child for child in own.children() if child.pid != others]
    server = sum(own.cpu_times()[:2])
    return server, server + sum(sum(worker.cpu_times()[:2]) for worker in workers)


async def film(
    engine: Pairing,
    recipe: Recipe,
    job: str,
    others: asyncio.subprocess.Process,
    mode: str,
) -> tuple[float, float, float, str]:
    """Make a film; return its seconds, the processor's of the server and of all, and its hash."""
    async with watching(engine) as watcher:
        before = processor_seconds(others.pid)
        await watcher.connection.submit(job, recipe)
        if mode == "watched" and others.stdin:
            others.stdin.write(f"{job}\n".encode())
        await watcher.connection.watch(job, previews=mode == "one")
        await watcher.ended.wait()
        server, whole = (b - a for a, b in zip(before, processor_seconds(others.pid), strict=True))
        sha256 = watcher.events[-1].event.sha256  # type: ignore[union-attr]
        return watcher.seconds(), server, whole, sha256


async def run(rounds: int, seconds: float, apart: bool) -> None:
    """Measure and print."""
    first, *others_cores = sorted(os.sched_getaffinity(0))
    if apart:
        os.sched_setaffinity(0, {first})  # the workers inherit it
    memory = []  # MiB of the server after each watched film
    took, served, used = ({mode: [] for mode in MODES} for _ in range(3))
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engines = {}
        for mode in MODES:
            options = daemon.Options(data=folder / mode, models=catalogue())
            engines[mode] = await stack.enter_async_context(daemon.running(options))
        core = others_cores[0] if apart else None
        others = await stack.enter_async_context(a_crowd(engines["watched"], core, rounds + 1))
        for number in range(rounds + 1):
            recipe, hashes = a_recipe(number, seconds), set()
            for turn in range(len(MODES)):
                mode = MODES[(number + turn) % len(MODES)]
                job = f"round-{number:03}"
                *figures, sha256 = await film(engines[mode], recipe, job, others, mode)
                hashes.add(sha256)
                if number:  # the first round warms up
                    for figure, kept in zip(figures, (took, served, used), strict=True):
                        kept[mode].append(figure)
            memory.append(psutil.Process().memory_info().rss / 2**20)
            assert len(hashes) == 1, "watching changed the film"
    report(took, served, used)
    print(f"the server's memory: {memory[1]:.1f} MiB after 2 rounds, {memory[-1]:.1f} at the end")


def report(took: Figures, served: Figures, used: Figures) -> None:
    """Print one line for each mode, then the comparison."""
    for mode in MODES:
        times, server, whole = (statistics.median(each[mode]) for each in (took, served, used))
        print(
            f"{mode:8} {times:6.2f} s  min {min(took[mode]):6.2f} s  "
            f"processor time {whole:5.2f} s a film, {server:4.2f} s of it the server's"
        )
    for mode in MODES[1:]:
        print(
            f"{mode:8} against alone: time {_more(took, mode)}, processor time {_more(used, mode)}"
        )


def _more(figures: Figures, mode: str) -> str:
    """Return by how much a mode takes more than ``alone``, as the median over rounds."""
    ratios = [a / b for a, b in zip(figures[mode], figures["alone"], strict=True)]
    return f"{100 * (statistics.median(ratios) - 1):+.1f} %"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each film")
    parser.add_argument(
        "--apart", action="store_true", help="engine and crowd on cores of their own"
    )
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.crowd:
        asyncio.run(crowd(Pairing.parse(given.crowd)))
    else:
        asyncio.run(run(given.rounds, given.seconds, given.apart))
