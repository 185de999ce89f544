"""Encodes the training pictures once, so that diffusion trains on latents in memory.

Knows pictures and the autoencoder; nothing about captions.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from training import components
from training.pictures import RUNS, SIZES, folder_of, load
from training.scene import Scene

BATCH = 16
OPPOSITE = {"left": "right", "centre": "centre", "right": "left"}


@torch.inference_mode()
def encode(vae: AutoencoderTiny, pixels: np.ndarray, *, rich: bool = False) -> np.ndarray:
    """Return float16 latents `(count, channels, h/8, w/8)` of uint8 RGB `(count, h, w, 3)`."""
    pictures = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float()
    pictures = (pictures / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    if rich:
        return components.encode(pictures, components.matrix_of(vae)).half().numpy()
    with torch.autocast("cpu", torch.bfloat16):
        return vae.encode(pictures).latents.half().numpy()


def fill(
    runs: Path, shape: str, vae: AutoencoderTiny, mirrored: bool, *, rich: bool = False
) -> None:
    """Encode every picture of a shape, or its mirror image, into one file."""
    pixels, _ = load(folder_of(runs, shape, rich=rich))
    pixels = pixels[:, :, ::-1] if mirrored else pixels
    parts = [encode(vae, pixels[at : at + BATCH], rich=rich) for at in range(0, len(pixels), BATCH)]
    np.save(file_of(runs, shape, mirrored, rich=rich), np.concatenate(parts))


def file_of(runs: Path, shape: str, mirrored: bool = False, *, rich: bool = False) -> Path:
    """Return where the latents of a shape lie."""
    name = f"{'rich-' if rich else ''}latents-{shape}{'-mirrored' if mirrored else ''}"
    return runs / f"{name}.npy"


def mirror(scene: Scene) -> Scene:
    """Return the scene that a mirrored picture shows."""
    figures = tuple(replace(one, side=OPPOSITE[one.side]) for one in scene.figures)
    return replace(scene, side=OPPOSITE[scene.side], figures=figures)


def load_latents(runs: Path, shape: str, *, rich: bool = False) -> tuple[np.ndarray, list[Scene]]:
    """Return all latents of a shape encoded so far and their scenes, mirrored ones last."""
    _, scenes = load(folder_of(runs, shape, rich=rich))
    latents = np.load(file_of(runs, shape, rich=rich))
    scenes = scenes[: len(latents)]  # More may have been drawn since.
    if not file_of(runs, shape, mirrored=True, rich=rich).exists():
        return latents, scenes
    flipped = np.load(file_of(runs, shape, mirrored=True, rich=rich))
    return np.concatenate([latents, flipped]), scenes + [mirror(scene) for scene in scenes]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--shape", choices=SIZES, default="square")
    parser.add_argument("--mirrored", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rich", action="store_true", help="all of the world, not the shipped")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rich = arguments.rich
    saved = arguments.runs / ("rich-autoencoder" if rich else "autoencoder")
    autoencoder = AutoencoderTiny.from_pretrained(saved)
    autoencoder.to(memory_format=torch.channels_last)
    fill(arguments.runs, arguments.shape, autoencoder, arguments.mirrored, rich=rich)
