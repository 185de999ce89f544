"""Draws the training pictures once, to files that the trainings map into memory.

One folder for each shape of picture. Knows the world; nothing about captions or models.
"""

import argparse
import json
from dataclasses import asdict
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from training.scene import Scene, random_scene
from training.world import draw

RUNS = Path(__file__).parent / "runs"
SIZES = {"square": (256, 256), "wide": (384, 256), "tall": (256, 384)}  # width, height


def folder_of(runs: Path, shape: str) -> Path:
    """Return where the pictures of a shape lie."""
    return runs / f"pictures-{shape}"


def picture(job: tuple[int, int, int, int]) -> tuple[Scene, np.ndarray]:
    """Return one scene and its picture from width, height, seed and index alone."""
    width, height, *numbers = job
    rng = np.random.default_rng(numbers)
    scene = random_scene(rng)
    return scene, draw(scene, rng, width, height)


def fill(folder: Path, size: tuple[int, int], count: int, seed: int, processes: int) -> None:
    """Draw `count` pictures; `scenes.jsonl` grows line by line, so it tells how far it is."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    stored = (count, height, width, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, stored)
    jobs = ((width, height, seed, index) for index in range(count))
    with Pool(processes) as pool, (folder / "scenes.jsonl").open("w") as scenes:
        for index, (scene, drawn) in enumerate(pool.imap(picture, jobs, chunksize=20)):
            pixels[index] = drawn
            scenes.write(json.dumps(asdict(scene)) + "\n")
            if index % 100 == 99:
                scenes.flush()


def load(folder: Path) -> tuple[np.ndarray, list[Scene]]:
    """Return the pictures drawn so far, uint8 RGB `(count, h, w, 3)`, and their scenes."""
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    scenes = [Scene(**json.loads(line)) for line in lines[:-1]]
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    return pixels[: len(scenes)], scenes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SIZES, default="square")
    parser.add_argument("--count", type=int, default=13_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS)
    arguments = parser.parse_args()
    target, size = folder_of(arguments.runs, arguments.shape), SIZES[arguments.shape]
    fill(target, size, arguments.count, arguments.seed, arguments.processes)
