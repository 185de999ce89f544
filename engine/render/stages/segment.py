"""Draws the frames between two keyframes, and encodes them as they come."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.render import bridge
from engine.render.image import Picture
from engine.render.stages.context import Context, Piece
from engine.render.video import encode


def make(pieces: Sequence[Piece], context: Context) -> list[str]:
    """Draw one segment and return how its gap was bridged."""
    (piece,) = pieces
    first, second = (context.picture(name) for name in (piece.node.first, piece.node.second))
    assert first is not None
    assert second is not None
    height, width = first.shape[:2]
    encode.encode_segment(
        Path(piece.target),
        _frames(piece, first, second, context),
        fps=piece.node.fps,
        width=width,
        height=height,
    )
    return [bridge.bridge_of(piece.node, first, second)]


def _frames(piece: Piece, first: Picture, second: Picture, context: Context) -> Iterator[Picture]:
    """Yield the frames, report each one, and stop when the job does."""
    total = piece.node.length
    frames = bridge.frames(piece.node, first, second, context.interpolator)
    for number, frame in enumerate(frames, 1):
        context.check()
        yield frame
        context.advance(piece.index, number, total)
        context.preview(frame, "frame", piece.index, number, total)
