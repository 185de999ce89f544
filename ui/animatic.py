"""A film's keyframes on their own, to be approved before anything is drawn between them.

An animatic is the same film at the pace of its keyframes, each of them a frame: its keyframes stand
at the same times, so they are the same nodes, and the film that is made of it afterwards finds
nearly all of them in the store (where scenes end, it has one more). Pure: recipes in, recipes out.
"""

import re
from collections.abc import Iterable
from itertools import zip_longest

import msgspec

from engine import graph
from engine.recipe import Recipe, Retake

MOST = 96  # keyframes that one can look through


def possible(recipe: Recipe) -> bool:
    """Tell whether there is an animatic of a film."""
    factor = recipe.interpolation_factor
    return factor > 1 and recipe.fps % factor == 0 and _count(animatic(recipe)) <= MOST


def animatic(film: Recipe) -> Recipe:
    """Return the recipe of a film's animatic."""
    pace = max(1, film.fps // film.interpolation_factor)
    return msgspec.structs.replace(film, fps=pace, interpolation_factor=1, format="mp4")


def film_of(animatic: Recipe, fps: int) -> Recipe:
    """Return the recipe of the film that an animatic is of.

    Args:
        animatic: its recipe.
        fps: frames per second of the film.
    """
    factor = max(1, min(64, fps // animatic.fps))
    return msgspec.structs.replace(animatic, fps=fps, interpolation_factor=factor)


def pace_of(recipe: Recipe, word: str) -> int | None:
    """Return the frames per second of the film that an animatic is of, as an address names them.

    None if the word is none, or the recipe is no animatic of such a film.
    """
    fps = int(word) if re.fullmatch("[0-9]{1,2}", word) else 0
    fits = 0 < fps <= 60 and fps % recipe.fps == 0 and recipe.interpolation_factor == 1
    return fps if fits and fps > recipe.fps else None


def times(recipe: Recipe) -> list[float]:
    """Return the seconds at which the keyframes stand."""
    return [frame / recipe.fps for frame in graph.keyframe_frames(recipe)]


def prompt_of(recipe: Recipe, index: int) -> str:
    """Return what a keyframe shows, in words that can be edited."""
    seconds = times(recipe)[index]
    take = recipe.takes.get(round(seconds, 6))
    if take and take.prompt is not msgspec.UNSET:
        return take.prompt
    mix = graph.prompt_at(recipe, seconds)
    return str(mix.second if mix.position > 0.5 else mix.first)


def retaken(recipe: Recipe, seeds: dict[int, int], prompts: dict[int, str]) -> Recipe:
    """Return a recipe with other takes of some keyframes.

    Args:
        recipe: of the animatic.
        seeds: of the noise, by index of the keyframe.
        prompts: likewise; what is the same as before is left alone.
    """
    all_times, takes = times(recipe), dict(recipe.takes)
    for index in {*seeds, *prompts}:
        time = round(all_times[index], 6)
        before = takes.get(time, Retake(seconds=all_times[index]))
        seed = seeds.get(index, before.seed)
        prompt = before.prompt
        if prompts.get(index, "").strip() not in ("", prompt_of(recipe, index)):
            prompt = prompts[index].strip()
        after = Retake(seconds=all_times[index], seed=seed, prompt=prompt)
        if after != before:
            takes[time] = after
    return msgspec.structs.replace(recipe, retakes=tuple(takes.values()))


def changed(before: Recipe, after: Recipe) -> list[int]:
    """Return the keyframes that one recipe does not share with the other."""
    pairs = zip_longest(_names(before), _names(after))
    return [index for index, (one, two) in enumerate(pairs) if one != two]


def _names(recipe: Recipe) -> Iterable[str]:
    plan = graph.plan(recipe, model="", interpolator="")
    return [node.name for node in plan.keyframes]


def _count(recipe: Recipe) -> int:
    return len(graph.keyframe_frames(recipe))
