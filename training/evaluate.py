"""Measures whether the shipped pipeline does what its prompts say.

Renders prompts of combinations and wordings never trained on through the ordinary
`StableDiffusionPipeline`, and reads the attributes back from the pixels. Knows nothing about
how the model was trained.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import DiffusionPipeline

from training.attributes import Recogniser, agreement, examples
from training.captions import held_out, held_out_caption
from training.export import MODEL
from training.pictures import RUNS
from training.scene import Scene, random_scene

NAMES = ("time", "place", "side")


def unseen(count: int, seed: int) -> tuple[list[Scene], list[str]]:
    """Return held-out scenes and a held-out wording of each."""
    rng, scenes = np.random.default_rng(seed), []
    while len(scenes) < count:
        scene = random_scene(rng)
        if held_out(scene):
            scenes.append(scene)
    return scenes, [held_out_caption(scene, rng) for scene in scenes]


def load_pipeline(folder: Path) -> DiffusionPipeline:
    """Return the pipeline of a folder in float32, without its progress bar."""
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def render(
    pipeline: DiffusionPipeline, prompts: list[str], seed: int, batch: int = 10, **options
) -> list[np.ndarray]:
    """Return one picture per prompt, uint8 RGB, each from its own seed."""
    options = {"num_inference_steps": 20, "guidance_scale": 4.0, **options}
    pictures = []
    for at in range(0, len(prompts), batch):
        some = prompts[at : at + batch]
        seeds = [torch.Generator().manual_seed(seed + at + one) for one in range(len(some))]
        made = pipeline(some, generator=seeds, output_type="np", **options).images
        pictures += list((made * 255).round().astype(np.uint8))
    return pictures


def save_sheet(pictures: list[np.ndarray], path: Path, across: int = 6) -> None:
    """Write the first 24 pictures as one PNG."""
    rows = [np.hstack(pictures[at : at + across]) for at in range(0, 24, across)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def seconds_per_keyframe(pipeline: DiffusionPipeline, prompt: str) -> float:
    """Return the time of one picture at default settings, the best of three."""
    taken = []
    for seed in range(3):
        began = time.perf_counter()
        render(pipeline, [prompt], seed)
        taken.append(time.perf_counter() - began)
    return min(taken)


@torch.inference_mode()
def autoencoder_psnr(pipeline: DiffusionPipeline, pictures: list[np.ndarray]) -> float:
    """Return the mean signal-to-noise ratio of pictures encoded and decoded, in dB."""
    ratios = []
    for picture in pictures:
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        decoded = pipeline.vae(pixels).sample.clamp(-1, 1)
        ratios.append(-10 * torch.log10(((decoded - pixels) / 2).square().mean()).item())
    return float(np.mean(ratios))


def misses(recognise: Recogniser, pictures: list[np.ndarray], scenes: list[Scene]) -> Counter[str]:
    """Return what was asked and what came instead, with counts."""
    wrong: Counter[str] = Counter()
    for picture, scene in zip(pictures, scenes, strict=True):
        for name, seen in recognise(picture).items():
            asked = getattr(scene, name)
            if seen != asked:
                wrong[f"{asked} -> {seen}"] += 1
    return wrong


def percent(shares: dict[str, float]) -> str:
    """Return shares as text."""
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())


def main() -> None:
    """Print every figure and write a sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=77_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path, default=RUNS / "sheet.png")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recognise = Recogniser.fit(*examples(1500, seed=5))
    fresh = examples(500, seed=6)
    print("recogniser on the generator's pictures:", percent(agreement(recognise, *fresh)))
    pipeline = load_pipeline(arguments.model)
    print(f"autoencoder: {autoencoder_psnr(pipeline, fresh[0][:60]):.1f} dB")
    scenes, prompts = unseen(arguments.count, arguments.seed)
    pictures = render(pipeline, prompts, arguments.seed)
    save_sheet(pictures, arguments.sheet)
    np.save(arguments.sheet.with_suffix(".npy"), np.stack(pictures))
    (arguments.sheet.with_suffix(".txt")).write_text("\n".join(prompts[:24]) + "\n")
    print(
        f"obeyed in {len(prompts)} unseen prompts:", percent(agreement(recognise, pictures, scenes))
    )
    print("most frequent misses:", misses(recognise, pictures, scenes).most_common(12))
    print(f"one keyframe: {seconds_per_keyframe(pipeline, prompts[0]):.2f} s")


if __name__ == "__main__":
    main()
