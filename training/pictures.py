"""Draws the training pictures once, to files that the trainings map into memory.

One folder for each shape of picture, of the shipped model's world or of all of it ("rich").
Knows the world; nothing about captions or models.
"""

import argparse
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path

import msgspec
import numpy as np

from training.scene import Scene, random_scene, rich_scene
from training.world import draw

RUNS = Path(__file__).parent / "runs"
SIZES = {"square": (256, 256), "wide": (384, 256), "tall": (256, 384)}  # width, height
RICH_SIZES = {"square": (256, 256), "wide": (448, 256), "tall": (256, 448)}
SCENES: dict[bool, Callable[[np.random.Generator], Scene]] = {True: rich_scene, False: random_scene}


def folder_of(runs: Path, shape: str, *, rich: bool = False) -> Path:
    """Return where the pictures of a shape lie."""
    return runs / f"{'rich' if rich else 'pictures'}-{shape}"


def picture(job: tuple[bool, int, int, int, int]) -> tuple[Scene, np.ndarray]:
    """Return one scene and its picture from world, width, height, seed and index alone."""
    rich, width, height, *numbers = job
    # Each shape of the whole world has scenes of its own; the shipped model's had the same.
    rng = np.random.default_rng([width, height, *numbers] if rich else numbers)
    scene = SCENES[rich](rng)
    return scene, draw(scene, rng, width, height)


def fill(
    folder: Path,
    size: tuple[int, int],
    count: int,
    seed: int,
    processes: int,
    *,
    rich: bool = False,
) -> None:
    """Draw `count` pictures; `scenes.jsonl` grows line by line, and a later call resumes there."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    done = len(load(folder)[1]) if (folder / "scenes.jsonl").exists() else 0
    if done >= count:
        return
    pixels = _file(folder, (count, height, width, 3), done)
    jobs = ((rich, width, height, seed, index) for index in range(done, count))
    lines = (folder / "scenes.jsonl").read_bytes().splitlines(keepends=True)[:done] if done else []
    with Pool(processes) as pool, (folder / "scenes.jsonl").open("wb") as scenes:
        scenes.writelines(lines)
        for index, (scene, drawn) in enumerate(pool.imap(picture, jobs, chunksize=20), done):
            pixels[index] = drawn
            scenes.write(msgspec.json.encode(scene) + b"\n")
            if index % 100 == 99:
                scenes.flush()


def _file(folder: Path, shape: tuple[int, ...], done: int) -> np.ndarray:
    """Return the mapped file of the pictures, with the `done` first ones kept."""
    path, larger = folder / "pixels.npy", folder / "pixels.partial"
    if done and np.load(path, mmap_mode="r").shape == shape:
        return np.load(path, mmap_mode="r+")
    fresh = np.lib.format.open_memmap(larger, "w+", np.uint8, shape)
    if done:
        kept = np.load(path, mmap_mode="r")[: min(done, len(fresh))]
        fresh[: len(kept)] = kept
    larger.replace(path)
    return fresh


def load(folder: Path) -> tuple[np.ndarray, list[Scene]]:
    """Return the pictures drawn so far, uint8 RGB `(count, h, w, 3)`, and their scenes."""
    text = (folder / "scenes.jsonl").read_bytes()
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    scenes = [msgspec.json.decode(line, type=Scene) for line in lines]
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    return pixels[: len(scenes)], scenes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SIZES, default="square")
    parser.add_argument("--count", type=int, default=13_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--rich", action="store_true", help="all of the world, not the shipped")
    arguments = parser.parse_args()
    rich = arguments.rich
    target = folder_of(arguments.runs, arguments.shape, rich=rich)
    size = (RICH_SIZES if rich else SIZES)[arguments.shape]
    fill(target, size, arguments.count, arguments.seed, arguments.processes, rich=rich)
