"""Pictures that show nothing, as a safety checker's hit or a number that overflowed leaves them.

A picture of one colour is painted again from the next seeds; whoever asked is told what came of it.
It knows neither the checker nor what takes a blank picture's place in a film.
"""

from collections.abc import Callable

from msgspec import structs

from engine.graph import KeyframeNode, Weighted
from engine.render.picture import Picture

MORE = 2  # seeds that are tried after the node's own
LEAST = 1.5  # of 255: standard deviation of the liveliest channel; fog and night skies have 5


def is_blank(picture: Picture) -> bool:
    """Tell whether a picture is black, or of one colour."""
    return float(picture.std(axis=(0, 1)).max()) < LEAST


def painted(node: KeyframeNode, paint: Callable[[KeyframeNode], Picture]) -> tuple[Picture, str]:
    """Have a keyframe painted, from the next seeds if need be; the same node ends the same way.

    Returns:
        The picture, and a word: ``rerolled`` if it is from another seed, ``blank`` if no seed
        helped, else nothing.
    """
    picture = paint(node)
    for number in range(1, MORE + 1):
        if not is_blank(picture):
            return picture, "rerolled" if number > 1 else ""
        picture = paint(_from_next_seed(node, number))
    return picture, "blank" if is_blank(picture) else "rerolled"


def _from_next_seed(node: KeyframeNode, number: int) -> KeyframeNode:
    first, second = ((int(seed) + number) % 2**32 for seed in (node.noise.first, node.noise.second))
    return structs.replace(node, noise=Weighted(first, second, node.noise.position))
