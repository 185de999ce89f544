"""Plans that are carried out without painting: distances and blanks are made up by the test."""

import itertools
import random
from collections.abc import Callable

from engine.film.graph import KeyframeNode
from engine.film.plan import MakeStep, MeasureStep, Plan, Step
from engine.film.recipe import Recipe
from engine.film.stages import KEYFRAME


def worked(
    recipe: Recipe,
    *,
    model: str = "m@1",
    interpolator: str = "i@1",
    distance: Callable[[KeyframeNode, KeyframeNode], float] = lambda a, b: 0.1,
    blank: Callable[[int], bool] = lambda index: False,
    mix: random.Random | None = None,
) -> tuple[Plan, list[Step]]:
    """Carry a plan out to its end; return it and its steps.

    Args:
        recipe: of the film.
        model: identity of its weights.
        interpolator: identity of its network.
        distance: of two keyframes.
        blank: whether a keyframe comes out blank.
        mix: does what is ready in any order; else it is done in the plan's own.
    """
    plan, steps = Plan(recipe, model=model, interpolator=interpolator), []
    while ready := [*itertools.islice(plan.ready(), None if mix else 1)]:
        step, answer = mix.choice(ready) if mix else ready[0], 0.0
        if isinstance(step, MakeStep) and step.stage is KEYFRAME:
            answer = float(blank(step.index))
        if isinstance(step, MeasureStep):
            by_name = {node.name: node for node in plan.keyframes}
            answer = distance(by_name[step.first], by_name[step.second])
        plan.take(step, answer)
        steps.append(step)
    return plan, steps
