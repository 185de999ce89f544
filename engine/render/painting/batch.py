"""Keyframes as the rows of a batch: what a pipeline's call takes for all of them at once.

On a CPU in float32 a keyframe is the same bit for bit in every row, whatever stands beside it, as
long as the number of rows stays the same and is one of ``graph.BATCHES``; the last of three, five
or seven rounded otherwise at some sizes. It knows neither pipelines nor memory.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from engine.film.graph import KeyframeNode
from engine.render.painting.noise import blended_noise, step_noises, turned_noise
from engine.render.painting.prompts import Prompts

Shape = tuple[int, int, int, int]  # of one row: (1, channels, height / 8, width / 8)


def padded(nodes: Sequence[KeyframeNode]) -> list[KeyframeNode]:
    """Return as many rows as the nodes say: them, and repeats of the first."""
    return [*nodes, *[nodes[0]] * (nodes[0].rows - len(nodes))]


def noises_of(rows: Sequence[KeyframeNode], shape: Shape) -> Tensor:
    """Return the initial latents ``(rows, channels, height / 8, width / 8)``, unscaled."""
    return torch.cat([_noise(node, shape) for node in rows])


def step_noises_of(rows: Sequence[KeyframeNode], shape: Shape) -> Callable[[], Tensor]:
    """Return what draws the noise of the next step, for samplers that inject some."""
    noises = [_step_noises(node, shape) for node in rows]
    return lambda: torch.cat([next(each) for each in noises])


def arguments_of(rows: Sequence[KeyframeNode], prompts: Prompts) -> dict[str, Tensor]:
    """Return what a pipeline's call takes in place of texts."""
    guided = rows[0].guidance_scale > 1
    found = [
        prompts.arguments(node.prompt, node.negative_prompt if guided else None) for node in rows
    ]
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def _noise(node: KeyframeNode, shape: Shape) -> Tensor:
    first, second = int(node.noise.first), int(node.noise.second)
    if node.turn:
        return turned_noise(first, node.turn, shape, node.drift)
    return blended_noise(first, second, node.noise.position, shape, node.drift)


def _step_noises(node: KeyframeNode, shape: Shape) -> Iterator[Tensor]:
    first, second = int(node.noise.first), int(node.noise.second)
    drift = 0.0 if node.turn else node.drift  # one that is the same all the way round
    return step_noises(first, second, node.noise.position, shape, drift)
