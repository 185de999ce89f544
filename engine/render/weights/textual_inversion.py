"""Textual inversions: embeddings of new words, which prompts call by the name of their file.

It knows the layouts of their files and diffusers' way to load them; it fuses and paints nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

# One tensor alone is for Stable Diffusion 1.x, whatever it is called ("emb_params" mostly).
SDXL_PARTS = {"clip_l": ("text_encoder", "tokenizer"), "clip_g": ("text_encoder_2", "tokenizer_2")}


def is_textual_inversion(path: Path) -> bool:
    """Return whether a file of weights holds embeddings of words, and no LoRA."""
    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return False
    alone = len(shapes) == 1 and all(1 <= len(shape) <= 2 for shape in shapes.values())
    return alone or shapes.keys() == SDXL_PARTS.keys()


def add(path: Path, pipe: Any) -> None:
    """Teach a pipeline's text encoders the word that a file is named after.

    Raises:
        ValueError: the embeddings are for another family, or the tokenizer knows the word already.
    """
    word, embeddings = path.stem, load_file(path)
    large = hasattr(pipe, "text_encoder_2")
    if large != (embeddings.keys() == SDXL_PARTS.keys()):
        kind = "SDXL" if not large else "Stable Diffusion 1.x"
        raise ValueError(f"its embeddings are for {kind}")
    for encoder, tokenizer, vectors in _parts(pipe, embeddings):
        width = encoder.get_input_embeddings().embedding_dim
        if vectors.shape[-1] != width:
            raise ValueError(f"its embeddings have {vectors.shape[-1]} numbers, not {width}")
        pipe.load_textual_inversion(
            {word: vectors}, token=word, text_encoder=encoder, tokenizer=tokenizer
        )


def _parts(pipe: Any, embeddings: Mapping[str, Tensor]) -> list[tuple[Any, Any, Tensor]]:
    """Return a text encoder, its tokenizer and the embeddings for it, for each encoder."""
    if embeddings.keys() == SDXL_PARTS.keys():
        parts = SDXL_PARTS.items()
        return [(getattr(pipe, e), getattr(pipe, t), embeddings[key]) for key, (e, t) in parts]
    (vectors,) = embeddings.values()
    return [(pipe.text_encoder, pipe.tokenizer, vectors)]
