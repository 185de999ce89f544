"""Blank pictures, as a safety checker or a numeric overflow leaves them.

A picture of one colour is painted again from the next seeds; the result says which one was used.
It knows neither the checker nor what replaces a blank picture in a film.
"""

from collections.abc import Callable, Mapping

from msgspec import structs

from engine.film.graph import Blend, KeyframeNode
from engine.render.image import Picture

EXTRA_SEEDS = 2  # seeds to try after the node's own
# Of 255: standard deviation of the liveliest channel; fog and night skies have 5.
MIN_CHANNEL_DEVIATION = 1.5


def is_blank(picture: Picture) -> bool:
    """Return whether a picture is black, or of one colour."""
    return float(picture.std(axis=(0, 1)).max()) < MIN_CHANNEL_DEVIATION


def painted(
    nodes: Mapping[int, KeyframeNode],
    paint: Callable[[Mapping[int, KeyframeNode]], dict[int, Picture]],
) -> dict[int, tuple[Picture, str]]:
    """Paint keyframes, from the next seeds if needed; the same node gives the same result.

    Args:
        nodes: by index.
        paint: returns pictures by index, too.

    Returns:
        The pictures, each with a word: ``rerolled`` if it is from another seed, ``blank`` if no
        seed helped, else nothing.
    """
    pictures, again = paint(nodes), set[int]()
    for number in range(1, EXTRA_SEEDS + 1):
        blanks = [index for index in nodes if is_blank(pictures[index])]
        if not blanks:
            break
        again.update(blanks)
        pictures |= paint({index: _from_next_seed(nodes[index], number) for index in blanks})
    return {index: (pictures[index], _word(pictures[index], index in again)) for index in nodes}


def _word(picture: Picture, again: bool) -> str:
    if is_blank(picture):
        return "blank"
    return "rerolled" if again else ""


def _from_next_seed(node: KeyframeNode, number: int) -> KeyframeNode:
    first, second = ((int(seed) + number) % 2**32 for seed in (node.noise.first, node.noise.second))
    return structs.replace(node, noise=Blend(first, second, node.noise.position))
