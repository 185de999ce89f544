"""Joins segments and soundtrack into the film, and measures how smooth it is."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET

from engine.film.events import Shape, encode_shape
from engine.film.recipe_json import encode_recipe
from engine.render.stages.context import Context, Piece
from engine.render.video import encode, smoothness
from engine.render.video.sound import Mix


def make(pieces: Sequence[Piece], context: Context) -> list[str]:
    """Join one film and return its encoded shape."""
    (piece,) = pieces
    recipe, target = piece.node.recipe, Path(piece.target)
    heard = piece.node.soundtrack
    film = encode.join_film(
        target,
        [Path(context.inputs[name]) for name in piece.node.segments],
        recipe_json=encode_recipe(recipe),
        format=recipe.format,
        fps=recipe.fps,
        frames=recipe.frames,
        soundtrack=Path(context.inputs[heard]) if heard else None,
        mix=Mix(
            volume=1.0 if recipe.music_volume is UNSET else recipe.music_volume,
            fade_in=recipe.music_fade_in or 0.0,
            fade_out=recipe.music_fade_out or 0.0,
        ),
    )
    shape = Shape(
        frames=film.frames,
        seconds=float(film.seconds),
        width=film.width,
        height=film.height,
        scores=smoothness.measure(target, film, context.check),
    )
    return [encode_shape(shape)]
