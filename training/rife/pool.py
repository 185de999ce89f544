"""Training examples: scenes drawn once, seen many times, replaced one by one.

An example is two pictures, the true frame at a position between them, the true flows, and
what DIS and splatting make of the pair. Knows nothing about networks or losses.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from engine.render.bridge import TORN
from engine.render.rife.optical_flow import pair_motion, project
from engine.render.rife.similarity import judge
from training import world
from training.rife.banks import Bank, make_bank
from training.rife.scenes import draw_scene, exact_flows, render
from training.scene import TIMES, WEATHERS_BY_TIME, random_scene

SIZE = 256
UNRELATED = 0.10  # share of synthetic pairs with nothing in common, whose truth is a cross-fade
FAR = 0.3  # share of synthetic pairs that move by FAR_SPEED; the others by SPEED, evenly in octaves
SPEED, FAR_SPEED = (1.5, 70), (24, 80)  # pixels of the fastest layers
WORLD = 0.35  # share of landscapes of the offline diffusion world
RELIT = 0.3  # of these: the time of day changes too
FILMS = 0.3  # share of pieces of films, if there are any
DECODED = 0.4  # of these: seen through the diffusion model's autoencoder
LANDSCAPES = Path(__file__).parents[2] / "engine" / "models" / "landscapes"


@dataclass(frozen=True)
class Example:
    """One pair and what lies between.

    Attributes:
        pictures: uint8 (9, H, W): the first picture, the second, the truth.
        motion: float16 (4, H, W): velocity (x, y) and arrivals as ``project`` gives them.
        flows: float16 (4, H, W): true flows to the first and to the second picture.
        position: where the truth lies, in (0, 1).
        known: 1 where the true flows are known, else 0.
    """

    pictures: Tensor
    motion: Tensor
    flows: Tensor
    position: float
    known: float


class Pool:
    """Draws examples from a seed; the same seed gives the same examples.

    Args:
        seed: of the examples.
        films: pieces of films, uint8 (count, pictures, H, W, 3), or None.
        textures, shapes: numbers of fillings and outlines.
    """

    def __init__(
        self, seed: int, films: np.ndarray | None = None, textures: int = 240, shapes: int = 160
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.bank: Bank = make_bank(seed + 1, textures, shapes, held_out=False)
        self.vae = AutoencoderTiny.from_pretrained(LANDSCAPES / "vae").requires_grad_(False).eval()
        self.vae.to(memory_format=torch.channels_last)
        self.films = films
        self.examples: list[Example] = []

    def grow(self, count: int) -> None:
        """Add new examples."""
        self.examples.extend(self._draw() for _ in range(count))

    def replace(self) -> None:
        """Put a new example in the place of a random old one."""
        self.examples[self.rng.integers(len(self.examples))] = self._draw()

    def batch(self, count: int, crop: int) -> dict[str, Tensor]:
        """Random augmented crops; keys as in ``Example``, with a leading dimension."""
        chosen = [self.examples[i] for i in self.rng.integers(len(self.examples), size=count)]
        return _stack([augment(self.rng, example, crop) for example in chosen])

    def _draw(self) -> Example:
        if self.films is not None and self.rng.random() < FILMS:
            return self._draw_film(self.films)
        position = 0.5 if self.rng.random() < 0.4 else float(self.rng.uniform(0.04, 0.96))
        if self.rng.random() < WORLD:
            return self._draw_world(position)
        reach = FAR_SPEED if self.rng.random() < FAR else SPEED
        speed = float(np.exp(self.rng.uniform(*np.log(reach))))
        scene = draw_scene(self.rng, self.bank, SIZE, speed)
        first = render(scene, 0)
        if self.rng.random() < UNRELATED:
            second = render(draw_scene(self.rng, self.bank, SIZE, speed), 1)
            return unrelated(first, second, position)
        moments = (first, render(scene, 1), render(scene, position))
        return example(*moments, np.concatenate(exact_flows(scene, position), -1), position)

    def _draw_world(self, position: float) -> Example:
        """A landscape of the offline diffusion world that moves; its flows are not known.

        In some the time of day changes as well: the truth is then the cross-fade of two
        landscapes that move alike. Some are seen as the diffusion model paints them.
        """
        seed = int(self.rng.integers(1 << 31))
        start = float(self.rng.uniform(0, 10))
        span = float(np.exp(self.rng.uniform(np.log(0.2), np.log(6))))
        times = (start, start + span, start + span * position)
        scene = random_scene(self.rng)
        first, second, truth = world.frames(scene, seed, times, SIZE, SIZE)
        if self.rng.random() < RELIT:
            time = str(self.rng.choice(TIMES))
            weather = str(self.rng.choice(WEATHERS_BY_TIME[time]))
            other = dataclasses.replace(scene, time=time, weather=weather)
            _, second, late = world.frames(other, seed, times, SIZE, SIZE)
            truth = cv2.addWeighted(truth, 1 - position, late, position, 0)
        if self.rng.random() < DECODED:
            first, second, truth = repaint(self.vae, (first, second, truth))
        return example(first, second, truth, None, position)

    def _draw_film(self, films: np.ndarray) -> Example:
        """Three pictures of a piece; the diffusion model says what lies between the outer ones.

        Those that a film would cross-fade are left out: the network never draws between them.
        """
        while True:
            piece = films[self.rng.integers(len(films))]
            first, middle, last = sorted(self.rng.choice(len(piece), 3, replace=False))
            if judge(piece[first], piece[last]).unexplained <= TORN:
                break
        position = (middle - first) / (last - first)
        return example(piece[first], piece[last], piece[middle], None, float(position))


def example(
    first: np.ndarray,
    second: np.ndarray,
    truth: np.ndarray,
    flows: np.ndarray | None,
    position: float,
) -> Example:
    """Prepare a pair; frames are uint8 (H, W, 3), ``flows`` (H, W, 4) or None if unknown."""
    velocity, arrivals = project(pair_motion(to_tensor(first), to_tensor(second)), position)
    if flows is None:
        true = torch.zeros(4, *truth.shape[:2])
    else:
        true = torch.from_numpy(flows).permute(2, 0, 1)
    return Example(
        torch.from_numpy(np.concatenate((first, second, truth), -1)).permute(2, 0, 1),
        torch.cat((velocity, arrivals)).half(),
        true.half(),
        position,
        float(flows is not None),
    )


@torch.inference_mode()
def repaint(vae: AutoencoderTiny, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Encode and decode frames, uint8 (H, W, 3) with sides that 8 divides."""
    pictures = torch.cat([to_tensor(frame) for frame in frames]) * 2 - 1
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        decoded = vae.decode(vae.encode(pictures).latents).sample.float()
    pixels = (decoded.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return list(pixels.permute(0, 2, 3, 1).contiguous().numpy())


def unrelated(first: np.ndarray, second: np.ndarray, position: float) -> Example:
    """A pair that shares nothing: between them lies a cross-fade, and no motion."""
    fade = cv2.addWeighted(first, 1 - position, second, position, 0)
    return example(first, second, fade, np.zeros((*fade.shape[:2], 4), np.float32), position)


def to_tensor(frame: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) → float32 (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255


def augment(rng: np.random.Generator, item: Example, crop: int) -> dict[str, Tensor]:
    """A random crop, mirrored, transposed, reversed in time, with colours exchanged."""
    top, left = rng.integers(0, SIZE - crop + 1, 2)
    window = (slice(None), slice(top, top + crop), slice(left, left + crop))
    pictures, motion, flows = (
        whole[window].float() for whole in (item.pictures, item.motion, item.flows)
    )
    pictures, position = pictures / 255, item.position
    if rng.random() < 0.5:  # mirror
        pictures, motion, flows = (part.flip(-1) for part in (pictures, motion, flows))
        motion[0], flows[0::2] = -motion[0], -flows[0::2]
    if rng.random() < 0.5:  # transpose
        pictures, motion, flows = (part.transpose(-1, -2) for part in (pictures, motion, flows))
        motion, flows = motion[[1, 0, 2, 3]], flows[[1, 0, 3, 2]]
    if rng.random() < 0.5:  # backwards in time
        pictures = pictures[[3, 4, 5, 0, 1, 2, 6, 7, 8]]
        motion = torch.cat((-motion[:2], motion[[3, 2]]))
        flows, position = flows[[2, 3, 0, 1]], 1 - position
    order = torch.from_numpy(rng.permutation(3))
    pictures = pictures[torch.cat((order, order + 3, order + 6))]
    return {
        "pictures": pictures,
        "motion": motion,
        "flows": flows,
        "position": torch.tensor(position, dtype=torch.float32),
        "known": torch.tensor(item.known),
    }


def _stack(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
