"""Animatics: films of keyframes only, which the user reviews before in-betweens are drawn.

The keyframes of an animatic are the same nodes as those of the film, so the engine finds them all
in its store when it makes the film. Their times are determined while they are painted; a change of
one keyframe keeps the times of the others. Pure: recipes in, recipes out.
"""

from collections.abc import Mapping, Sequence, Set

import msgspec

from engine.film import graph
from engine.film.plan import Plan, most_keyframes
from engine.film.recipe import Recipe, Retake

MAX_KEYFRAMES = 96  # that a user can review


def has_animatic(recipe: Recipe) -> bool:
    """Return whether a film can have an animatic."""
    return recipe.interpolation_factor > 1 and most_keyframes(recipe) <= MAX_KEYFRAMES


def animatic(film: Recipe) -> Recipe:
    """Return the recipe of a film's animatic."""
    return msgspec.structs.replace(film, animatic=True, format="mp4")


def film_of(animatic: Recipe) -> Recipe:
    """Return the recipe of the film that an animatic is of."""
    return msgspec.structs.replace(animatic, animatic=False)


def prompt_at(recipe: Recipe, seconds: float) -> str:
    """Return the prompt of the keyframe at a time, for the user to edit."""
    take = recipe.takes.get(round(seconds, 6))
    if take and take.prompt is not msgspec.UNSET:
        return take.prompt
    mix = graph.prompt_at(recipe, seconds)
    return str(mix.second if mix.position > 0.5 else mix.first)


def made_of(recipe: Recipe, times: Sequence[float], places: Set[int]) -> set[int]:
    """Return the indices of some keyframes, and of all keyframes that they depend on.

    Another take of any of them would change the keyframes at ``places``.

    Args:
        recipe: of the animatic.
        times: of its keyframes, in seconds, in order.
        places: indices into ``times``.
    """
    plan = Plan(_with_times(recipe, times), model="", interpolator="")
    order = {round(time, 6): place for place, time in enumerate(times)}
    nodes = {order[at]: n for at, n in zip(plan.times, plan.keyframes, strict=True) if at in order}
    named = {node.name: place for place, node in nodes.items()}
    found, left = set(places), [*places]
    while left:
        node = nodes.get(left.pop())
        sources = {named[name] for name in node.inputs if name in named} if node else set()
        left += sources - found
        found |= sources
    return found


def retaken(
    recipe: Recipe,
    times: Sequence[float],
    seeds: Mapping[int, int],
    prompts: Mapping[int, str],
) -> Recipe:
    """Return a recipe with other takes of some keyframes, and the same times.

    Args:
        recipe: of the animatic.
        times: of its keyframes, in seconds, in order.
        seeds: of the noise, by index into ``times``.
        prompts: by index into ``times``; those that are unchanged have no effect.

    Returns:
        ``recipe`` itself if nothing changes.
    """
    takes = dict(recipe.takes)
    for place in {*seeds, *prompts}:
        time = round(times[place], 6)
        before = takes.get(time, Retake(seconds=time))
        said = prompts.get(place, "").strip()
        prompt = before.prompt if said in ("", prompt_at(recipe, time)) else said
        after = Retake(seconds=time, seed=seeds.get(place, before.seed), prompt=prompt)
        if after != before:
            takes[time] = after
    if takes == recipe.takes:
        return recipe
    return msgspec.structs.replace(_with_times(recipe, times), retakes=tuple(takes.values()))


def _with_times(recipe: Recipe, times: Sequence[float]) -> Recipe:
    """Return a recipe that fixes the times of its keyframes."""
    keyframes = tuple(times) if recipe.spacing == "adaptive" else recipe.keyframes
    return msgspec.structs.replace(recipe, keyframes=keyframes)
