"""Blends of noises and of prompt embeddings, at any position between two.

Pure arithmetic on tensors; it knows no model.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from engine.film.camera import HORIZON
from engine.film.graph import LoopPhase

MIN_ARC_ANGLE = 1e-4  # radians; below this angle the arc is its chord
# Between seeds of one strip; far from the walk's, which goes by ones.
STRIP_SEED_STRIDE = 0x9E3779B9
LEFT_SEED_OFFSET = 2**31  # from a seed to that of what lies to the left of its noise
HORIZON_SPEED_SHARE = 0.25  # speed just below the horizon, as a share of the lowest row's


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
    straight = (angle < MIN_ARC_ANGLE) | (angle > torch.pi - MIN_ARC_ANGLE)  # no arc, or no one arc
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


def drifted_noise(seed: int, shape: tuple[int, ...], drift: float) -> Tensor:
    """Return a seed's noise with its rows below the horizon moved to the left, lower ones more.

    Pictures follow their noise, so the ground moves past while sun and sky stay. Rows move by whole
    cells, which keeps every value; at the right the generator's next values come in, at the left
    those of another generator.

    Args:
        seed: in [0, 2**32).
        shape: ``(1, channels, height / 8, width / 8)``.
        drift: of the lowest row, in picture widths; 0 gives exactly ``noise``, below 0 it has moved
            to the right.
    """
    left = _blocks((seed + LEFT_SEED_OFFSET) % 2**32, shape, math.ceil(max(0.0, -drift)))
    blocks = [*reversed(left), *_blocks(seed, shape, int(max(0.0, drift)) + 2)]
    strip = torch.cat(blocks, dim=-1)  # (1, channels, height / 8, blocks * width / 8)
    return _drifted(strip, shape, drift, len(left) * shape[-1])


def turned_noise(seed: int, turn: LoopPhase, shape: tuple[int, ...], drift: float) -> Tensor:
    """Return the noise of a loop, which ends where it began.

    It follows a circle whose centre is near the seed's own noise, through those of two others. A
    second drifting ground, a whole loop behind the first, replaces it gradually, so that the ground
    ends where it began.

    Args:
        seed: in [0, 2**32).
        turn: the place on the loop.
        shape: ``(1, channels, height / 8, width / 8)``.
        drift: as in ``drifted_noise``.
    """
    angle = 2 * math.pi * turn.share

    def at(moved: float) -> Tensor:
        centre, across, along = (
            drifted_noise((seed + other) % 2**32, shape, moved) for other in range(3)
        )
        round_ = math.cos(angle) * across + math.sin(angle) * along
        return math.sqrt(1 - turn.radius**2) * centre + turn.radius * round_

    if drift == turn.behind:
        return at(drift)
    return slerp(at(drift), at(turn.behind), turn.share)


def blended_noise(
    first: int, second: int, position: float, shape: tuple[int, ...], drift: float = 0.0
) -> Tensor:
    """Return the noise at ``position`` between those of two seeds, drifted alike."""
    if position == 0:
        return drifted_noise(first, shape, drift)
    return slerp(drifted_noise(first, shape, drift), drifted_noise(second, shape, drift), position)


def step_noises(
    first: int, second: int, position: float, shape: tuple[int, ...], drift: float = 0.0
) -> Iterator[Tensor]:
    """Yield the noises that a sampler injects, one a step, between those of two seeds.

    Without drift a seed's are what its generator draws after the noise that the picture begins
    with, as in a plain diffusers pipeline that got this generator.

    Args:
        first: seed in [0, 2**32).
        second: another.
        position: 0 gives exactly the first one's.
        shape: ``(1, channels, height / 8, width / 8)``.
        drift: as in ``drifted_noise``.
    """
    of_first, of_second = _steps(first, shape, drift), _steps(second, shape, drift)
    while True:
        noise = next(of_first)
        yield slerp(noise, next(of_second), position) if position else noise


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


def _blocks(seed: int, shape: tuple[int, ...], count: int) -> list[Tensor]:
    """Return the noises that a generator draws one after the other."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def _start(depth: float, cells: float) -> int:
    """Return the number of cells by which the row at ``depth`` (0 top, 1 bottom) has moved."""
    near = (depth - HORIZON) / (1 - HORIZON)
    return (
        round(cells * (HORIZON_SPEED_SHARE + (1 - HORIZON_SPEED_SHARE) * near)) if near > 0 else 0
    )


def _steps(seed: int, shape: tuple[int, ...], drift: float) -> Iterator[Tensor]:
    """Yield a seed's noises after the first; each block of the strip is drawn by its own seed."""
    seeds = [
        (seed + block * STRIP_SEED_STRIDE) % 2**32
        for block in range(int(drift) + 2 if drift else 1)
    ]
    generators = [torch.Generator("cpu").manual_seed(each) for each in seeds]
    first = True
    while True:
        blocks = [torch.randn(shape, generator=generator) for generator in generators]
        if not first:
            yield _drifted(torch.cat(blocks, dim=-1), shape, drift)
        first = False


def _drifted(strip: Tensor, shape: tuple[int, ...], drift: float, origin: int = 0) -> Tensor:
    """Return the window of a strip ``(1, channels, height / 8, wider)`` that drift has reached.

    ``origin``: cells of the strip to the left of where it begins.
    """
    height, width = shape[-2:]
    rows = [
        strip[..., row, origin + _start(row / max(1, height - 1), drift * width) :][..., :width]
        for row in range(height)
    ]
    return torch.stack(rows, dim=-2)
