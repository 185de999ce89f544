"""A pipeline's VAE in a number format that holds its values.

SDXL's own leaves the range of float16, where everything becomes "not a number" and pictures black.
diffusers' pipelines compute in float32 then; so must everybody else who encodes or decodes. Other
VAEs do so now and then, which shows only in what they give: that is computed again in float32.
It knows diffusers' families; it knows no keyframes.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from engine.errors import NotANumberError

SDXL_PIPELINE: Any = StableDiffusionXLPipeline
log = logging.getLogger(__name__)


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


def let_recover(vae: Any) -> None:
    """Let a VAE in half precision compute what it could not in float32, picture by picture.

    A picture's values then depend on nothing but the picture, whatever was painted before or
    beside it. Latents that are no numbers themselves are left as they are: the network gave them.

    Raises, when it decodes:
        NotANumberError: float32 does not help.
    """
    decode = vae.decode

    @wraps(decode)
    def decode_checked(z: Tensor, *args: Any, **named: Any) -> Any:
        result = decode(z, *args, **named)
        pictures: Tensor = result[0]
        if z.dtype == torch.float16 and not bool(pictures.isfinite().all()):
            well = z.isfinite().flatten(1).all(1) & ~pictures.isfinite().flatten(1).all(1)
            for row in well.nonzero().flatten().tolist():
                pictures[row] = _in_float32(vae, decode, z[row : row + 1])
        return result

    vae.decode = decode_checked


def _in_float32(vae: Any, decode: Callable[..., Any], latents: Tensor) -> Tensor:
    """Return a picture ``(3, height, width)``, decoded in float32."""
    log.warning("The VAE left the range of float16; this picture is decoded in float32.")
    vae.to(dtype=torch.float32)
    try:
        picture: Tensor = decode(latents.float(), return_dict=False)[0][0]
    finally:
        vae.to(dtype=latents.dtype)
    if not picture.isfinite().all():
        raise NotANumberError("the model's VAE gives values that are no numbers, also in float32")
    return picture
