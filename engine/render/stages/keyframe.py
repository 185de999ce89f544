"""Paints keyframes with the film's diffusion model."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine.render.image import Picture, write_png
from engine.render.painting import blank
from engine.render.stages.context import Context, Piece


def make(pieces: Sequence[Piece], context: Context) -> list[str]:
    """Paint keyframes at once; see ``engine.render.stages.context.Make``."""
    assert context.painter
    node = pieces[0].node

    def on_step(indexes: Sequence[int], step: int, steps: int, latents: Any) -> None:
        for index in indexes:
            context.advance(index, step, steps)
        about = {"index": indexes[0], "kind": "step", "step": step, "steps": steps}
        context.previewer.offer(latents[:1], {"job": context.job, **about})

    paint = partial(
        context.painter.paint_at_once,
        source=context.picture(node.source),
        anchor=context.picture(node.anchor),
        subject=context.picture(node.subject or ""),
        on_step=on_step,
        cancelled=context.stopped,
    )
    painted = blank.painted({piece.index: piece.node for piece in pieces}, paint)
    return [_finish(piece, *painted[piece.index], context) for piece in pieces]


def _finish(piece: Piece, picture: Picture, word: str, context: Context) -> str:
    """Write a keyframe that is painted, and return the words about it."""
    assert context.painter
    steps = piece.node.num_inference_steps
    if word != "blank":
        context.preview(picture, "keyframe", piece.index, steps, steps)
    write_png(Path(piece.target), picture)
    return " ".join(filter(None, [*context.painter.memory.words(piece.node.rows), word]))
