"""Teaches the text encoder to read, before the painter learns: what a prompt says of the scene.

From pictures alone that took the painter thousands of steps, for noise hides what a word did. Here
linear heads on the pooled text, as the UNet pools it, tell the scene that a prompt was made of;
then they are thrown away. Knows prompts and scenes; never sees a picture or a latent.
"""

import math
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from training import diffusion, prompts, recogniser
from training.recogniser import NO_DISC, NOBODY
from training.scene import Scene, rich_scene

BATCH = 96
PEAK_RATE = 1e-3
READ = {name: values for name, values in recogniser.LABELS.items() if name != "flaw"}


class Reader(nn.Module):
    """A text encoder, a UNet's pooling of its states, and heads; its forward is the loss."""

    def __init__(self, text_encoder: nn.Module, pooling: nn.Module):
        super().__init__()
        self.text_encoder, self.pooling = text_encoder, pooling
        width = pooling.proj.out_features
        sizes = {name: len(values) for name, values in READ.items()}
        sizes |= {"side": NO_DISC + 1, "subjects": NOBODY, "thirds": 3 * (NOBODY + 1)}
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, tokens: Tensor, truth: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of prompts `(batch, 48)`, and the share that is read right, by name."""
        with torch.autocast(tokens.device.type, torch.bfloat16):
            pooled = self.pooling(self.text_encoder(tokens).last_hidden_state)
            found = {name: head(pooled).float() for name, head in self.heads.items()}
        losses, right = [], {}
        for name in (*READ, "side"):
            losses.append(functional.cross_entropy(found[name], truth[name]))
            right[name] = (found[name].argmax(1) == truth[name]).float().mean().item()
        present = functional.binary_cross_entropy_with_logits(
            found["subjects"], truth["subjects"], reduction="none"
        )
        thirds = found["thirds"].unflatten(1, (NOBODY + 1, 3))
        losses += [present.sum(1).mean(), functional.cross_entropy(thirds, truth["thirds"])]
        right["subjects"] = ((found["subjects"] > 0) == truth["subjects"].bool()).all(1)
        right["subjects"] = right["subjects"].float().mean().item()
        return torch.stack(losses).sum(), right


def truth_of(scenes: list[Scene]) -> dict[str, Tensor]:
    """Return the classes of scenes, and which subjects are there, in which third."""
    found = recogniser.targets(scenes, [0] * len(scenes))  # of whole pictures
    thirds = found["subjects"]
    present = functional.one_hot(thirds, NOBODY + 1).amax(1)[:, :NOBODY].float()
    return {name: found[name] for name in (*READ, "side")} | {"subjects": present, "thirds": thirds}


def teach(
    text_encoder: nn.Module, pooling: nn.Module, tokenizer: CLIPTokenizer, minutes: float
) -> None:
    """Train a text encoder and a UNet's pooling of it for minutes of a processor."""
    device = next(pooling.parameters()).device
    reader, rng = Reader(text_encoder, pooling).to(device), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(reader.parameters(), PEAK_RATE, (0.9, 0.99), fused=True)
    began, step, average = time.process_time(), 0, {}
    while (done := (time.process_time() - began) / (60 * minutes)) < 1:
        rise = min(1.0, step / 100)
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * rise * 0.5 * (1 + math.cos(math.pi * done))
        scenes = [rich_scene(rng) for _ in range(BATCH)]
        said = [prompts.prompt(scene, rng) for scene in scenes]
        truth = {name: classes.to(device) for name, classes in truth_of(scenes).items()}
        loss, right = reader(diffusion.token_ids(tokenizer, said).to(device), truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()
        average = {name: 0.98 * average.get(name, 0) + 0.02 * right[name] for name in right}
        step += 1
        if step % 100 == 0:
            shares = " ".join(f"{name} {share:.0%}" for name, share in average.items())
            print(f"reading {step} {done:.0%} loss {loss.item():.3f} {shares}", flush=True)
