"""Draws the frames between two keyframes, and encodes them as they come."""

from collections.abc import Iterable, Iterator, Sequence
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
    enlarged = _enlarged(piece, context)
    height, width = (enlarged[0] if enlarged else first).shape[:2]
    frames = bridge.frames(piece.node, first, second, context.interpolator, enlarged)
    encode.encode_segment(
        Path(piece.target),
        _reported(frames, piece, context),
        fps=piece.node.fps,
        width=width,
        height=height,
        quick=enlarged is not None,
    )
    return [bridge.bridge_of(piece.node, first, second)]


def _enlarged(piece: Piece, context: Context) -> tuple[Picture, Picture] | None:
    """Read both keyframes, enlarged; None if the film shows them as painted."""
    if not piece.node.enlarged:
        return None
    first, second = (context.picture(name) for name in piece.node.enlarged)
    assert first is not None
    assert second is not None
    return first, second


def _reported(frames: Iterable[Picture], piece: Piece, context: Context) -> Iterator[Picture]:
    """Yield the frames, report each one, and stop when the job does."""
    total = piece.node.length
    for number, frame in enumerate(frames, 1):
        context.check()
        yield frame
        context.advance(piece.index, number, total)
        context.preview(frame, "frame", piece.index, number, total)
