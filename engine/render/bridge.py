"""A segment's frames: how the gap between two keyframes is bridged, and what stands in between.

It knows pictures and what moves one into the other; it knows neither files, nor jobs, nor who
watches.
"""

from collections.abc import Iterator

from engine.film.graph import SegmentNode
from engine.render.image import Picture
from engine.render.painting import warp
from engine.render.rife.interpolator import Interpolator, fade
from engine.render.rife.similarity import judge

# What motion cannot connect between keyframes: above this, moons and trees came out in shreds. They
# are painted anew, so that what seems to move has often only vanished here and appeared there.
TORN = 0.015


def frames(
    node: SegmentNode,
    first: Picture,
    second: Picture,
    interpolator: Interpolator,
    enlarged: tuple[Picture, Picture] | None = None,
) -> Iterator[Picture]:
    """Yield the frames of a segment, in order of time.

    Args:
        node: what they are.
        first: its first keyframe, uint8 RGB ``(height, width, 3)``.
        second: its other one, of the same shape.
        interpolator: draws in-betweens where they are neither known nor faded.
        enlarged: both keyframes, a whole number of times as large, which are shown instead. How
            they move is found on the others.
    """
    shown = enlarged or (first, second)
    yield shown[0]
    bridge = bridge_of(node, first, second)
    if bridge in ("hold", "copy"):
        yield from (shown[0].copy() for _ in node.positions)
    elif bridge in ("fade", "crossfade"):
        yield from (fade(*shown, position) for position in node.positions)
    elif node.move:
        yield from (warp.between(*shown, node.move, at) for at in node.positions)
    else:
        yield from interpolator.between(first, second, node.positions, enlarged)
    if node.closing:
        yield shown[1]


def bridge_of(node: SegmentNode, first: Picture, second: Picture) -> str:
    """Return how the gap between two keyframes is bridged, as the plan has it or pictures allow."""
    if node.bridge != "flow":
        return node.bridge
    if not node.positions:
        return "copy"
    if node.move:
        return "interpolate"
    verdict = judge(first, second)
    torn = verdict.mode == "interpolate" and verdict.unexplained > TORN
    return "crossfade" if torn else verdict.mode
