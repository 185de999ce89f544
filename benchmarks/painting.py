"""Ours against plain diffusers: keyframes a second, memory, first preview, cost of previews.

    python -m benchmarks.painting                       # a GPU: real shapes; a CPU: shrunk ones

Random weights in the shapes of Stable Diffusion 1.5 and SDXL (``benchmarks.real_sizes``). ``plain``
is a loop over prompts through diffusers' pipeline with its defaults for the number format; ``ours``
is the painter, ``watched`` the painter with a preview encoded of every step for which there is
room. They take turns; ratios are medians over rounds of the ratio inside one round. On a GPU each
has a process and the memory to itself; on a CPU the pictures of all must be equal bit for bit.
"""

import argparse
import hashlib
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler

from benchmarks.real_sizes import SD15, SDXL, pipeline
from engine.film.graph import Blend, KeyframeNode
from engine.render.device import Device, choose_device, peak_memory
from engine.render.painting.painter import Painter
from engine.render.painting.schedulers import SCHEDULERS
from engine.render.previews.previewer import Previewer

SETTINGS = ("device", "family", "side", "steps", "count")
SHRINK = 10  # on a CPU: widths of 32 to 128
NEGATIVE, GUIDANCE = "fog", 5.0


def prompts(count: int) -> list[str]:
    """Return as many prompts as a film has keyframes, of two scenes."""
    return [("a sea at dawn", "a city at night")[index * 2 // count] for index in range(count)]


def node(prompt: str, seed: int, side: int, steps: int) -> KeyframeNode:
    """Return a keyframe."""
    return KeyframeNode(
        model="random@0",
        prompt=Blend(prompt, prompt, 0.0),
        negative_prompt=NEGATIVE,
        noise=Blend(seed, seed, 0.0),
        width=side,
        height=side,
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        scheduler="dpmsolver++",
    )


class Plain:
    """diffusers as its documentation has it: the pipeline is called, prompt by prompt."""

    first, previews = 0.0, 0

    def __init__(self, options: argparse.Namespace, device: Device, pipe: Any = None) -> None:
        self.options = options
        shrink = 1 if device.kind == "cuda" else SHRINK
        self.pipe = pipe or pipeline(options.family, device.name, device.torch_dtype, shrink)
        self.pipe.set_progress_bar_config(disable=True)

    def paint(self, texts: list[str], steps: int) -> list[np.ndarray]:
        """Return the pictures of prompts, each with its number as seed."""
        config, settings = self.pipe.scheduler.config, SCHEDULERS["dpmsolver++"][1]
        self.pipe.scheduler = DPMSolverMultistepScheduler.from_config(config, **settings)
        return [self._one(text, seed, steps) for seed, text in enumerate(texts)]

    def _one(self, text: str, seed: int, steps: int) -> np.ndarray:
        result = self.pipe(
            text,
            negative_prompt=NEGATIVE,
            generator=torch.Generator("cpu").manual_seed(seed),
            width=self.options.side,
            height=self.options.side,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
        )
        return np.asarray(result.images[0])

    def close(self) -> None:
        """Leave nothing behind."""


class Ours(Plain):
    """The painter, as the worker has it; nobody watches."""

    def __init__(self, options: argparse.Namespace, device: Device, pipe: Any = None) -> None:
        super().__init__(options, device, pipe)
        self.painter = Painter(self.pipe, device, "random@0", lambda _: None)

    def _one(self, text: str, seed: int, steps: int) -> np.ndarray:
        wanted = node(text, seed, self.options.side, steps)
        return self.painter.paint(wanted, on_step=self.on_step, cancelled=lambda: False)

    def on_step(self, *_: Any) -> None:
        """Offer nothing."""


class Watched(Ours):
    """The painter, with previews as fast as they can be made."""

    def __init__(self, options: argparse.Namespace, device: Device, pipe: Any = None) -> None:
        super().__init__(options, device, pipe)
        self.previewer = Previewer(self._sent, self.painter._find_projection())
        self.begun = 0.0

    def paint(self, texts: list[str], steps: int) -> list[np.ndarray]:
        """Paint with room for a preview from the beginning on."""
        self.first, self.previews = 0.0, 0
        self.begun = time.perf_counter()
        self.previewer.credit()
        return super().paint(texts, steps)

    def on_step(self, step: int, steps: int, latents: Any) -> None:
        """Offer the step to the previewer."""
        self.previewer.offer(latents, {"kind": "step", "step": step, "steps": steps})

    def _sent(self, _header: Any, _jpeg: bytes) -> None:
        self.first = self.first or time.perf_counter() - self.begun
        self.previews += 1
        self.previewer.credit()

    def close(self) -> None:
        """End the previewer's thread."""
        self.previewer.close()


SUBJECTS: dict[str, type[Plain]] = {"plain": Plain, "ours": Ours, "watched": Watched}


def measure(subject: Plain, options: argparse.Namespace) -> dict[str, Any]:
    """Paint with one subject; return what a keyframe took."""
    begun = time.perf_counter()
    pictures = subject.paint(prompts(options.count), options.steps)
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds / options.count,
        "memory": peak_memory(choose_device(options.device).name),
        "first": subject.first,
        "previews": subject.previews,
        "digest": hashlib.sha256(b"".join(map(np.ndarray.tobytes, pictures))).hexdigest(),
    }


@contextmanager
def subjects(options: argparse.Namespace, names: Iterable[str]) -> Iterator[dict[str, Plain]]:
    """Yield subjects, warmed up."""
    device = choose_device(options.device)
    found = {name: SUBJECTS[name](options, device) for name in names}
    try:
        for subject in found.values():
            subject.paint(prompts(1), 2)
        yield found
    finally:
        for subject in found.values():
            subject.close()


def in_turns(options: argparse.Namespace) -> list[dict[str, dict[str, Any]]]:
    """Return what every subject took in every round; on a GPU each has the memory to itself."""
    if choose_device(options.device).kind == "cuda":
        return [
            {name: _apart(options, "--subject", name) for name in SUBJECTS}
            for _ in range(options.rounds)
        ]
    with subjects(options, SUBJECTS) as found:
        return [
            {name: measure(subject, options) for name, subject in found.items()}
            for _ in range(options.rounds)
        ]


def compare(options: argparse.Namespace) -> None:
    """Have every subject measured in turns and print the medians."""
    rounds, gpu = in_turns(options), choose_device(options.device).kind == "cuda"
    if not gpu:
        assert len({found["digest"] for turn in rounds for found in turn.values()}) == 1
    print(f"{options.family} {options.side}x{options.side}, {options.steps} steps:")
    for name in SUBJECTS:
        found = [turn[name] for turn in rounds]
        ratios = [turn["plain"]["seconds"] / turn[name]["seconds"] for turn in rounds]
        rate, faster = 1 / min(one["seconds"] for one in found), statistics.median(ratios)
        memory = f"  peak {max(one['memory'] for one in found) / 1e9:.2f} GB" if gpu else ""
        print(f"  {name:8} {rate:7.3f} keyframes/s at best  x{faster:.2f}{memory}")
    seen = [turn["watched"] for turn in rounds]
    cost = statistics.median(
        turn["watched"]["seconds"] / turn["ours"]["seconds"] - 1 for turn in rounds
    )
    first = statistics.median(one["first"] for one in seen)
    print(
        f"  previews cost {100 * cost:+.1f} %, {seen[0]['previews']} of "
        f"{options.count * options.steps} steps shown, the first after {first:.2f} s",
        flush=True,
    )


def _apart(options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """Measure in a process of its own, whose memory nobody else has filled."""
    given = [f"--{name}={getattr(options, name)}" for name in SETTINGS]
    command = [sys.executable, "-m", "benchmarks.painting", *given, *more]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    """Measure what was asked for, for both families and sizes unless one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--family", choices=(SD15, SDXL))
    parser.add_argument("--side", type=int, help="pixels, both sides")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--count", type=int, default=8, help="keyframes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        with subjects(options, [options.subject]) as found:
            print(json.dumps(measure(found[options.subject], options)))
        return
    gpu = choose_device(options.device).kind == "cuda"
    options.steps = options.steps or (20 if gpu else 4)
    families = [options.family] if options.family else [SD15, SDXL]
    sides = [options.side] if options.side else ([512, 1024] if gpu else [128])
    for family, side in itertools.product(families, sides):
        compare(argparse.Namespace(**{**vars(options), "family": family, "side": side}))


if __name__ == "__main__":
    main()
