"""Animatics: films of keyframes only, which the user reviews before in-betweens are drawn.

The keyframes of an animatic are the same nodes as those of the film, so the engine finds them all
in its store when it makes the film. Their times are determined while they are painted; a change of
one keyframe keeps the times of the others. Pure: recipes in, recipes out.
"""

from collections.abc import Mapping, Sequence, Set

import msgspec

from engine.film import graph, timeline
from engine.film.plan import Plan, most_keyframes
from engine.film.recipe import Recipe, Retake
from engine.film.vocabulary import Vocabulary

MAX_KEYFRAMES = 96  # that a user can review
ALIKE = (  # what determines a film's first keyframe, beside its first scene and its seed
    *("model", "width", "height", "num_inference_steps", "guidance_scale", "scheduler"),
    *("negative_prompt", "drift"),
)


def has_animatic(recipe: Recipe) -> bool:
    """Return whether a film can have an animatic."""
    return recipe.interpolation_factor > 1 and most_keyframes(recipe) <= MAX_KEYFRAMES


def animatic(film: Recipe) -> Recipe:
    """Return the recipe of a film's animatic."""
    return msgspec.structs.replace(film, animatic=True, format="mp4")


def first_keyframe(film: Recipe, seed: int) -> Recipe:
    """Return the recipe of an animatic that is a film's first keyframe alone, from another seed.

    It is the same node as that of the film with this seed, so it is not painted again.
    """
    scene = msgspec.structs.replace(film.scenes[0], seconds=0.1, camera=msgspec.UNSET)
    alike = {name: getattr(film, name) for name in ALIKE}
    return Recipe(scenes=(scene,), seed=seed, fps=10, animatic=True, **alike)


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


def scene_at(recipe: Recipe, seconds: float) -> int:
    """Return the index of the scene that a time belongs to."""
    begun = [start for start in timeline.starts(recipe) if start <= seconds + 1e-6]
    return len(begun) - 1


def clearest(recipe: Recipe, times: Sequence[float]) -> int:
    """Return the index of the time that shows most of a single prompt, the most central if many.

    Args:
        recipe: of the film.
        times: of a scene's keyframes, at least one, rising, in seconds.
    """

    def mixed(place: int) -> tuple[float, float]:
        mix = graph.prompt_at(recipe, times[place])
        other = 0.0 if mix.first == mix.second else min(mix.position, 1 - mix.position)
        return other, abs(times[place] - (times[0] + times[-1]) / 2)

    return min(range(len(times)), key=mixed)


def repainted(
    before: Recipe, after: Recipe, times: Sequence[float], vocabulary: Vocabulary | None = None
) -> set[int]:
    """Return the indices of the keyframes that another recipe paints anew.

    Args:
        before: of the animatic.
        after: with the same times.
        times: of the keyframes, in seconds, in order.
        vocabulary: of the model, which completes prompts: a scene's changes those after it.
    """
    old, new = _names(before, times, vocabulary), _names(after, times, vocabulary)
    marks = [round(time, 6) for time in times]
    return {place for place, mark in enumerate(marks) if old.get(mark) != new.get(mark)}


def _names(
    recipe: Recipe, times: Sequence[float], vocabulary: Vocabulary | None
) -> dict[float, str]:
    plan = Plan(_with_times(recipe, times), model="", interpolator="", vocabulary=vocabulary)
    return {at: node.name for at, node in zip(plan.times, plan.keyframes, strict=True)}


def reworded(recipe: Recipe, scene: int, prompt: str, times: Sequence[float]) -> Recipe:
    """Return a recipe with another prompt for a scene, and the same times.

    Args:
        recipe: of the animatic.
        scene: index of the scene.
        prompt: the new one; blank, or the present one, changes nothing.
        times: of the keyframes, in seconds, in order.
    """
    scenes = [*recipe.scenes]
    if prompt.strip() in ("", scenes[scene].prompt):
        return recipe
    scenes[scene] = msgspec.structs.replace(scenes[scene], prompt=prompt.strip())
    return msgspec.structs.replace(_with_times(recipe, times), scenes=tuple(scenes))


def made_of(sources: Sequence[Set[int]], places: Set[int]) -> set[int]:
    """Return the indices of some keyframes, and of all keyframes that they depend on.

    Another take of any of them would change the keyframes at ``places``, which are indices of
    ``sources``.
    """
    found, left = set(places), [*places]
    while left:
        more = sources[left.pop()] - found
        left += more
        found |= more
    return found


def dependents(sources: Sequence[Set[int]], places: Set[int]) -> set[int]:
    """Return the indices of some keyframes, and of all that another take of them would change.

    The arguments are those of ``made_of``.
    """
    found, size = set(places), -1
    while len(found) > size:
        size = len(found)
        found |= {place for place, needs in enumerate(sources) if needs & found}
    return found


def sources_of(recipe: Recipe, times: Sequence[float]) -> list[set[int]]:
    """Return for each keyframe, in order of time, the indices of those that it is painted from."""
    plan = Plan(_with_times(recipe, times), model="", interpolator="")
    order = {round(time, 6): place for place, time in enumerate(times)}
    nodes = {order[at]: n for at, n in zip(plan.times, plan.keyframes, strict=True) if at in order}
    named = {node.name: place for place, node in nodes.items()}
    found: list[set[int]] = [set() for _ in times]
    for place, node in nodes.items():
        found[place] = {named[name] for name in node.inputs if name in named}
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
