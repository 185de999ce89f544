"""A film's keyframes on their own, to be approved before anything is drawn between them.

An animatic is the same film with nothing drawn in between: its keyframes are the same nodes, so the
film that is made of it afterwards finds them all in the store. Where its keyframes stand was found
while they were painted; changing one of them keeps the others where they are. Pure: recipes in,
recipes out.
"""

from collections.abc import Mapping, Sequence, Set

import msgspec

from engine.film import graph
from engine.film.plan import Plan, most_keyframes
from engine.film.recipe import Recipe, Retake

MOST = 96  # keyframes that one can look through


def possible(recipe: Recipe) -> bool:
    """Tell whether there is an animatic of a film."""
    return recipe.interpolation_factor > 1 and most_keyframes(recipe) <= MOST


def animatic(film: Recipe) -> Recipe:
    """Return the recipe of a film's animatic."""
    return msgspec.structs.replace(film, animatic=True, format="mp4")


def film_of(animatic: Recipe) -> Recipe:
    """Return the recipe of the film that an animatic is of."""
    return msgspec.structs.replace(animatic, animatic=False)


def prompt_at(recipe: Recipe, seconds: float) -> str:
    """Return what the keyframe at a time shows, in words that can be edited."""
    take = recipe.takes.get(round(seconds, 6))
    if take and take.prompt is not msgspec.UNSET:
        return take.prompt
    mix = graph.prompt_at(recipe, seconds)
    return str(mix.second if mix.position > 0.5 else mix.first)


def made_of(recipe: Recipe, times: Sequence[float], places: Set[int]) -> set[int]:
    """Return the places of some keyframes, and of all that these are made of or look at.

    Another take of any of them would change what stands at ``places``.

    Args:
        recipe: of the animatic.
        times: at which its keyframes stand, in order, in seconds.
        places: of keyframes among the times.
    """
    plan = Plan(_placed(recipe, times), model="", interpolator="")
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
    """Return a recipe with other takes of some keyframes, and all of them where they are.

    Args:
        recipe: of the animatic.
        times: at which its keyframes stand, in order, in seconds.
        seeds: of the noise, by place of the keyframe among the times.
        prompts: likewise; what is the same as before is left alone.

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
    return msgspec.structs.replace(_placed(recipe, times), retakes=tuple(takes.values()))


def _placed(recipe: Recipe, times: Sequence[float]) -> Recipe:
    """Return a recipe whose keyframes stand where they do."""
    keyframes = tuple(times) if recipe.spacing == "adaptive" else recipe.keyframes
    return msgspec.structs.replace(recipe, keyframes=keyframes)
