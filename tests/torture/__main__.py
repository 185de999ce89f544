"""``make torture``: run every scenario and print what it found; non-zero if anything was wrong.

    python -m tests.torture [--seed 7] [--only kills moves] [--kills 20]

What a scenario does follows from the seed; which instant a kill hits also from the machine's pace.
"""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.torture import cuts, kills, moves, soak, tls, watchers
from tests.torture.rig import Outcome

Scenario = Callable[[Path, random.Random, int], Awaitable[Outcome]]
SCENARIOS: dict[str, tuple[Scenario, int]] = {  # with how many of its thing are done
    "kills": (kills.run, 100),
    "cuts": (cuts.run, cuts.EVERY),
    "tls": (tls.run, 100),
    "moves": (moves.run, 20),
    "watchers": (watchers.run, 20),
    "soak": (soak.run, 200),
}


def main() -> int:
    """Run what was asked for and return the exit status."""
    options = arguments()
    logging.basicConfig(level=logging.CRITICAL)  # broken connections are what this is about
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    print(f"seed {options.seed}, files in {folder}", flush=True)
    failed = []
    for name in options.only:
        if name == "tls" and tls.lacking():
            print(f"\ntls: SKIPPED, {tls.lacking()} is missing (apt-get install nginx openssl)")
            continue
        if not torture(name, getattr(options, name), options.seed, folder / name):
            failed.append(name)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}; everything lies in {folder}")
    else:
        shutil.rmtree(folder)
    return bool(failed)


def torture(name: str, number: int, seed: int, folder: Path) -> bool:
    """Run one scenario, print its rows, and tell whether all was well."""
    folder.mkdir()
    began = time.monotonic()
    run, dice = SCENARIOS[name][0], random.Random(f"{seed} {name}")
    try:
        outcome = asyncio.run(run(folder, dice, number))  # type: ignore[arg-type]
    except Exception:  # the others go on
        outcome = Outcome("it broke", failures=[traceback.format_exc()])
    took = time.monotonic() - began
    verdict = "FAILED" if outcome.failures else "ok"
    print(f"\n{name}: {verdict} in {took / 60:.1f} min\n  {outcome.did}")
    for what, count in sorted(outcome.counts.items()):
        print(f"  {count:8} {what}")
    for line in (*outcome.notes, *(f"WRONG: {failure}" for failure in outcome.failures)):
        print(f"  {line}")
    sys.stdout.flush()
    return not outcome.failures


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    for name, (_, number) in SCENARIOS.items():
        parser.add_argument(f"--{name}", type=int, default=number, help="how many (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
