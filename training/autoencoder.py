"""Trains the autoencoder on crops of the training pictures.

Knows nothing about captions or diffusion. It keeps its blocks at half the picture's size and
below, where they are cheap; noise on the latents makes the decoder tolerant of what a
diffusion model, or a blend between two of its latents, gets slightly wrong.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from training import processes
from training.latents import file_of
from training.pictures import RUNS, folder_of, load

CHANNELS = 64
LATENT_NOISE = 0.06
PEAK_RATE = 1.2e-3
# Of stage "more": how firmly latents stay near those that diffusion was trained on.
ANCHOR = 0.05
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
    mean, axes, spread = (torch.tensor(values, device=small.device) for values in COLOUR_AXES)
    return torch.einsum("nchw,ca->nahw", small - mean[:, None, None], axes / spread)


def joint_losses(
    model: AutoencoderTiny, pictures: torch.Tensor, guide: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of encoder and decoder, and the squared error for the report.

    `guide` pulls three latent channels to the blocks' colours: without it the first
    thousands of steps know brightness only.
    """
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(pictures).latents
    loss, squared = decoder_losses(model, latents, pictures)
    spread, mean = torch.std_mean(latents.float(), dim=(0, 2, 3))
    loss = loss + 0.1 * (mean.square().mean() + (spread - 1).square().mean())
    if guide > 0:
        loss = loss + guide * (latents[:, :3].float() - block_colours(pictures)).abs().mean()
    return loss, squared


def anchored_losses(
    model: AutoencoderTiny, pictures: torch.Tensor, earlier: torch.nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return as `joint_losses` does, pulled to an earlier encoder's latents instead."""
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(pictures).latents
        with torch.no_grad():
            before = earlier(pictures)
    loss, squared = decoder_losses(model, latents, pictures)
    return loss + ANCHOR * (latents - before).float().square().mean(), squared


def decoder_losses(
    model: AutoencoderTiny, latents: torch.Tensor, pictures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of what is decoded, and its mean squared error in RGB 0..1."""
    with torch.autocast(pictures.device.type, torch.bfloat16):
        noisy = latents + LATENT_NOISE * torch.randn_like(latents)
        decoded = model.decode(noisy).sample
    error = decoded.float() - pictures
    edges = sum(part.abs().mean() for part in slopes(error))
    colours = block_colours(decoded.float()) - block_colours(pictures)
    # Squared error beside the absolute one: it keeps small bright things (stars) alive.
    loss = error.abs().mean() + error.square().mean() + 0.6 * edges + 0.25 * colours.abs().mean()
    return loss, (error.detach() / 2).square().mean()


def rate_at(share: float) -> float:
    """Return the learning rate when a share 0..1 of the time is over: warm-up, then cosine."""
    warm = min(1.0, share / 0.01)
    return PEAK_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0))) + 1e-6


def refined_batch(
    pixels: np.ndarray, latents: np.ndarray, rng: np.random.Generator, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return crops of stored latents and of their pictures, as `batch` does."""
    count, size = (1, 32) if step % 4 == 3 else (4, 16)
    inputs, targets = [], []
    for index in rng.integers(min(len(pixels), len(latents)), size=count):
        top, left = rng.integers(32 - size + 1, size=2)
        inputs.append(latents[index, :, top : top + size, left : left + size])
        rows, columns = slice(8 * top, 8 * (top + size)), slice(8 * left, 8 * (left + size))
        targets.append(pixels[index, rows, columns])
    pictures = torch.from_numpy(np.stack(targets)).permute(0, 3, 1, 2).float() / 127.5 - 1
    small = torch.from_numpy(np.stack(inputs)).float()
    layout = {"memory_format": torch.channels_last}
    return small.contiguous(**layout), pictures.contiguous(**layout)


def train(runs: Path, minutes: float, threads: int, stage: str) -> None:
    """Train for some minutes of the clock and save in diffusers' layout.

    Stage "new" begins with random weights; "more" goes on from the last save and keeps its
    latents much alike, so that diffusion need not begin again. Stage "refine" takes the
    decoder alone further, on stored latents: diffusion can be trained at the same time.
    """
    processes.start(threads)
    torch.manual_seed(0)
    refine, output = stage == "refine", runs / "autoencoder"
    model = build() if stage == "new" else AutoencoderTiny.from_pretrained(output)
    model.to(memory_format=torch.channels_last)
    trained = list((model.decoder if refine else model).parameters())
    optimiser = torch.optim.AdamW(trained, lr=PEAK_RATE, weight_decay=1e-4, fused=True)
    latents = np.load(file_of(runs, "square")) if refine else None
    earlier = copy.deepcopy(model.encoder)
    seed = processes.RANK + 10 * ("new", "more", "refine").index(stage)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    began, step, average = time.monotonic(), 0, 0.02
    while (share := processes.together((time.monotonic() - began) / (60 * minutes))) < 1:
        if step % 500 == 0:
            pixels, _ = load(folder_of(runs, "square"))
        for group in optimiser.param_groups:
            group["lr"] = rate_at(share) * (1.0 if stage == "new" else 0.6)
        if refine:
            loss, squared = decoder_losses(model, *refined_batch(pixels, latents, rng, step))
        elif stage == "more":
            loss, squared = anchored_losses(model, batch(pixels, rng, step), earlier)
        else:
            guide = max(0.0, 0.5 - 3 * share)
            loss, squared = joint_losses(model, batch(pixels, rng, step), guide)
        optimiser.zero_grad()
        loss.backward()
        processes.average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step, average = step + 1, 0.99 * average + 0.01 * squared.item()
        if processes.RANK == 0 and step % 100 == 0:
            print(f"step {step} {share:.0%} {-10 * math.log10(average):.2f} dB", flush=True)
        if processes.RANK == 0 and step % 500 == 0:
            model.save_pretrained(output)
    if processes.RANK == 0:
        model.save_pretrained(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--stage", choices=("new", "more", "refine"), default="new")
    arguments = parser.parse_args()
    train(arguments.runs, arguments.minutes, arguments.threads, arguments.stage)
