"""The stages of a film, in order: what is made, of what, and what to call it.

A stage is one value here. The plan, a job's progress, its timeline, the preview budget, and what is
downloaded, moved to another engine and kept loop over ``STAGES``. The module of its name in
``engine.render.stages`` makes its pieces. Pure: the app reads this as well.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import UNSET

from engine.film import graph
from engine.film.graph import (
    EnlargedNode,
    FilmNode,
    KeyframeNode,
    PosterNode,
    SegmentNode,
    SoundtrackNode,
)
from engine.film.recipe import Recipe

Node = (
    KeyframeNode | EnlargedNode | SegmentNode | SoundtrackNode | FilmNode | PosterNode
)  # of any stage


@dataclass(frozen=True)
class Stage:
    """One kind of piece.

    Attributes:
        name: as events, tasks and databases name it; also the tag of its node.
        of: of what there is one: a piece for each keyframe or segment of the plan, or for the film.
        media_type: of its file; a film's recipe may say otherwise.
        node: returns its node for the ``Plan`` of the film and the keyframe's or segment's node
            that it is made of; None where the plan itself lays the nodes out.
        wanted: whether a film has such pieces.
        paints: whether it needs the diffusion model.
        per_frame: whether its unit of work is a frame; else it is a piece.
        guess: seconds of one unit, before one was measured.
        cost: seconds of one unit on two cores, before a film was made on an engine, for a recipe
            and the work of its diffusion model, of the offline model's.
        pixel_bytes: bytes of one unit for each of its pixels, before one was made.
        expected: units of a film whose plan is not known yet.
        previews: previews of one unit where one of so many steps or frames is shown.
        piece, doing, done, unit: for people: a piece, what the engine does to all of them, what
            was done to one, and the name of its steps.
        title: of its place in the timeline; "" for none.
    """

    name: str
    of: Literal["keyframe", "segment", "film"]
    media_type: str
    piece: str
    doing: str
    done: str
    unit: str = ""
    title: str = ""
    node: Callable[[Any, Any], Node] | None = None
    wanted: Callable[[Recipe], bool] = lambda _: True
    paints: bool = False
    per_frame: bool = False
    guess: float = 0.0
    cost: Callable[[Recipe, float], float] = lambda *_: 0.0
    pixel_bytes: float = 0.0
    expected: Callable[[Recipe], int] = lambda _: 1
    previews: Callable[[Recipe, int], float] = lambda *_: 0.0


PATCH = 256 * 256  # pixels
SUBJECT_WORK = 1.97  # operations of a keyframe that looks at another, as a share of others'


def _painting(recipe: Recipe, work: float) -> float:
    passes = 2 if recipe.guided else 1
    each = 0.06 * work * passes * (SUBJECT_WORK if recipe.anchor_attention else 1)
    return 0.1 + _patches(recipe) * (each * recipe.num_inference_steps + 0.4)


def _enlarging(recipe: Recipe, _: float) -> float:
    return _patches(recipe) * (0.3 + 0.01 * recipe.enlargement**2)


def _drawing(recipe: Recipe, _: float) -> float:
    more = recipe.enlargement**2 - 1
    found = 0.03 if recipe.interpolation_factor > 1 else 0.01
    return 0.01 + _patches(recipe) * (found + 0.01 * more)


def _patches(recipe: Recipe) -> float:
    return recipe.width * recipe.height / PATCH


KEYFRAME = Stage(
    name="keyframe",
    of="keyframe",
    media_type="image/png",
    piece="keyframe",
    doing="Painting keyframes",
    done="painted",
    unit="step",
    title="Keyframes",
    paints=True,
    guess=3.0,
    cost=_painting,
    pixel_bytes=1.0,
    expected=lambda recipe: recipe.frames // recipe.interpolation_factor + 2,
    previews=lambda recipe, every: math.ceil(recipe.num_inference_steps / every) + 1,
)
ENLARGED = Stage(
    name="enlarged",
    of="keyframe",
    media_type="image/png",
    piece="enlarged keyframe",
    doing="Enlarging keyframes",
    done="enlarged",
    title="Enlarged",
    node=lambda plan, keyframe: plan.enlarged(keyframe),
    wanted=lambda recipe: recipe.enlargement > 1,
    guess=1.0,
    cost=_enlarging,
    pixel_bytes=0.7,
    expected=lambda recipe: KEYFRAME.expected(recipe) * (recipe.enlargement > 1),
)
SEGMENT = Stage(
    name="segment",
    of="segment",
    media_type="video/mp4",
    piece="in-between",
    doing="Drawing in-betweens",
    done="drawn",
    unit="frame",
    title="In-betweens",
    per_frame=True,
    guess=0.1,
    cost=_drawing,
    pixel_bytes=0.10,
    expected=lambda recipe: recipe.frames,
    previews=lambda _, every: 1 / every,
)
SOUNDTRACK = Stage(
    name="soundtrack",
    of="film",
    media_type="audio/flac",
    piece="soundtrack",
    doing="Composing the music",
    done="composed",
    node=lambda plan, _: graph.soundtrack(plan.recipe),
    wanted=lambda recipe: recipe.has_music,
    cost=lambda recipe, _: 0.5 + 0.06 * recipe.seconds,
    expected=lambda recipe: int(recipe.has_music),
)
FILM = Stage(
    name="film",
    of="film",
    media_type="video/mp4",
    piece="film",
    doing="Joining the film",
    done="joined",
    title="Film",
    cost=lambda *_: 0.5,
    node=lambda plan, _: plan.film,
)
POSTER = Stage(
    name="poster",
    of="film",
    media_type="image/png",
    piece="poster",
    doing="Choosing the poster",
    done="chosen",
    node=lambda plan, _: _poster(plan.segments),
)
STAGES = {stage.name: stage for stage in (KEYFRAME, ENLARGED, SEGMENT, SOUNDTRACK, FILM, POSTER)}


def _poster(segments: Sequence[SegmentNode]) -> PosterNode:
    """Return the poster of the keyframes that segments show, in order of time, each one once."""
    closing = [node.closing for node in segments]
    painted = _seen([(node.first, node.second) for node in segments], closing)
    enlarged = _seen([node.enlarged for node in segments if node.enlarged], closing)
    return PosterNode(keyframes=painted, enlarged=enlarged or UNSET)


def _seen(ends: Sequence[tuple[str, str]], closing: Sequence[bool]) -> tuple[str, ...]:
    """Return the first of each pair, and the second where the pair closes the film."""
    last = (second for (_, second), closes in zip(ends[-1:], closing[-1:], strict=False) if closes)
    return tuple(dict.fromkeys([*(first for first, _ in ends), *last]))
