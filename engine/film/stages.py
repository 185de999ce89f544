"""The stages of a film, in order: what is made, of what, and what to call it.

A stage is one value here. The plan, a job's progress, its timeline, the preview budget, and what is
downloaded, moved to another engine and kept loop over ``STAGES``. The module of its name in
``engine.render.stages`` makes its pieces. Pure: the app reads this as well.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.film.graph import FilmNode, KeyframeNode, PosterNode, SegmentNode
from engine.film.recipe import Recipe

Node = KeyframeNode | SegmentNode | FilmNode | PosterNode  # of any stage


@dataclass(frozen=True)
class Stage:
    """One kind of piece.

    Attributes:
        name: as events, tasks and databases name it; also the tag of its node.
        of: of what there is one: a piece for each keyframe or segment of the plan, or for the film.
        media_type: of its file; a film's recipe may say otherwise.
        node: returns its node for a keyframe's or segment's, or for the ``Plan`` of the film; None
            where the plan itself lays the nodes out.
        wanted: whether a film has such pieces.
        paints: whether it needs the diffusion model.
        per_frame: whether its unit of work is a frame; else it is a piece.
        guess: seconds of one unit, before one was measured.
        cost: seconds of one unit on two cores, before a film was made on an engine, for a recipe
            and the work of its diffusion model, of the offline model's.
        pixel_bytes: bytes of one unit for each pixel, before one was made.
        expected: units of a film whose plan is not known yet.
        previews: previews of one unit where one of so many steps or frames is shown.
        piece, doing, done, unit: for people, in the singular: a piece, what the engine does, what
            was done to the piece, and the name of its steps.
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
    node: Callable[[Any], Node] | None = None
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


def _drawing(recipe: Recipe, _: float) -> float:
    return 0.01 + _patches(recipe) * (0.03 if recipe.interpolation_factor > 1 else 0.01)


def _patches(recipe: Recipe) -> float:
    return recipe.width * recipe.height / PATCH


KEYFRAME = Stage(
    name="keyframe",
    of="keyframe",
    media_type="image/png",
    piece="keyframe",
    doing="Painting keyframe",
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
SEGMENT = Stage(
    name="segment",
    of="segment",
    media_type="video/mp4",
    piece="in-between",
    doing="Filling gap",
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
FILM = Stage(
    name="film",
    of="film",
    media_type="video/mp4",
    piece="film",
    doing="Joining the film",
    done="joined",
    title="Film",
    cost=lambda *_: 0.5,
    node=lambda plan: plan.film,
)
POSTER = Stage(
    name="poster",
    of="film",
    media_type="image/png",
    piece="poster",
    doing="Choosing the poster",
    done="chosen",
    node=lambda plan: PosterNode(keyframes=_seen(plan.segments)),
)
STAGES = {stage.name: stage for stage in (KEYFRAME, SEGMENT, FILM, POSTER)}


def _seen(segments: Sequence[SegmentNode]) -> tuple[str, ...]:
    """Return the names of the keyframes that segments show, in order of time, each one once."""
    ends = (segment.second for segment in segments[-1:] if segment.closing)
    return tuple(dict.fromkeys([*(segment.first for segment in segments), *ends]))
