"""Composes the film's music, and plays it into a file."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.music import compose, length, render
from engine.music.instruments import RATE
from engine.render.stages.context import Context, Piece
from engine.render.video.sound import encode_flac


def make(pieces: Sequence[Piece], context: Context) -> list[str]:
    """Compose one soundtrack."""
    (piece,) = pieces
    node = piece.node
    score = compose(node.scenes, loops=node.loops, seed=node.seed)
    sound = np.zeros((length(score), 2), np.float32)
    render(score, sound, context.check)
    with tempfile.TemporaryDirectory() as scratch:
        encode_flac(Path(piece.target), sound, RATE, Path(scratch) / "sound")
    return [""]
