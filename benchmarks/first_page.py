"""How long after its start can the app be used? Home, in a browser that was never there.

    python -m benchmarks.first_page [--rounds 7]

Each round starts the app as a user would, on an empty folder, and opens Home in a fresh window as
soon as the server answers. Prints medians of what the app takes until then, and of what Home takes
from then on until its button can be pressed.
"""

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.library import browser_of, window
from tests.browser.conftest import serving

USABLE = """() => {
  const buttons = [...document.querySelectorAll(".stMain button")];
  const start = buttons.find((button) => button.textContent.includes("Create a film"));
  return Boolean(start?.getBoundingClientRect().height && !start.disabled);
}"""


def home(browser: Browser, address: str) -> float:
    """Return the seconds from a fresh window's request until Home's button is there."""
    page = window(browser)
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(USABLE, polling=5)
    seconds = time.perf_counter() - begun
    page.context.close()
    return seconds


def start(browser: Browser) -> tuple[float, float]:
    """Start an app; return the seconds until it answers, and from then on until Home."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        begun = time.perf_counter()
        server = stack.enter_context(serving(folder / "data", folder / "app.log"))
        answers = time.perf_counter() - begun
        return answers, home(browser, server.address)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        browser = browser_of(stack)
        start(browser)  # one that does not count: files come from the disk
        columns = list(zip(*(start(browser) for _ in range(rounds)), strict=True))
    for name, seconds in zip(("until it answers", "until Home"), columns, strict=True):
        least, most = min(seconds), max(seconds)
        print(f"{name:16} {statistics.median(seconds):.2f} s ({least:.2f} to {most:.2f})")
    print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
