"""How smooth are films?

    python -m benchmarks.smoothness film.mp4 ...
    python -m benchmarks.smoothness --recipes [--folder DIR] [--sheets DIR]

The first prints the scores of any films (``engine.render.video.smoothness`` defines them). The
second makes twenty fixed recipes in four ways (``benchmarks.morphs``) and prints the README's
table; ``--folder`` keeps the films, and a later run goes on from what is there; ``--sheets`` writes
a contact sheet for some.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np

from benchmarks import morphs
from benchmarks.morphs import WAYS, Made
from engine.film.recipe import Recipe
from engine.render.video.ffmpeg import read_frames
from engine.render.video.smoothness import measure

NAMES = {
    "adaptive": "Adaptive morph",
    "even": "Even keyframes, RIFE",
    "fade": "Even keyframes, cross-fade",
    "walk": "Every frame painted",
}
SHOWN = (0, 13)  # recipes of which there are contact sheets
COLUMNS = 9  # frames of a contact sheet's row

Results = dict[str, list[Made]]


def judge(films: Sequence[Path]) -> None:
    """Print the scores of films."""
    print("flicker  jumps  unevenness  brightness  colour  duplicates")
    for path in films:
        one = measure(path)
        print(
            f"{one.flicker:7.2%}  {one.jumps:5}  {one.unevenness:10.0%}  {one.brightness:+10.1%}  "
            f"{one.colour:6.1%}  {one.duplicates:10.0%}  {path}"
        )


async def compare(folder: Path) -> Results:
    """Make all films that are not in the folder yet, the ways in turns."""
    results: Results = {way: [] for way in WAYS}
    async with morphs.engines(folder, [way for way in WAYS if way != "fade"]) as watchers:
        for number, recipe in enumerate(morphs.recipes()):
            for way in WAYS:
                film = film_of(folder, way, number)
                known = film.with_suffix(".json")
                if not known.exists():
                    made = await one_film(watchers, results, recipe, way, film)
                    known.write_bytes(msgspec.json.encode(made))
                made = msgspec.json.decode(known.read_bytes(), type=Made)
                results[way].append(msgspec.structs.replace(made, scores=measure(film)))
                print(number, way, results[way][-1], flush=True)
    return results


async def one_film(
    watchers: dict[str, morphs.Watcher], results: Results, recipe: Recipe, way: str, film: Path
) -> Made:
    """Make one film in one way."""
    if way == "fade":
        even = Path(str(film).replace("fade", "even"))
        return morphs.make_faded(results["even"][-1], even, film)
    recipe = morphs.in_way(recipe, way)
    return await morphs.make(watchers[way], recipe, f"{film.stem}-{recipe.seed:06}", film)


def film_of(folder: Path, way: str, number: int) -> Path:
    """Return the file of a film."""
    return folder / f"{way}-{number:02}.mp4"


def table(results: Results) -> str:
    """Return the README's table; the times are medians of ratios within one recipe."""
    lines = [
        "| | Keyframes | Jumps | Unevenness | Flicker | Time |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    walk = results["walk"]
    for way, made in results.items():
        keyframes = statistics.mean(one.keyframes for one in made)
        jumps = sum(one.scores.jumps for one in made)
        ratios = [one.seconds / other.seconds for one, other in zip(made, walk, strict=True)]
        took = "as even" if way == "fade" else f"{statistics.median(ratios):.2f}"
        uneven, flicker = (mean(made, name) for name in ("unevenness", "flicker"))
        lines.append(
            f"| {NAMES[way]} | {keyframes:.1f} | {jumps} | {uneven:.2f} | {flicker:.2%} | {took} |"
        )
    return "\n".join(lines)


def mean(made: Sequence[Made], name: str) -> float:
    """Return the mean of one score."""
    return statistics.mean(getattr(one.scores, name) for one in made)


def sheet(folder: Path, number: int) -> np.ndarray:
    """Return frames of a recipe's films, one row for each way."""
    rows = []
    for way in WAYS:
        frames = list(read_frames(film_of(folder, way, number), (144, 144)))
        chosen = np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int)
        rows.append(np.hstack([frames[at] for at in chosen]))
    return np.vstack(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("films", type=Path, nargs="*")
    parser.add_argument("--recipes", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    judge(given.films)
    if not given.recipes:
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        print(table(asyncio.run(compare(folder))))
        if given.sheets:
            given.sheets.mkdir(parents=True, exist_ok=True)
        for number in SHOWN if given.sheets else ():
            bgr = cv2.cvtColor(sheet(folder, number), cv2.COLOR_RGB2BGR)
            path = given.sheets / f"morph-{number + 1}.jpg"
            cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, 72])


if __name__ == "__main__":
    main()
