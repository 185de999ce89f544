"""Enlarges keyframes with the film's upscaler."""

from collections.abc import Sequence
from pathlib import Path

from engine.render.image import write_png
from engine.render.stages.context import Context, Piece


def make(pieces: Sequence[Piece], context: Context) -> list[str]:
    """Enlarge one keyframe; see ``engine.render.stages.context.Make``."""
    assert context.upscaler
    (piece,) = pieces
    painted = context.picture(piece.node.keyframe)
    assert painted is not None
    write_png(Path(piece.target), context.upscaler.enlarge(painted, context.check))
    return [""]
