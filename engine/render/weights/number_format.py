"""Lets a UNet compute in another number format than the pipeline around it.

It casts what goes in and what comes out; it knows no device and no model.
"""

from typing import Any

import torch
from torch import Tensor


def compute_in(dtype: torch.dtype, unet: Any) -> None:
    """Convert a UNet's weights; callers go on passing and getting tensors of their own format.

    Args:
        dtype: what the network computes in from now on.
        unet: diffusers' UNet with a text condition, called as its pipelines call it.
    """
    unet.to(dtype)
    outer = dtype

    def enter(_unet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal outer
        sample, *rest = args  # the time step stays: rounded, it would be another one
        outer = sample.dtype
        kwargs = {name: _cast(value, dtype) for name, value in kwargs.items()}
        return (sample.to(dtype), *rest), kwargs

    def leave(_unet: Any, _args: Any, output: Any) -> Any:
        return (output[0].to(outer), *output[1:])

    unet.register_forward_pre_hook(enter, with_kwargs=True)
    unet.register_forward_hook(leave)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, dict):
        return {name: _cast(part, dtype) for name, part in value.items()}
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
