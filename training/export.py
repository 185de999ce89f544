"""Writes a diffusers folder, with its latent preview, and swaps it in whole.

Knows the layout and nothing about training.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from engine.models import SUMS
from training.diffusion import build_scheduler
from training.latents import file_of
from training.pictures import folder_of, load

MODEL = Path(__file__).parents[1] / "engine" / "models" / "landscapes"


def assemble(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    vae: AutoencoderTiny,
) -> StableDiffusionPipeline:
    """Return the ordinary pipeline around the trained parts."""
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def fit_preview(latents: torch.Tensor, pictures: torch.Tensor) -> dict[str, list]:
    """Fit RGB in 0..1 as a linear function of latents, by least squares.

    Args:
        latents: `(count, 4, 32, 32)`, as the pipeline's step callback sees them.
        pictures: `(count, 3, 32, 32)` in 0..1, the pictures made small.
    """
    features = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double()
    features = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    colours = pictures.permute(0, 2, 3, 1).reshape(-1, 3).double()
    solution = torch.linalg.lstsq(features, colours).solution
    rounded = [[round(value, 5) for value in row] for row in solution.tolist()]
    return {"factors": rounded[:-1], "bias": rounded[-1]}


def preview_of(runs: Path, count: int = 500) -> dict[str, list]:
    """Fit the preview to the first training pictures and their latents."""
    pixels, _ = load(folder_of(runs, "square"))
    small = [cv2.resize(one, (32, 32), interpolation=cv2.INTER_AREA) for one in pixels[:count]]
    pictures = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    latents = np.load(file_of(runs, "square"), mmap_mode="r")[:count]
    return fit_preview(torch.from_numpy(latents.astype(np.float32)), pictures)


def export(pipeline: StableDiffusionPipeline, preview: dict[str, list], target: Path) -> None:
    """Save in half precision beside the target, then swap entry by entry.

    Weights keep their float32 values in the caller's pipeline; the rest of the target (its
    card and README) stays as it is.
    """
    target.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=target.parent))
    try:
        for name in ("unet", "vae", "text_encoder"):
            part = getattr(pipeline, name)
            kept = {key: value.clone() for key, value in part.state_dict().items()}
            part.half().save_pretrained(fresh / name)
            part.float().load_state_dict(kept)
        edit(fresh / "text_encoder" / "config.json", {"dtype": "float32"})
        edit(fresh / "vae" / "config.json", {"block_out_channels": None})
        pipeline.tokenizer.save_pretrained(fresh / "tokenizer")
        pipeline.scheduler.save_pretrained(fresh / "scheduler")
        pipeline.save_config(fresh)
        (fresh / "preview.json").write_text(json.dumps(preview, indent=2) + "\n")
        write_sums(fresh)
        swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_sums(folder: Path) -> None:
    """Write what ``engine.models`` compares the weights with before it uses them."""
    files = sorted(folder.rglob("*.safetensors"))
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    names = [file.relative_to(folder).as_posix() for file in files]
    lines = [f"{sha256}  {name}\n" for sha256, name in zip(hashes, names, strict=True)]
    (folder / SUMS).write_text("".join(lines))


def edit(path: Path, changes: dict[str, object]) -> None:
    """Change keys of a JSON file; None removes one.

    Transformers would load the text encoder in the type it is stored in, unlike diffusers;
    and diffusers stores a key for `AutoencoderTiny` that it then does not expect.
    """
    config = {**json.loads(path.read_text()), **changes}
    kept = {key: value for key, value in config.items() if value is not None}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def swap(fresh: Path, target: Path) -> None:
    """Move each entry of `fresh` into `target`, the old one aside first."""
    for entry in sorted(fresh.iterdir()):
        old = fresh.parent / f"{fresh.name}-old-{entry.name}"
        if (target / entry.name).exists():
            (target / entry.name).rename(old)
        entry.rename(target / entry.name)
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
