"""Trains the autoencoder on crops of the training pictures.

Knows nothing about captions or diffusion. It keeps its blocks at half the picture's size and
below, where they are cheap; noise on the latents makes the decoder tolerant of what a
diffusion model, or a blend between two of its latents, gets slightly wrong.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from training.pictures import RUNS, load

CHANNELS = 64
LATENT_NOISE = 0.06
PEAK_RATE = 1.2e-3
# Mean, principal axes (columns) and spreads of the pictures' colours, RGB in -1..1.
COLOUR_AXES = (
    (0.005, -0.083, 0.016),
    ((0.644, -0.703, 0.303), (0.595, 0.211, -0.776), (0.481, 0.679, 0.554)),
    (0.797, 0.342, 0.105),
)


def build() -> AutoencoderTiny:
    """Return an untrained autoencoder: factor 8, 4 latent channels of about unit spread."""
    return AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 4,
        decoder_block_out_channels=(CHANNELS,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(4, 3, 1, 0),
    )


def batch(pixels: np.ndarray, rng: np.random.Generator, step: int) -> torch.Tensor:
    """Return 4 crops of 128x128 or, every fourth step, 1 whole picture; RGB in -1..1."""
    count, size = (1, 256) if step % 4 == 3 else (4, 128)
    crops = []
    for index in rng.integers(len(pixels), size=count):
        top, left = rng.integers(256 - size + 1, size=2)
        crop = pixels[index, top : top + size, left : left + size]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return (stacked.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def slopes(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the differences between neighbouring pixels, across and down."""
    return pictures.diff(dim=3), pictures.diff(dim=2)


def block_colours(pictures: torch.Tensor) -> torch.Tensor:
    """Return the uncorrelated mean colours of 8x8 blocks, `(count, 3, h/8, w/8)`."""
    small = torch.nn.functional.avg_pool2d(pictures, 8)
    mean, axes, spread = (torch.tensor(values) for values in COLOUR_AXES)
    return torch.einsum("nchw,ca->nahw", small - mean[:, None, None], axes / spread)


def losses(
    model: AutoencoderTiny, pictures: torch.Tensor, guide: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss, and the mean squared error of RGB in 0..1 for the report.

    `guide` pulls three latent channels to the blocks' colours: without it the first
    thousands of steps know brightness only.
    """
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(pictures).latents
        noisy = latents + LATENT_NOISE * torch.randn_like(latents)
        decoded = model.decode(noisy).sample
    error = decoded.float() - pictures
    edges = sum(part.abs().mean() for part in slopes(error))
    coarse = torch.nn.functional.avg_pool2d(error, 8).abs().mean()
    spread, mean = torch.std_mean(latents.float(), dim=(0, 2, 3))
    loss = 0.02 * (mean.square().mean() + (spread - 1).square().mean())
    # Squared error beside the absolute one: it keeps small bright things (stars) alive.
    loss = loss + error.abs().mean() + error.square().mean() + 0.6 * edges + coarse
    if guide > 0:
        loss = loss + guide * (latents[:, :3].float() - block_colours(pictures)).abs().mean()
    return loss, (error.detach() / 2).square().mean()


def rate_at(share: float) -> float:
    """Return the learning rate when a share 0..1 of the time is over: warm-up, then cosine."""
    warm = min(1.0, share / 0.01)
    return PEAK_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0))) + 1e-6


def train(folder: Path, output: Path, minutes: float, threads: int) -> None:
    """Train for some minutes of the clock and save in diffusers' layout."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    model = build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    began, step, average = time.monotonic(), 0, 0.02
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        if step % 100 == 0:
            pixels, _ = load(folder)
            torch.set_num_threads(threads if len(pixels) >= 19_900 else 1)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(share)
        loss, squared = losses(model, batch(pixels, rng, step), max(0.0, 0.5 - 5 * share))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step, average = step + 1, 0.99 * average + 0.01 * squared.item()
        if step % 100 == 0:
            print(f"step {step} {share:.0%} {-10 * math.log10(average):.2f} dB", flush=True)
        if step % 1000 == 0:
            model.save_pretrained(output)
    model.save_pretrained(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=27)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=Path, default=RUNS / "pictures")
    parser.add_argument("--output", type=Path, default=RUNS / "autoencoder")
    arguments = parser.parse_args()
    train(arguments.pictures, arguments.output, arguments.minutes, arguments.threads)
