"""Judges a model's pictures: does it paint what was asked, as crisply and whole as the generator?

Trains a recogniser on the generator's pictures, then prints a table with a row for the generator
itself and one for each model folder. Knows pictures and prompts; nothing about how models are
trained.

    python -m training.judge --minutes 30 engine/models/landscapes
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import DiffusionPipeline

from engine.render.painting.noise import blended_noise
from training import recogniser
from training.captions import held_out as held_out_caption_scene
from training.captions import held_out_caption
from training.evaluate import load_pipeline, render
from training.pictures import RICH_SIZES, RUNS, SCENES, fill, folder_of
from training.prompts import held_out, held_out_prompt
from training.recogniser import FLAWS, LABELS, NAMES, NOBODY, Recogniser
from training.scene import SIDES, Scene
from training.world import draw

STRONGEST = 0.02  # of the gradients: what crispness is measured on
SKY = 0.62  # the share of the height in which discs are looked for
DISC_RADII = (0.045, 0.14)  # in picture heights
KEYFRAMES = (0.0, 0.2, 0.4, 0.6)  # of a judged scene: positions between two seeds' noises
DRIFT = 0.09  # of the noise from keyframe to keyframe, in picture widths


@dataclass
class Sample:
    """Pictures of one painter, by shape, with the scenes that were asked for."""

    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    scenes: dict[str, list[Scene]] = field(default_factory=dict)


def crispness(pictures: np.ndarray) -> float:
    """Return the mean of the strongest 2 % of Sobel gradients of uint8 RGB pictures."""
    strongest = []
    for picture in pictures:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        slopes = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)).ravel()
        count = max(1, round(STRONGEST * slopes.size))
        strongest.append(np.partition(slopes, -count)[-count:].mean())
    return float(np.mean(strongest))


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Fréchet distance between two sets of features `(count, size)`."""
    means = first.mean(0) - second.mean(0)
    one, two = (np.cov(some, rowvar=False).astype(np.float64) for some in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ two @ root), 0, None)).sum()
    return float(means @ means + np.trace(one) + np.trace(two) - 2 * shared)


def discs(picture: np.ndarray) -> list[tuple[float, float]]:
    """Return centre column, as a share of the width, and roundness 0..1 of each bright disc.

    A disc is a patch of the sky, nearly as bright as the brightest, of a sun's or moon's size.
    Roundness is its area's share of the smallest circle around it.
    """
    height, width = picture.shape[:2]
    light = picture[: round(SKY * height)].astype(np.float32).mean(2)
    bright = (light > max(light.max() - 10, light.mean() + 25)).astype(np.uint8)
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in outlines:
        (x, _y), radius = cv2.minEnclosingCircle(outline)
        share = cv2.contourArea(outline) / (np.pi * max(radius, 1) ** 2)
        if DISC_RADII[0] <= radius / height <= DISC_RADII[1] and share > 0.4:
            found.append((x / width, float(share)))
    return found


def obedience(read: dict[str, np.ndarray], scenes: list[Scene]) -> dict[str, list[bool]]:
    """Return for each attribute, and each picture that was asked for it, whether it is there."""
    right: dict[str, list[bool]] = {
        name: [] for name in ("time", "place", "side", "weather", "palette", "subject", "its side")
    }
    for at, scene in enumerate(scenes):
        sky = scene.place not in ("space", "under water")
        for name in ("time", "place", "weather", "palette") if sky else ("place", "palette"):
            right[name].append(LABELS[name][read[name][at]] == getattr(scene, name))
        if scene.disc:
            right["side"].append((*SIDES, "")[read["side"][at]] == scene.side)
        thirds = read["subjects"][at]
        for figure in scene.figures:
            wanted = NAMES.index(figure.subject)
            right["subject"].append(wanted in thirds)
            right["its side"].append(thirds[SIDES.index(figure.side)] == wanted)
    return right


def coherence(model: Recogniser, films: list[np.ndarray]) -> float:
    """Return the share of attributes that stay from keyframe to keyframe of a scene."""
    same: list[bool] = []
    for film in films:
        read = recogniser.read(model, film)
        for name in ("time", "place", "weather", "side"):
            same += list(read[name][1:] == read[name][:-1])
        first, second = read["subjects"][1:], read["subjects"][:-1]
        somebody = (first != NOBODY) | (second != NOBODY)
        same += list((first == second)[somebody])
    return float(np.mean(same))


def row(
    model: Recogniser, sample: Sample, reference: Sample, films: list[np.ndarray]
) -> dict[str, float]:
    """Return all figures of one painter: shares 0..1, and distances."""
    right: dict[str, list[bool]] = {}
    whole, sharp, near, single, round_ = [], [], [], [], []
    for shape, pictures in sample.pictures.items():
        scenes, theirs = sample.scenes[shape], reference.pictures[shape]
        read = recogniser.read(model, pictures)
        for name, values in obedience(read, scenes).items():
            right.setdefault(name, []).extend(values)
        whole += [FLAWS[flaw] == "whole" for flaw in read["flaw"]]
        sharp.append(crispness(pictures) / crispness(theirs))
        near.append(frechet(read["features"], recogniser.read(model, theirs)["features"]))
        with_disc = [
            discs(picture)
            for picture, scene in zip(pictures, scenes, strict=True)
            if scene.disc in ("sun", "moon") and scene.weather != "rainbow"
        ]
        single += [len(found) == 1 for found in with_disc]
        round_ += [share for found in with_disc for _, share in found]
    figures = {name: float(np.mean(values)) for name, values in right.items() if values}
    figures |= {"whole": float(np.mean(whole)), "one disc": float(np.mean(single))}
    figures |= {"roundness": float(np.mean(round_)) if round_ else 0.0}
    figures |= {"crispness": float(np.mean(sharp)), "distance": float(np.mean(near))}
    return {**figures, "coherence": coherence(model, films)}


def asked(count: int, seed: int, *, rich: bool) -> tuple[list[Scene], list[str]]:
    """Return held-out scenes and a held-out wording of each."""
    rng, scenes = np.random.default_rng(seed), []
    kept, words = (
        (held_out, held_out_prompt) if rich else (held_out_caption_scene, held_out_caption)
    )
    while len(scenes) < count:
        scene = SCENES[rich](rng)
        if kept(scene):
            scenes.append(scene)
    return scenes, [words(scene, rng) for scene in scenes]


def generated(scenes: dict[str, list[Scene]], seed: int) -> Sample:
    """Return the generator's own pictures of scenes."""
    pictures = {}
    for shape, some in scenes.items():
        rng = np.random.default_rng([seed, len(some)])
        pictures[shape] = np.stack([draw(scene, rng, *RICH_SIZES[shape]) for scene in some])
    return Sample(pictures, scenes)


def generated_films(scenes: list[Scene], seed: int) -> list[np.ndarray]:
    """Return the generator's keyframes of scenes, a second apart."""
    return [
        np.stack([draw(scene, np.random.default_rng([seed, at]), time=float(t)) for t in range(4)])
        for at, scene in enumerate(scenes)
    ]


def painted(
    pipeline: DiffusionPipeline, prompts: dict[str, list[str]], seed: int, steps: int
) -> dict[str, np.ndarray]:
    """Return a pipeline's pictures of prompts, by shape."""
    found = {}
    for shape, some in prompts.items():
        width, height = RICH_SIZES[shape]
        options = {"num_inference_steps": steps, "width": width, "height": height}
        found[shape] = np.stack(render(pipeline, some, seed, batch=6, **options))
    return found


def painted_films(
    pipeline: DiffusionPipeline, prompts: list[str], seed: int, steps: int
) -> list[np.ndarray]:
    """Return a pipeline's keyframes of scenes, their noise walked and drifted as films walk it."""
    shape = (1, pipeline.unet.config.in_channels, 32, 32)
    films = []
    for at, prompt in enumerate(prompts):
        first = seed + 2 * at
        noises = [
            blended_noise(first, first + 1, position, shape, DRIFT * index)
            for index, position in enumerate(KEYFRAMES)
        ]
        options = {"num_inference_steps": steps, "guidance_scale": 4.0, "output_type": "np"}
        made = pipeline([prompt] * len(noises), latents=torch.cat(noises), **options).images
        films.append((made * 255).round().astype(np.uint8))
    return films


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return rows of figures as a Markdown table."""
    names = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for title, figures in rows.items():
        cells = [_cell(name, figures.get(name)) for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    plain = name in ("crispness", "distance", "roundness")
    return f"{value:.2f}" if plain else f"{value:.1%}"


def judge(
    model: Recogniser,
    folders: list[Path],
    count: int,
    films: int,
    steps: int,
    *,
    rich: bool,
    seed: int = 9_000,
) -> dict[str, dict[str, float]]:
    """Return the row of the generator itself and that of each model folder.

    `count` is that of pictures of each shape, `films` that of scenes whose keyframes are
    compared, `steps` those of the sampler. `rich` asks for all of the world, else only for what
    the shipped model was trained on.
    """
    wanted = {shape: asked(count, seed + at, rich=rich) for at, shape in enumerate(RICH_SIZES)}
    scenes = {shape: some for shape, (some, _) in wanted.items()}
    prompts = {shape: some for shape, (_, some) in wanted.items()}
    reference = generated(scenes, seed)
    filmed, filmed_prompts = asked(films, seed + 7, rich=rich)
    again = generated(scenes, seed + 1)
    rows = {"generator": row(model, again, reference, generated_films(filmed, seed))}
    for folder in folders:
        pipeline = load_pipeline(folder)
        sample = Sample(painted(pipeline, prompts, seed, steps), scenes)
        made = painted_films(pipeline, filmed_prompts, seed, steps)
        rows[folder.name] = row(model, sample, reference, made)
    return rows


def main() -> None:
    """Draw what is missing, train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="models in diffusers layout")
    parser.add_argument("--minutes", type=float, default=30, help="of a processor, for training")
    parser.add_argument("--pictures", type=int, default=4000, help="of each shape, to train on")
    parser.add_argument("--count", type=int, default=200, help="judged pictures of each shape")
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--shipped", action="store_true", help="ask for the shipped world only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=RUNS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for at, (shape, size) in enumerate(RICH_SIZES.items()):
        folder = folder_of(arguments.runs, shape, rich=True)
        fill(folder, size, arguments.pictures, 40 + at, arguments.threads, rich=True)
    model = recogniser.train(arguments.runs, arguments.minutes)
    figures = judge(
        model,
        arguments.folders,
        arguments.count,
        arguments.films,
        arguments.steps,
        rich=not arguments.shipped,
    )
    print(table(figures))


if __name__ == "__main__":
    main()
