"""Tiny networks of Real-ESRGAN's two kinds with random weights, and files of them."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

WIDTH = 8  # channels of the tiny small network


def compact_state(factor: int = 4, convolutions: int = 3) -> dict[str, Tensor]:
    """Return weights of the small kind, under the official names."""
    draw = torch.Generator().manual_seed(factor)
    channels = [3, *[WIDTH] * (convolutions - 1), 3 * factor * factor]
    state: dict[str, Tensor] = {}
    for index in range(convolutions):
        wide, narrow = channels[index + 1], channels[index]
        shape = (wide, narrow, 3, 3)
        state[f"body.{2 * index}.weight"] = torch.randn(shape, generator=draw) / narrow**0.5 / 6
        state[f"body.{2 * index}.bias"] = torch.randn(wide, generator=draw) / 20
        if index < convolutions - 1:
            state[f"body.{2 * index + 1}.weight"] = torch.rand(wide, generator=draw)
    return state


def rrdb_state(blocks: int = 1) -> dict[str, Tensor]:
    """Return weights of the large kind, under the official names."""
    draw = torch.Generator().manual_seed(blocks)
    shapes = {"conv_first": (64, 3), "conv_last": (3, 64)}
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (64, 64))
    for block in range(blocks):
        for dense in (1, 2, 3):
            for index in range(1, 6):
                wide = 32 if index < 5 else 64
                shapes[f"body.{block}.rdb{dense}.conv{index}"] = (wide, 32 + 32 * index)
    state: dict[str, Tensor] = {}
    for name, (wide, narrow) in shapes.items():
        weight = torch.randn((wide, narrow, 3, 3), generator=draw)
        state[f"{name}.weight"] = weight / (3 * narrow**0.5)
        state[f"{name}.bias"] = torch.randn(wide, generator=draw) / 20
    return state


def compact_file(folder: Path, factor: int = 4, convolutions: int = 3) -> Path:
    """Write a tiny network of the small kind as safetensors."""
    path = folder / f"tiny{factor}.safetensors"
    save_file(compact_state(factor, convolutions), path)
    return path
