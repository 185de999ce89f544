"""Pipelines in the shapes of Stable Diffusion 1.5 and SDXL, with random weights.

How fast a network paints does not depend on its weights, so measuring needs no download. The shapes
are those of the published ``config.json`` files; ``shrink`` divides every width, for CPUs. Prompts
are read letter by letter, for lack of a vocabulary; that costs what words cost.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

SD15, SDXL = "stable-diffusion-1.5", "sdxl"
HEAD = 64  # width of an attention head of the text encoders
START, END = "<|startoftext|>", "<|endoftext|>"
SCALING = {SD15: 0.18215, SDXL: 0.13025}


def pipeline(family: str, device: str, dtype: torch.dtype, shrink: int = 1) -> Any:
    """Return a pipeline on a device, the same one at every call."""
    torch.manual_seed(0)
    with torch.device(device), _made_in(dtype):
        first = CLIPTextModel(_text(_heads(768, shrink), 12 // shrink))
        parts: dict[str, Any] = {
            "unet": unet(family, shrink),
            "vae": vae(family, shrink),
            "text_encoder": first,
        }
        if family == SDXL:
            second = CLIPTextModelWithProjection(_text(_heads(1280, shrink), 32 // shrink))
            parts["text_encoder_2"] = second
    for network in parts.values():
        network.eval().to(dtype)
    parts |= {"tokenizer": _tokenizer(), "scheduler": EulerDiscreteScheduler(**BETAS)}
    if family == SDXL:
        pipe: Any = StableDiffusionXLPipeline
        return pipe(**parts, tokenizer_2=parts["tokenizer"], add_watermarker=False)
    pipe = StableDiffusionPipeline
    absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return pipe(**parts, **absent)


@contextmanager
def _made_in(dtype: torch.dtype) -> Iterator[None]:
    """Make weights in a number format at once: SDXL in float32 would fill a card of 15 GB."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def unet(family: str, shrink: int = 1) -> UNet2DConditionModel:
    """Return a family's UNet."""
    widths = tuple(width // shrink for width in (320, 640, 1280, 1280))
    small = _heads(768, shrink)
    shape: dict[str, Any] = {
        "sample_size": 64,
        "block_out_channels": widths,
        "cross_attention_dim": small,
        "attention_head_dim": 8,
    }
    if family == SDXL:
        text = _heads(1280, shrink)
        shape = {
            "sample_size": 128,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "block_out_channels": widths[:3],
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": tuple(max(1, heads // shrink) for heads in (5, 10, 20)),
            "cross_attention_dim": small + text,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 6 * 256 + text,
        }
    return UNet2DConditionModel(in_channels=4, out_channels=4, **shape)


def vae(family: str, shrink: int = 1) -> AutoencoderKL:
    """Return a family's VAE."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=tuple(
            max(32, width // shrink // 32 * 32) for width in (128, 256, 512, 512)
        ),
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=SCALING[family],
        force_upcast=False,  # as that of the fp16-safe VAE
    )


BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def _heads(width: int, shrink: int) -> int:
    """Return a shrunk width of whole attention heads."""
    return width // shrink // HEAD * HEAD


def _text(width: int, layers: int) -> CLIPTextConfig:
    words = _words()
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=max(2, layers),
        num_attention_heads=width // HEAD,
        projection_dim=width,
        bos_token_id=words[START],
        eos_token_id=words[END],
        pad_token_id=words[END],
    )


def _words() -> dict[str, int]:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), ",</w>", START, END]
    return {token: index for index, token in enumerate(tokens)}


def _tokenizer() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text(json.dumps(_words()))
        merges.write_text("#version: 0.2\n")
        return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=77)
