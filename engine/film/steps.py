"""What a plan asks for, step by step, and how much of it is known. Pure values."""

from typing import NamedTuple

import msgspec

from engine.film.graph import KeyframeNode, SegmentNode


class Paint(msgspec.Struct, frozen=True):
    """Keyframe ``index`` is needed; the answer is 1 if it came out blank, else 0."""

    index: int
    node: KeyframeNode


class Measure(msgspec.Struct, frozen=True):
    """The distance of two keyframes is needed; it is the answer.

    ``ends``: the gap, by index; ``first`` and ``second``: what is seen there, by name.
    """

    ends: tuple[int, int]
    first: str
    second: str


class Draw(msgspec.Struct, frozen=True):
    """Segment ``index`` is needed; the answer does not matter."""

    index: int
    node: SegmentNode


Step = Paint | Measure | Draw


class Size(NamedTuple):
    """How much of a plan is known."""

    keyframes: int = 0
    segments: int = 0
    gaps: int = 0
