"""Lets several one-thread processes train one model, under torchrun.

On a machine shared with others that is far faster than threads, which wait for each other
at every layer. Without torchrun there is one process, and nothing here does anything.
"""

import os
from collections.abc import Iterable

import torch

RANK = int(os.environ.get("RANK", 0))
COUNT = int(os.environ.get("WORLD_SIZE", 1))


def start(threads: int) -> None:
    """Meet the other processes; alone, use `threads` threads."""
    torch.set_num_threads(threads if COUNT == 1 else 1)
    if COUNT > 1:
        torch.distributed.init_process_group("gloo")


def together(value: float) -> float:
    """Return the first process's value in all of them, so that they end at one step."""
    if COUNT == 1:
        return value
    shared = torch.tensor(value)
    torch.distributed.broadcast(shared, 0)
    return shared.item()


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes."""
    if COUNT == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    at = 0
    for gradient in gradients:
        mean = flat[at : at + gradient.numel()].view(gradient.shape) / COUNT
        gradient.copy_(mean)
        at += gradient.numel()
