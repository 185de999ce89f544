"""Blends of noises and of prompt embeddings, at any position between two.

Pure arithmetic on tensors; it knows no model.
"""

import torch
from torch import Tensor

PARALLEL = 1e-4  # radians; below this angle the arc is its chord


def slerp(first: Tensor, second: Tensor, position: float, *, dim: int | None = None) -> Tensor:
    """Return the point at ``position`` on the arc between two vectors, its norm kept.

    The direction turns at constant speed; the norm goes linearly from the first one's to the
    second one's, so that Gaussian noise stays as strong as the model expects it. A plain mean of
    two noises would have 0.71 times their strength, and paint grey mist.

    Args:
        first: any shape.
        second: same shape.
        position: 0 gives exactly ``first``, 1 exactly ``second``.
        dim: the dimension that holds the vectors; None takes the whole tensor as one vector.

    Source: Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, there for unit
    quaternions.
    """
    if position in (0, 1):
        return second if position else first
    dims = tuple(range(first.dim())) if dim is None else (dim,)
    a, b = first.double(), second.double()
    norm_a, norm_b = (torch.linalg.vector_norm(v, dim=dims, keepdim=True) for v in (a, b))
    a, b = a / norm_a.clamp_min(1e-12), b / norm_b.clamp_min(1e-12)
    angle = (a * b).sum(dims, keepdim=True).clamp(-1, 1).arccos()
    straight = (angle < PARALLEL) | (angle > torch.pi - PARALLEL)  # no arc, or no one arc
    safe = torch.where(straight, torch.ones_like(angle), angle)
    along_a = torch.where(straight, 1 - position, ((1 - position) * safe).sin() / safe.sin())
    along_b = torch.where(straight, position, (position * safe).sin() / safe.sin())
    norm = (1 - position) * norm_a + position * norm_b
    blended: Tensor = norm * (along_a * a + along_b * b)
    return blended.to(first.dtype)


def noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal noise, float32, drawn on the CPU so that every device gets the same.

    Args:
        seed: in [0, 2**32).
        shape: ``(1, channels, height / 8, width / 8)``.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def blended_noise(first: int, second: int, position: float, shape: tuple[int, ...]) -> Tensor:
    """Return the noise at ``position`` between those of two seeds, as ``noise`` gives them."""
    if position == 0:
        return noise(first, shape)
    return slerp(noise(first, shape), noise(second, shape), position)


def blended_embeddings(first: Tensor, second: Tensor, position: float) -> Tensor:
    """Return prompt embeddings between two, each token turned on its own arc.

    Token by token, because norms differ widely between tokens (in CLIP the first outweighs all
    others), and one arc for all would let that one decide the angle.

    Args:
        first: ``(1, tokens, width)``.
        second: same shape.
        position: 0 gives exactly ``first``.
    """
    return slerp(first, second, position, dim=-1)
