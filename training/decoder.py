"""Trains the next model's decoder, from latents that never change: those of `components`.

The first call fits the components and saves the autoencoder, whose latents the painter can
train on from then on. Resumes from its last state. Knows nothing about captions or diffusion.

    python -m training.decoder --minutes 60
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from training import components, processes
from training.autoencoder import decoder_losses
from training.judge import crispness
from training.pictures import RICH_SIZES, RUNS, folder_of, load

PEAK_RATE = 2e-3
CROPS, SIZE = 4, 128
HELD_OUT = 24  # pictures of each shape that are never trained on: the last ones
FITTED = 100  # pictures of each shape that the components are fitted to


def start(runs: Path, channels: int) -> AutoencoderTiny:
    """Return the autoencoder of a runs folder; fit its components first if there is none."""
    folder = runs / "rich-autoencoder"
    if (folder / "config.json").exists():
        vae = AutoencoderTiny.from_pretrained(folder)
        vae.encoder.requires_grad_(False)
        return vae
    groups = [load(folder_of(runs, shape, rich=True))[0][:FITTED] for shape in RICH_SIZES]
    found = components.fit([np.asarray(group) for group in groups], channels)
    vae = components.build(found)
    vae.save_pretrained(folder)
    (runs / "rich-preview.json").write_text(json.dumps(found.preview()))
    return vae


def crops(
    data: list[np.ndarray], rng: np.random.Generator, count: int = CROPS, size: int = SIZE
) -> torch.Tensor:
    """Return crops on the latents' grid of random shapes' pictures, RGB in -1..1."""
    found = []
    for _ in range(count):
        pixels = data[int(rng.integers(len(data)))]
        height, width = pixels.shape[1:3]
        side = min(size, height, width)
        top, left = (8 * int(rng.integers((edge - side) // 8 + 1)) for edge in (height, width))
        index = int(rng.integers(max(1, len(pixels) - HELD_OUT)))
        crop = pixels[index, top : top + side, left : left + side]
        found.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    stacked = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return stacked.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def quality(vae: AutoencoderTiny, data: list[np.ndarray]) -> tuple[float, float]:
    """Return PSNR in dB and relative crispness of the held-out pictures, encoded and decoded."""
    ratios, sharp = [], []
    for pixels in data:
        for picture in pixels[-HELD_OUT:]:
            inputs = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
            made = ((vae(inputs).sample.clamp(-1, 1) + 1) * 127.5).round()
            decoded = made[0].permute(1, 2, 0).numpy().astype(np.uint8)
            error = np.square(decoded.astype(float) - picture).mean() / 255**2
            ratios.append(-10 * math.log10(error + 1e-12))
            sharp.append(crispness(decoded[None]) / crispness(picture[None]))
    return float(np.mean(ratios)), float(np.mean(sharp))


def train(runs: Path, minutes: float, threads: int, channels: int, size: int = SIZE) -> None:
    """Train until `minutes` of a processor, earlier runs counted in, are over."""
    processes.start(threads)
    torch.manual_seed(0)
    vae = start(runs, channels).to(memory_format=torch.channels_last)
    trained, matrix = list(vae.decoder.parameters()), components.matrix_of(vae)
    optimiser = torch.optim.AdamW(trained, lr=PEAK_RATE, weight_decay=1e-4, fused=True)
    data = [load(folder_of(runs, shape, rich=True))[0] for shape in RICH_SIZES]
    step, seconds, average = resume(runs, optimiser)
    rng = np.random.default_rng([processes.RANK, step])
    torch.manual_seed(1000 * step + processes.RANK)
    began = time.process_time() - seconds
    while True:
        seconds = time.process_time() - began
        share = processes.together(seconds / (60 * minutes))
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(1, step / 50) * (0.5 + 0.5 * math.cos(math.pi * share))
        pictures = crops(data, rng, size=size)
        loss, squared = decoder_losses(vae, components.encode(pictures, matrix), pictures)
        optimiser.zero_grad()
        loss.backward()
        processes.average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step, average = step + 1, 0.99 * average + 0.01 * squared.item()
        if processes.RANK == 0 and step % 100 == 0:
            print(f"step {step} {share:.0%} {-10 * math.log10(average):.2f} dB", flush=True)
        if processes.RANK == 0 and step % 500 == 0:
            save(runs, vae, optimiser, (step, seconds, average))
    if processes.RANK == 0:
        save(runs, vae, optimiser, (step, seconds, average))
        ratio, sharp = quality(vae, data)
        print(f"held out: {ratio:.1f} dB, crispness {sharp:.2f}", flush=True)


def save(
    runs: Path,
    vae: AutoencoderTiny,
    optimiser: torch.optim.Optimizer,
    progress: tuple[int, float, float],
) -> None:
    """Write the autoencoder, and what training needs to resume."""
    vae.save_pretrained(runs / "rich-autoencoder")
    state = {"optimiser": optimiser.state_dict(), "progress": progress}
    torch.save(state, runs / "decoder.partial")
    (runs / "decoder.partial").replace(runs / "decoder.pt")


def resume(runs: Path, optimiser: torch.optim.Optimizer) -> tuple[int, float, float]:
    """Load the optimiser's saved state, if there is one; return steps, seconds and error."""
    if not (runs / "decoder.pt").exists():
        return 0, 0.0, 0.02
    state = torch.load(runs / "decoder.pt", weights_only=True)
    optimiser.load_state_dict(state["optimiser"])
    step, seconds, average = state["progress"]
    return step, seconds, average


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of a processor")
    parser.add_argument("--channels", type=int, default=components.CHANNELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS)
    arguments = parser.parse_args()
    train(arguments.runs, arguments.minutes, arguments.threads, arguments.channels)
