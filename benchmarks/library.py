"""How long until a Library of 5,000 films can be used? Against one of 24, in turns, in one run.

    python -m benchmarks.library [--films 5000] [--rounds 7]

Both are served as a user would, each by an app of its own on a folder of its own, to one Chromium.
``walk``: from a click on Library on another page until the page answers and the pictures of all
cards in view are drawn. ``cold``: the same from a fresh window's deep link, Streamlit's own front
end included. ``query``: what the page asks of the database. Prints medians and the ratio of the
large to the small one inside one round; what both show first is asserted to be alike.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy.orm import Session

from engine.film.recipe import Recipe, Scene
from tests.browser.conftest import FLAGS, NAMES, SETTLED, serving
from tests.stand_ins.films import draw
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine
from ui.storage.tables import Film

SMALL = 24
PLACES = ("the sea", "a city", "a pine forest", "the dunes", "a lake", "snowy mountains")
TIMES = ("dawn", "noon", "dusk", "night")
READY = """() => {
  const roots = [...document.querySelectorAll("*")].map((e) => e.shadowRoot).filter(Boolean);
  const stills = roots.flatMap((root) => [...root.querySelectorAll(".grid img.still")]);
  const seen = stills.filter((still) => still.getBoundingClientRect().top < innerHeight);
  return seen.length >= 4 && seen.every((still) => still.complete && still.naturalWidth);
}"""


def fill(data: Path, count: int) -> Library:
    """Make a library of ``count`` finished films, whose files are all the same two."""
    library = Library(sqlite_engine(data / "library.db"), data / "films")
    draw(data / "film.mp4", seconds=2.0)
    draw(data / "keyframe.jpg", size="512x320")
    size, now = (data / "film.mp4").stat().st_size, time.time()
    films = [_film(index, now - 60.0 * index, size) for index in range(count)]
    with Session(library.engine) as session, session.begin():
        session.add_all(films)
    for index in range(count):
        folder = data / "films" / f"job{index:05d}"
        folder.mkdir()
        os.link(data / "film.mp4", folder / "film.mp4")
        os.link(data / "keyframe.jpg", folder / "keyframe-0000.jpg")
    return library


def _film(index: int, created_at: float, size: int) -> Film:
    prompt = f"{TIMES[index % 4]} over {PLACES[index % 6]}, take {index}"
    recipe = Recipe(scenes=(Scene(prompt=prompt, seconds=2.0),), seed=index)
    measures = {"size": size, "frames": 24, "seconds": 2.0, "width": 256, "height": 160}
    return Film(
        job=f"job{index:05d}",
        engine="none",
        status="finished",
        title=prompt,
        prompts=prompt,
        recipe_json=msgspec.json.encode(recipe).decode(),
        format="mp4",
        created_at=created_at,
        favourite=index % 50 == 0,
        **measures,
    )


def walk(browser: Browser, address: str) -> float:
    """Return the seconds from a click on Library until it can be used."""
    page = window(browser)
    page.goto(f"{address}/connection")
    page.wait_for_selector(SETTLED)
    page.get_by_role("link", name="Library").wait_for()
    page.wait_for_timeout(1000)  # whatever else the first visit loads
    begun = time.perf_counter()
    page.get_by_role("link", name="Library").click()
    return _until_ready(page, begun)


def cold(browser: Browser, address: str) -> float:
    """Return the seconds from a deep link in a fresh window until the Library can be used."""
    page = window(browser)
    begun = time.perf_counter()
    page.goto(f"{address}/library", wait_until="commit")
    return _until_ready(page, begun)


def window(browser: Browser) -> Page:
    """Open a window that has nothing in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    return context.new_page()


def _until_ready(page: Page, begun: float) -> float:
    while not page.evaluate(READY):
        page.wait_for_timeout(5)
    page.wait_for_selector(SETTLED)
    seconds = time.perf_counter() - begun
    page.context.close()
    return seconds


def query(library: Library) -> float:
    """Return the seconds that the page's questions to the database take."""
    begun = time.perf_counter()
    library.totals()
    library.unfinished()
    library.ended()
    library.films(limit=49)
    return time.perf_counter() - begun


def search(library: Library) -> float:
    """Return the seconds that a search takes which finds little."""
    begun = time.perf_counter()
    library.films("take 49", sort="title", limit=49)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    wanted = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses, libraries = [], []
        for count in (SMALL, wanted.films):
            data = folder / str(count)
            data.mkdir()
            libraries.append(fill(data, count))
            server = stack.enter_context(serving(data, folder / f"{count}.log"))
            addresses.append(server.address)
        browser = browser_of(stack)
        print(f"{wanted.films} films against {SMALL}, medians of {wanted.rounds} rounds in turns")
        for measure in (walk, cold):
            compare(measure, wanted.rounds, [partial(measure, browser, one) for one in addresses])
        for ask in (query, search):
            compare(ask, wanted.rounds, [partial(ask, library) for library in libraries])
        first, second = (library.films(limit=24) for library in libraries)
        assert [film.title for film in first] == [film.title for film in second]


def browser_of(stack: ExitStack) -> Browser:
    """Start Chromium while a stack lasts."""
    chromium = next(filter(None, map(shutil.which, NAMES)))
    playwright = stack.enter_context(sync_playwright())
    return playwright.chromium.launch(executable_path=chromium, args=FLAGS)


def compare(what: Callable[..., float], rounds: int, measures: list[Callable[[], float]]) -> None:
    """Measure both in turns, after one round that does not count; print what came of it."""
    for measure in measures:
        measure()
    pairs = [[measure() for measure in measures] for _ in range(rounds)]
    small, large = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    worst = max(pair[1] for pair in pairs)
    print(
        f"{what.__name__:7} {large * 1000:7.1f} ms (worst {worst * 1000:.1f}),"
        f" small {small * 1000:.1f} ms, x{ratio:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
