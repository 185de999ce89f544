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

from training import captions, diffusion, fused, processes, prompts, reading, tokens, vocabulary
from training.components import read_preview
from training.export import MODEL, assemble, export, preview_of
from training.latents import load_latents
from training.optimiser import Optimiser
from training.pictures import RUNS
from training.positions import close_up_of, weights_of
from training.scene import Scene

BATCH = 32
PEAK_RATE = 8e-4
SNR_CAP = 5.0
EMPTY_SHARE = 0.1
RICH_WIDEST = 256  # Channels of the coarsest level, which knows what stands where.
# Of the steps, those with pictures of each shape, and the size of their batch: equal work.
SHAPES = {"square": (0.6, BATCH), "wide": (0.2, 22), "tall": (0.2, 22)}
RICH_SHAPES = {"square": (0.3, 56), "wide": (0.5, 32), "tall": (0.2, 32)}
RICH_AVERAGE_EVERY = 4  # steps
READING_SHARE = 0.06  # of the painter's minutes that come before them
# Where the disc is decided: a band of latent rows, and the noise at which it appears. Both
# count more in the loss, or its side is learned long after the time and the place.
DISC_BAND, DISC_WEIGHT = (4 / 32, 15 / 32), 3.0
DISC_TIMESTEPS, DISC_SHARE = (450, 900), 0.5
# The rich world's figures are small and of many kinds: the same for them.
FIGURE_WEIGHT, FIGURE_TIMESTEPS, FIGURE_SHARE = 4.0, (250, 750), 0.4
# Every other step, but for the last ones, is about squares around figures: four times as many
# figures for the same work.
CLOSE_UPS_UNTIL, CLOSE_UP_SIDE = 0.85, 20  # share of the training; latents


def row_weights(height: int, weight: float) -> np.ndarray:
    """Return how much each row of latents counts, float32 `(1, height, 1)`, 1 on average."""
    rows = np.ones((1, height, 1), np.float32)
    rows[:, round(DISC_BAND[0] * height) : round(DISC_BAND[1] * height)] = weight
    return rows / rows.mean()


class Denoiser(torch.nn.Module):
    """The two networks that learn together; its forward is the loss."""

    def __init__(self, text_encoder: torch.nn.Module, channels: int = 4, *, rich: bool = False):
        super().__init__()
        unet = diffusion.build_unet(channels, RICH_WIDEST if rich else 192)
        self.unet = unet.to(memory_format=torch.channels_last)
        if not torch.cuda.is_available():
            fused.fuse(self.unet)
        self.share, self.among = DISC_SHARE, DISC_TIMESTEPS
        if rich:
            self.share, self.among = FIGURE_SHARE, FIGURE_TIMESTEPS
        self.text_encoder = text_encoder
        self.text_encoder.set_attn_implementation("eager")  # The default is slower here.
        levels = diffusion.build_scheduler().alphas_cumprod
        self.register_buffer("noise_levels", levels, persistent=False)

    def draw_timesteps(self, count: int) -> torch.Tensor:
        """Return timesteps, even over all but for a share from where disc or figures appear."""
        device = self.noise_levels.device
        even = torch.randint(0, len(self.noise_levels), (count,), device=device)
        more = torch.randint(*self.among, (count,), device=device)
        return torch.where(torch.rand(count, device=device) < self.share, more, even)

    def forward(
        self, latents: torch.Tensor, tokens: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Return the capped v-prediction loss.

        Args:
            latents: `(batch, channels, h, w)`.
            tokens: of their prompts, `(batch, 48)`.
            counts: how much each latent counts, broadcastable to `(batch, h, w)`.
        """
        timesteps = self.draw_timesteps(len(latents))
        level = self.noise_levels[timesteps][:, None, None, None]
        noise = torch.randn_like(latents)
        noisy = level.sqrt() * latents + (1 - level).sqrt() * noise
        target = level.sqrt() * noise - (1 - level).sqrt() * latents
        with torch.autocast(latents.device.type, torch.bfloat16):
            states = self.text_encoder(tokens).last_hidden_state
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            predicted = self.unet(noisy, timesteps, states).sample
        errors = ((predicted.float() - target).square().mean(dim=1) * counts).mean(dim=(1, 2))
        weights = (SNR_CAP * (1 - level.flatten())).clamp(max=1.0)  # 1 / (1 - level) = SNR + 1.
        return (weights * errors).mean()


class Training:
    """The models, their optimiser and average, and how far they have come.

    `rich` ones are those of the whole world, on the latents of `components`.
    """

    def __init__(self, runs: Path, *, rich: bool = False):
        torch.manual_seed(0)
        self.runs, self.rich, self.prefix = runs, rich, "rich-" if rich else ""
        self.tokenizer = tokens.load(runs / f"{self.prefix}tokenizer", rich=rich)
        channels = self.autoencoder().config.latent_channels if rich else 4
        text_encoder = diffusion.build_text_encoder(self.tokenizer)
        self.models = Denoiser(text_encoder, channels, rich=rich)
        self.loss_of = self.models  # Or the same, averaging gradients with other processes.
        self.optimiser = Optimiser(self.models)
        self.restart_average()
        self.average_every = RICH_AVERAGE_EVERY if rich else 1  # steps
        self.step, self.seconds, self.loss = 0, 0.0, 1.0

    def restart_average(self) -> None:
        """Begin to average at the present weights."""
        decay = 0.9995 if self.rich else 0.998
        self.average = EMAModel(
            self.models.parameters(), decay=decay, use_ema_warmup=True, power=0.75
        )

    def autoencoder(self) -> AutoencoderTiny:
        """Return the autoencoder whose latents are learned."""
        return AutoencoderTiny.from_pretrained(self.runs / f"{self.prefix}autoencoder")

    def save(self) -> None:
        """Write everything that going on needs; all processes have to call it."""
        state = {
            "models": self.models.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
            "progress": (self.step, self.seconds, self.loss),
        }
        if processes.RANK:
            return
        partial = self.runs / f"{self.prefix}diffusion.partial"
        torch.save(state, partial)
        partial.rename(partial.with_suffix(".pt"))

    def resume(self) -> None:
        """Go on from the last saved state, if there is one."""
        saved = self.runs / f"{self.prefix}diffusion.pt"
        if saved.exists():
            state = torch.load(saved, weights_only=True)
            self.models.load_state_dict(state["models"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load_state_dict(state["average"])
            self.step, self.seconds, self.loss = state["progress"]

    def teach_reading(self, minutes: float) -> None:
        """Teach the text encoder what prompts say; one process does it for all."""
        reader = self.models.text_encoder, self.models.unet.add_embedding
        if processes.RANK == 0:
            reading.teach(*reader, self.tokenizer, minutes)
        weights = [weight.data for part in reader for weight in part.parameters()]
        processes.exchange([weights, *[[]] * (processes.COUNT - 1)])
        self.restart_average()

    def learn(self, inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor], rate: float) -> None:
        """Take one step on latents, tokens and counts, as `Denoiser.forward` takes them."""
        loss = self.loss_of(*inputs)
        self.models.zero_grad()
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(self.models.parameters(), 1.0)
        if not length.isfinite():  # of all processes, so all of them leave the step out
            print(f"step {self.step} is left out: its gradient is {length}", flush=True)
            self.step += 1
            return
        self.optimiser.step(rate)
        if self.step % self.average_every == 0:
            self.average.step(self.models.parameters())
        self.step, self.loss = self.step + 1, 0.99 * self.loss + 0.01 * loss.item()

    def ship(self, target: Path) -> None:
        """Export the averaged weights as a whole pipeline."""
        averaged = copy.deepcopy(self.models)
        self.average.copy_to(averaged.parameters())
        parts = (averaged.unet, averaged.text_encoder, self.tokenizer, self.autoencoder())
        preview = read_preview(self.runs) if self.rich else preview_of(self.runs)
        export(assemble(*parts), preview, target)
        if self.rich:
            vocabulary.write_card(target)


def rate_at(step: int, share: float) -> float:
    """Return the learning rate: a short warm-up, level, then falling over the last 60 %."""
    fall = min(max((share - 0.4) / 0.6, 0.0), 1.0)
    return PEAK_RATE * min(1.0, step / 150) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * fall)))


def shape_at(step: int, shapes: dict[str, tuple[float, int]]) -> str:
    """Return the shape of a step's pictures, the same in all processes."""
    shares = [share for share, _ in shapes.values()]
    return str(np.random.default_rng(step).choice(list(shapes), p=shares))


def usable(
    latents: np.ndarray, scenes: list[Scene], *, rich: bool
) -> tuple[np.ndarray, list[Scene]]:
    """Return what may be trained on: all but the combinations kept for the test."""
    held_out = prompts.held_out if rich else captions.held_out
    kept = [at for at, scene in enumerate(scenes) if not held_out(scene)]
    return latents[kept], [scenes[at] for at in kept]


def whole_pictures(
    latents: np.ndarray, scenes: list[Scene], count: int, rng: np.random.Generator, *, rich: bool
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return pictures, a fresh prompt for each, and how much their latents count.

    Some prompts are empty.
    """
    chosen = rng.choice(len(scenes), count)
    said = prompts.prompt if rich else captions.caption
    words = ["" if rng.random() < EMPTY_SHARE else said(scenes[at], rng) for at in chosen]
    if not rich:
        return latents[chosen], words, row_weights(latents.shape[2], DISC_WEIGHT)
    size = latents.shape[2:]
    counts = np.stack([weights_of(scenes[at], *size, FIGURE_WEIGHT) for at in chosen])
    return latents[chosen], words, counts


def close_ups(
    latents: np.ndarray, scenes: list[Scene], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return squares around figures, their prompts, and how much their latents count.

    There are as many as cost what `count` whole pictures do. One scene at least has a figure.
    """
    height, width = latents.shape[2:]
    side = min(CLOSE_UP_SIDE, height, width)
    peopled = [at for at, scene in enumerate(scenes) if scene.figures]
    pictures, said, counts = [], [], []
    for at in rng.choice(peopled, -(-count * height * width // side**2)):
        scene = scenes[at]
        figure = scene.figures[rng.integers(len(scene.figures))]
        rows, columns = close_up_of(scene, figure, height, width, side, rng)
        pictures.append(latents[at, :, rows, columns])
        empty = rng.random() < EMPTY_SHARE
        said.append("" if empty else prompts.close_up_prompt(scene, figure, rng))
        counts.append(weights_of(scene, height, width, FIGURE_WEIGHT)[rows, columns])
    return np.stack(pictures), said, np.stack(counts)


def train(runs: Path, minutes: float, threads: int, *, rich: bool = False) -> None:
    """Train until `minutes` of a processor, those of earlier runs counted in, are over.

    Under torchrun each process takes its own share of the batch. Time in which others have the
    machine does not count, so that the learning rate falls with the work that was done.
    """
    processes.start(threads)
    training, shapes = Training(runs, rich=rich), RICH_SHAPES if rich else SHAPES
    training.resume()
    if rich and not training.step:
        training.teach_reading(READING_SHARE * minutes)
    if processes.COUNT > 1:
        training.loss_of = torch.nn.parallel.DistributedDataParallel(training.models)
    seed = training.step * processes.COUNT + processes.RANK
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    data = {shape: usable(*load_latents(runs, shape, rich=rich), rich=rich) for shape in shapes}
    began = time.process_time() - training.seconds
    while True:
        training.seconds = time.process_time() - began
        share = processes.together(training.seconds / (60 * minutes))
        if share >= 1:
            break
        shape = shape_at(training.step, shapes)
        latents, scenes = data[shape]
        count = max(1, shapes[shape][1] // processes.COUNT)
        close = training.step % 2 and share < CLOSE_UPS_UNTIL
        if rich and close and any(scene.figures for scene in scenes):
            inputs = close_ups(latents, scenes, count, rng)
        else:
            inputs = whole_pictures(latents, scenes, count, rng, rich=rich)
        pictures, said, counts = inputs
        ids = diffusion.token_ids(training.tokenizer, said)
        batch = torch.from_numpy(pictures).float(), ids, torch.from_numpy(counts)
        training.learn(batch, rate_at(training.step, share))
        if processes.RANK == 0 and training.step % 25 == 0:
            print(f"step {training.step} {share:.1%} loss {training.loss:.4f}", flush=True)
        if training.step % 250 == 0:
            training.save()
    training.save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ship", action="store_true", help="export the last state and stop")
    parser.add_argument("--target", type=Path, default=MODEL)
    parser.add_argument("--rich", action="store_true", help="all of the world, not the shipped")
    arguments = parser.parse_args()
    if arguments.ship:
        last = Training(arguments.runs, rich=arguments.rich)
        last.resume()
        last.ship(arguments.target)
    else:
        train(arguments.runs, arguments.minutes, arguments.threads, rich=arguments.rich)
