"""Short pieces of films, painted by the offline diffusion model as the engine paints keyframes.

``python -m training.rife.films --count 30 -o training/runs/rife/films.npy`` paints the pieces
that the interpolation network trains on beside synthetic motion. Knows nothing about networks.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.film.graph import keyframe
from engine.film.recipe import Recipe, Scene
from engine.models import catalogue
from engine.render.device import choose_device
from engine.render.painting.painter import Painter
from training.captions import caption, held_out_caption
from training.scene import random_scene

FPS = 24
KEYFRAME_GAP = 8  # frames from one keyframe to the next in a film by default
GAPS = (4, 8, 16)  # frames: what adaptive plans make of it where much changes, and where little
FRAMES = 4 * FPS  # of a film that pieces are taken from
PICTURES = 5  # of one piece, evenly spread over two gaps
DRIFTS = (0.0, 0.09375, 0.1875)  # picture widths a second: still, as in films by default, fast


def load_painter() -> Painter:
    """Load the landscapes model onto the CPU."""
    return Painter.load(catalogue()["landscapes"], choose_device("cpu"), lambda *_: None)


def draw_recipe(rng: np.random.Generator, gap: int = KEYFRAME_GAP, *, held_out: bool) -> Recipe:
    """A film with a random world, camera and, in every third, a morph to another world.

    Its keyframes stand half a gap (in frames) apart, so that every second is a truth between two.
    """
    write = held_out_caption if held_out else caption
    count = 2 if rng.random() < 1 / 3 else 1
    prompts = [write(random_scene(rng), rng) for _ in range(count)]
    return Recipe(
        scenes=tuple(Scene(prompt=prompt, seconds=FRAMES / FPS / count) for prompt in prompts),
        seed=int(rng.integers(1 << 31)),
        drift=DRIFTS[int(rng.integers(len(DRIFTS)))],
        fps=FPS,
        interpolation_factor=gap // 2,
    )


def paint(painter: Painter, recipe: Recipe, indices: Sequence[int]) -> np.ndarray:
    """Paint some keyframes of a film: uint8 (len(indices), height, width, 3)."""
    gap = recipe.interpolation_factor / recipe.fps  # seconds
    nodes = [keyframe(recipe, index * gap, painter.identity) for index in indices]
    pictures = [
        painter.paint(node, on_step=lambda *_: None, cancelled=lambda: False) for node in nodes
    ]
    return np.stack(pictures)


def main() -> None:
    """Paint pieces and save them together; what is there is saved after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng, painter = np.random.default_rng(arguments.seed), load_painter()
    pieces: list[np.ndarray] = []
    for _ in range(arguments.count):
        gap = int(rng.choice(GAPS))
        recipe = draw_recipe(rng, gap, held_out=False)
        start = int(rng.integers(FRAMES // (gap // 2) - PICTURES + 1))
        pieces.append(paint(painter, recipe, range(start, start + PICTURES)))
        np.save(arguments.output, np.stack(pieces))


if __name__ == "__main__":
    main()
