"""Draws the training pictures once, to a file that the trainings map into memory.

Knows the world and a folder; nothing about captions or models.
"""

import argparse
import json
from dataclasses import asdict
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from training.world import Scene, draw, random_scene

RUNS = Path(__file__).parent / "runs"
SIZE = 256


def picture(seed_and_index: tuple[int, int]) -> tuple[Scene, np.ndarray]:
    """Return one scene and its picture; they depend on nothing but the two numbers."""
    rng = np.random.default_rng(seed_and_index)
    scene = random_scene(rng)
    return scene, draw(scene, rng, SIZE, SIZE)


def fill(folder: Path, count: int, seed: int, processes: int) -> None:
    """Draw `count` pictures; `scenes.jsonl` grows line by line, so it tells how far it is."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, SIZE, SIZE, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)
    jobs = ((seed, index) for index in range(count))
    with Pool(processes) as pool, (folder / "scenes.jsonl").open("w") as scenes:
        for index, (scene, drawn) in enumerate(pool.imap(picture, jobs, chunksize=20)):
            pixels[index] = drawn
            scenes.write(json.dumps(asdict(scene)) + "\n")
            if index % 100 == 99:
                scenes.flush()


def load(folder: Path) -> tuple[np.ndarray, list[Scene]]:
    """Return the pictures drawn so far, uint8 RGB `(count, 256, 256, 3)`, and their scenes."""
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    scenes = [Scene(**json.loads(line)) for line in lines[:-1]]
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    return pixels[: len(scenes)], scenes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=RUNS / "pictures")
    arguments = parser.parse_args()
    fill(arguments.folder, arguments.count, arguments.seed, arguments.processes)
