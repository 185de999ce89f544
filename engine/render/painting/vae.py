"""A pipeline's VAE in a number format that holds its values.

SDXL's own leaves the range of float16, where everything becomes "not a number" and pictures black.
diffusers' pipelines compute in float32 then; so must everybody else who encodes or decodes. It
knows diffusers' families; it knows no keyframes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

SDXL_PIPELINE: Any = StableDiffusionXLPipeline


@contextmanager
def in_range(pipe: Any) -> Iterator[torch.dtype]:
    """Let a pipeline's VAE compute in a format that does not overflow, and yield that format.

    Args:
        pipe: of the families of Stable Diffusion 1.5 or SDXL; as diffusers has it, only the
            latter's VAE may have to change.
    """
    vae, dtype = pipe.vae, pipe.vae.dtype
    overflows = dtype == torch.float16 and isinstance(pipe, SDXL_PIPELINE)
    if not (overflows and vae.config.force_upcast):
        yield dtype
        return
    vae.to(dtype=torch.float32)
    try:
        yield torch.float32
    finally:
        vae.to(dtype=dtype)
