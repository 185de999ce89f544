"""Pairs of pictures for ``benchmarks.interpolation.quality``, with the truth between them.

Scenes, textures and outlines come from seeds, and partly from families, that training never
saw; landscapes from seeds; film pieces from seeds, and prompts in a wording, that neither
network was trained with. Knows nothing about methods and scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from engine.render.rife.interpolator import fade, to_frame
from training import world
from training.rife.banks import Bank, make_bank
from training.rife.films import draw_recipe, load_painter, paint
from training.rife.pool import LANDSCAPES, repaint, to_tensor
from training.rife.scenes import draw_scene, exact_flows, render, visible
from training.scene import random_scene

SIZE = 256
SEED = 90210
SPEEDS = {"small": 4.0, "medium": 16.0, "large": 48.0}  # pixels of the fastest layers
SECONDS = (0.5, 4.0)  # that a landscape's camera moves between two pictures
POSITIONS = (0.125, 0.25, 0.5, 0.75, 0.875)


@dataclass(frozen=True)
class Case:
    """A pair of pictures and what lies between.

    Attributes:
        first, second: float32 (1, 3, H, W) in [0, 1].
        truth: (len(positions), 3, H, W).
        positions: of the truth, 0.5 among them.
        flows: true flows from the middle to both pictures (1, 4, H, W); None if unknown.
        visible: (1, 2, H, W), whether each picture shows what the flow leads to.
        painted: whether they are keyframes, which films fade sooner than footage.
    """

    first: Tensor
    second: Tensor
    truth: Tensor
    positions: tuple[float, ...] = POSITIONS
    flows: Tensor | None = None
    visible: Tensor | None = None
    painted: bool = False


@cache
def held_out_bank() -> Bank:
    """Textures and shapes that training never saw, some of kinds it never saw."""
    return make_bank(SEED, 70, 60, held_out=True)


def cases(speed: float, count: int) -> Iterator[Case]:
    """Held-out scenes whose fastest layers move by about ``speed`` pixels."""
    rng = np.random.default_rng(SEED + int(speed))
    for _ in range(count):
        scene = draw_scene(rng, held_out_bank(), SIZE, speed)
        first, *between, second = (
            to_tensor(render(scene, moment)) for moment in (0.0, *POSITIONS, 1.0)
        )
        flows = torch.from_numpy(np.concatenate(exact_flows(scene, 0.5), -1))
        seen = torch.from_numpy(np.stack(visible(scene, 0.5)))[None]
        yield Case(first, second, torch.cat(between), POSITIONS, flows.permute(2, 0, 1)[None], seen)


def landscapes(count: int, *, decoded: bool) -> Iterator[Case]:
    """Animated landscapes of the offline diffusion world.

    With ``decoded`` every picture, the truth too, has gone through the diffusion model's
    autoencoder: the texture that the network meets in films.
    """
    rng = np.random.default_rng(SEED)
    vae = AutoencoderTiny.from_pretrained(LANDSCAPES / "vae") if decoded else None
    for _ in range(count):
        start, span = rng.uniform(0, 10), rng.uniform(*SECONDS)
        times = [start + span * moment for moment in (0.0, *POSITIONS, 1.0)]
        scene, seed = random_scene(rng), int(rng.integers(1 << 31))
        frames = list(world.frames(scene, seed, times, SIZE, SIZE))
        first, *between, second = map(to_tensor, repaint(vae, frames) if vae else frames)
        yield Case(first, second, torch.cat(between))


def films(count: int) -> Iterator[Case]:
    """Three keyframes of a film by the offline diffusion model; the middle one is the truth.

    They stand as in a film of half the usual keyframes: the outer two 2/3 of a second apart.
    """
    rng, painter = np.random.default_rng(SEED), load_painter()
    for _ in range(count):
        recipe = draw_recipe(rng, held_out=True)
        start = int(rng.integers(20))
        first, middle, second = paint(painter, recipe, (start, start + 2, start + 4))
        yield Case(*map(to_tensor, (first, second, middle)), positions=(0.5,), painted=True)


def unrelated(count: int) -> Iterator[Case]:
    """Pictures that share nothing; the truth is their cross-fade."""
    halves = list(cases(SPEEDS["medium"], 2 * count))
    for one, other in zip(halves[:count], halves[count:], strict=True):
        pictures = to_frame(one.first[0]), to_frame(other.second[0])
        fades = [to_tensor(fade(*pictures, position)) for position in POSITIONS]
        yield Case(one.first, other.second, torch.cat(fades))
