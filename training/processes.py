"""Lets several one-thread processes train one model, under torchrun.

On a machine shared with others that is far faster than threads, which wait for each other
at every layer. Without torchrun there is one process, and nothing here does anything.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")
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


def shares(tensors: Sequence[T], key: Callable[[T], float]) -> list[list[T]]:
    """Return for each process the tensors that it has to work on, about as much for each.

    ``key`` says how much work a tensor is. All processes get the same answer.
    """
    found: list[list[T]] = [[] for _ in range(COUNT)]
    for tensor in sorted(tensors, key=key, reverse=True):
        min(found, key=lambda share: sum(map(key, share))).append(tensor)
    return found


@torch.no_grad()
def exchange(shared: Sequence[Sequence[torch.Tensor]]) -> None:
    """Give each process's tensors, the first process's first, the values that they have there."""
    if COUNT == 1:
        return
    for process, tensors in enumerate(shared):
        if not tensors:
            continue
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.broadcast(flat, process)
        if process != RANK:
            for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view(tensor.shape))


def gathered(value: T) -> list[T]:
    """Return the values of all processes to the first; the others get their own alone."""
    if COUNT == 1:
        return [value]
    values: list[T] | None = [value] * COUNT if RANK == 0 else None
    torch.distributed.gather_object(value, values)
    return values or [value]
