"""Trains the UNet and the text encoder together on latents held in memory.

Knows captions and latents; never sees a picture. v-prediction, arXiv:2202.00512, its loss
capped where there is little noise in the manner of min-SNR, arXiv:2303.09556. Captions are
made afresh for every step, one in ten is empty. Keeps its state, so it can go on another day.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.training_utils import EMAModel

from training import captions, diffusion, processes, tokens
from training.export import MODEL, assemble, export, preview_of
from training.latents import load_latents
from training.pictures import RUNS

BATCH = 32
PEAK_RATE = 8e-4
SNR_CAP = 5.0
EMPTY_SHARE = 0.1
# Where the disc is decided: a band of latent rows, and the noise at which it appears. Both
# count more in the loss, or its side is learned long after the time and the place.
DISC_ROWS, DISC_WEIGHT = slice(4, 15), 3.0
DISC_TIMESTEPS, DISC_SHARE = (450, 900), 0.5


class Denoiser(torch.nn.Module):
    """The two networks that learn together; its forward is the loss."""

    def __init__(self, text_encoder: torch.nn.Module):
        super().__init__()
        self.unet = diffusion.build_unet().to(memory_format=torch.channels_last)
        self.text_encoder = text_encoder
        self.noise_levels = diffusion.build_scheduler().alphas_cumprod
        rows = torch.ones(32, 1)
        rows[DISC_ROWS] = DISC_WEIGHT
        self.rows = rows / rows.mean()

    def draw_timesteps(self, count: int) -> torch.Tensor:
        """Return timesteps, even over all but for a share from where the disc appears."""
        even = torch.randint(0, len(self.noise_levels), (count,))
        return torch.where(
            torch.rand(count) < DISC_SHARE, torch.randint(*DISC_TIMESTEPS, (count,)), even
        )

    def forward(self, latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the capped v-prediction loss of `(batch, 4, 32, 32)` and `(batch, 48)`."""
        timesteps = self.draw_timesteps(len(latents))
        level = self.noise_levels[timesteps][:, None, None, None]
        noise = torch.randn_like(latents)
        noisy = level.sqrt() * latents + (1 - level).sqrt() * noise
        target = level.sqrt() * noise - (1 - level).sqrt() * latents
        with torch.autocast("cpu", torch.bfloat16):
            states = self.text_encoder(tokens).last_hidden_state
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            predicted = self.unet(noisy, timesteps, states).sample
        errors = ((predicted.float() - target).square() * self.rows).mean(dim=(1, 2, 3))
        weights = (SNR_CAP * (1 - level.flatten())).clamp(max=1.0)  # 1 / (1 - level) = SNR + 1.
        return (weights * errors).mean()


class Training:
    """The models, their optimiser and average, and how far they have come."""

    def __init__(self, runs: Path):
        torch.manual_seed(0)
        self.runs = runs
        self.tokenizer = tokens.load(runs / "tokenizer")
        self.models = Denoiser(diffusion.build_text_encoder(self.tokenizer))
        self.loss_of = self.models  # Or the same, averaging gradients with other processes.
        self.optimiser = torch.optim.AdamW(
            self.models.parameters(), PEAK_RATE, (0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.average = EMAModel(
            self.models.parameters(), decay=0.998, use_ema_warmup=True, power=0.75
        )
        self.step, self.seconds, self.loss = 0, 0.0, 1.0

    def save(self) -> None:
        """Write everything that going on needs."""
        state = {
            "models": self.models.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
            "progress": (self.step, self.seconds, self.loss),
        }
        torch.save(state, self.runs / "diffusion.partial")
        (self.runs / "diffusion.partial").rename(self.runs / "diffusion.pt")

    def resume(self) -> None:
        """Go on from the last saved state, if there is one."""
        if (self.runs / "diffusion.pt").exists():
            state = torch.load(self.runs / "diffusion.pt", weights_only=True)
            self.models.load_state_dict(state["models"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load_state_dict(state["average"])
            self.step, self.seconds, self.loss = state["progress"]

    def learn(self, latents: torch.Tensor, prompts: list[str], rate: float) -> None:
        """Take one step on latents `(batch, 4, 32, 32)` and their prompts."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss_of(latents, diffusion.token_ids(self.tokenizer, prompts))
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.models.parameters(), 1.0)
        self.optimiser.step()
        self.average.step(self.models.parameters())
        self.step, self.loss = self.step + 1, 0.99 * self.loss + 0.01 * loss.item()

    def ship(self, target: Path) -> None:
        """Export the averaged weights as a whole pipeline."""
        averaged = copy.deepcopy(self.models)
        self.average.copy_to(averaged.parameters())
        vae = AutoencoderTiny.from_pretrained(self.runs / "autoencoder")
        pipeline = assemble(averaged.unet, averaged.text_encoder, self.tokenizer, vae)
        export(pipeline, preview_of(self.runs), target)


def rate_at(step: int, share: float) -> float:
    """Return the learning rate: a short warm-up, level, then falling over the last 40 %."""
    fall = min(max((share - 0.6) / 0.4, 0.0), 1.0)
    return PEAK_RATE * min(1.0, step / 150) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * fall)))


def prompts_for(scenes: list, chosen: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Return a fresh caption for each chosen picture; some are empty."""
    return [
        "" if rng.random() < EMPTY_SHARE else captions.caption(scenes[index], rng)
        for index in chosen
    ]


def train(runs: Path, minutes: float, threads: int) -> None:
    """Train until `minutes` of training, those of earlier runs counted in, are over.

    Under torchrun each process takes its own share of the batch.
    """
    processes.start(threads)
    training = Training(runs)
    training.resume()
    if processes.COUNT > 1:
        training.loss_of = torch.nn.parallel.DistributedDataParallel(training.models)
    seed = training.step * processes.COUNT + processes.RANK
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    latents, scenes = load_latents(runs)
    usable = np.array([at for at, one in enumerate(scenes) if not captions.held_out(one)])
    began = time.monotonic() - training.seconds
    while True:
        training.seconds = time.monotonic() - began
        share = processes.together(training.seconds / (60 * minutes))
        if share >= 1:
            break
        chosen = rng.choice(usable, BATCH // processes.COUNT)
        inputs = torch.from_numpy(latents[chosen]).float()
        rate = rate_at(training.step, share)
        training.learn(inputs, prompts_for(scenes, chosen, rng), rate)
        if processes.RANK == 0 and training.step % 25 == 0:
            print(f"step {training.step} {share:.1%} loss {training.loss:.4f}", flush=True)
        if processes.RANK == 0 and training.step % 250 == 0:
            training.save()
    if processes.RANK == 0:
        training.save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ship", action="store_true", help="export the last state and stop")
    parser.add_argument("--target", type=Path, default=MODEL)
    arguments = parser.parse_args()
    if arguments.ship:
        last = Training(arguments.runs)
        last.resume()
        last.ship(arguments.target)
    else:
        train(arguments.runs, arguments.minutes, arguments.threads)
