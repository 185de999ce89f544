from typing import Any

import msgspec
import pytest

from engine.film import graph
from engine.film.plan import Plan
from engine.film.recipe import Recipe
from engine.film.recipe_json import encode_recipe, parse_recipe, read_recipe
from tests.stand_ins.plans import worked
from tests.stand_ins.vocabulary import WORLD
from ui.create.animatic import (
    MAX_KEYFRAMES,
    animatic,
    clearest,
    dependents,
    film_of,
    first_keyframe,
    has_animatic,
    made_of,
    prompt_at,
    repainted,
    retaken,
    reworded,
    scene_at,
    sources_of,
)


def recipe(*prompts: str, **settings: Any) -> Recipe:
    return parse_recipe({"scenes": [{"prompt": prompt} for prompt in prompts], **settings})


def names(plan: Plan) -> list[str]:
    """Return the names of a plan's keyframes in order of time."""
    order = sorted(range(len(plan.times)), key=plan.times.__getitem__)
    return [plan.keyframes[index].name for index in order]


def made(film: Recipe, **facts: Any) -> Plan:
    """Return a film's plan; the less its middle is reached, the less happens."""
    return worked(film, distance=lambda a, b: abs(a.prompt.position - b.prompt.position))[0]


@pytest.mark.parametrize(("fps", "factor"), [(24, 8), (25, 8), (30, 7)])
@pytest.mark.parametrize("motion", ["morph", "cut", "fade"])
@pytest.mark.parametrize("spacing", ["adaptive", "even"])
def test_a_film_finds_its_animatics_keyframes(
    fps: int, factor: int, motion: str, spacing: str
) -> None:
    settings = {"motion": motion, "spacing": spacing, "drift": 0.1}
    film = recipe("a", "b", "c", fps=fps, interpolation_factor=factor, **settings)
    sketch = animatic(film)
    assert names(made(sketch)) == names(made(film))
    assert {segment.bridge for segment in made(sketch).segments} == {"hold"}
    assert sum(segment.length for segment in made(sketch).segments) == film.frames
    assert film_of(sketch) == film


def test_not_every_film_has_an_animatic() -> None:
    assert has_animatic(recipe("a", "b"))
    assert not has_animatic(recipe("a", interpolation_factor=1))
    assert not has_animatic(recipe(*"abcd", fps=60, interpolation_factor=2))
    assert MAX_KEYFRAMES < 4 * 4 * 30


@pytest.mark.parametrize("spacing", ["adaptive", "even"])
def test_a_reroll_changes_one_keyframe_and_survives_its_film(spacing: str) -> None:
    sketch = animatic(recipe("a", "b", spacing=spacing))
    before = made(sketch)
    after = retaken(sketch, sorted(before.times), {3: 99}, {})
    pairs = zip(names(before), names(made(after)), strict=True)
    assert [place for place, (one, two) in enumerate(pairs) if one != two] == [3]
    assert names(made(film_of(after))) == names(made(after))
    assert read_recipe(encode_recipe(film_of(after))) == film_of(after)


def test_a_keyframe_may_show_something_else() -> None:
    sketch = animatic(recipe("a", "b"))
    times = sorted(made(sketch).times)
    after = retaken(sketch, times, {}, {0: "  x ", 1: "a", 2: ""})
    assert [*after.takes] == [0.0]
    assert (prompt_at(after, times[0]), prompt_at(after, times[1])) == ("x", "a")
    again = retaken(after, times, {0: 7}, {0: "x"})
    assert prompt_at(again, 0.0) == "x"
    assert again.takes[0.0].seed == 7
    assert len(again.takes) == len(after.takes)
    assert retaken(again, times, {0: 7}, {}) is again


@pytest.mark.parametrize("spacing", ["adaptive", "even"])
def test_keyframes_are_held_by_what_is_made_of_them(spacing: str) -> None:
    plain = animatic(recipe("a", "b", spacing=spacing))
    times = sorted(made(plain).times)
    assert made_of(sources_of(plain, times), {3}) == {3}
    looking = animatic(recipe("a", "b", spacing=spacing, anchor_attention=True))
    sources = sources_of(looking, times)
    assert made_of(sources, {3}) == {0, 3}
    assert made_of(sources, {0}) == {0}
    assert made_of(sources, set()) == set()


def test_the_keyframes_of_a_camera_are_held_back_to_its_beginning() -> None:
    scenes = [{"prompt": "a"}, {"prompt": "b", "camera": {"zoom": 2}, "motion": "cut"}]
    sketch = animatic(parse_recipe({"scenes": scenes}))
    before = made(sketch)
    times = sorted(before.times)
    begins = times.index(4.0)
    held = made_of(sources_of(sketch, times), {len(times) - 2})
    assert held == {*range(begins, len(times) - 1)}
    for place, time in enumerate(times):  # what another take of each changes
        after = made(retaken(sketch, times, {place: 99}, {}))
        pairs = zip(names(before), names(after), strict=True)
        changed = [place for place, (one, two) in enumerate(pairs) if one != two]
        assert (len(times) - 2 in changed) == (place in held), time


def test_a_keyframe_is_described_by_its_stronger_prompt() -> None:
    sketch = animatic(recipe("a", "b"))
    assert [prompt_at(sketch, seconds) for seconds in (0.0, 3.9, 4.1, 8.0)] == ["a", "a", "b", "b"]


def test_a_time_belongs_to_a_scene() -> None:
    sketch = animatic(recipe("a", "b", motion="cut"))
    border = sketch.scenes[0].seconds
    assert [scene_at(sketch, seconds) for seconds in (0.0, border - 0.1, border, 99)] == [
        0,
        0,
        1,
        1,
    ]


def test_a_scene_is_shown_by_the_keyframe_that_is_least_mixed() -> None:
    sketch = animatic(recipe("a", "b"))
    border = sketch.scenes[0].seconds
    times = [border, border + 0.1, border + 0.9 * border]
    assert clearest(sketch, times) == 2
    assert clearest(animatic(recipe("a")), [0.0, 1.0, 2.0]) == 1


@pytest.mark.parametrize("motion", ["morph", "cut"])
@pytest.mark.parametrize("settings", [{}, {"anchor_attention": True, "model": "large"}])
def test_what_a_change_paints_again_is_known_before(motion: str, settings: dict[str, Any]) -> None:
    sketch = animatic(recipe("a", "b", motion=motion, **settings))
    times = sorted(made(sketch).times)
    fixed = retaken(sketch, times, {0: sketch.seed}, {})  # its times are written down
    sources = sources_of(fixed, times)
    for place in range(len(times)):
        after = retaken(fixed, times, {place: 99}, {})
        assert repainted(fixed, after, times) == dependents(sources, {place})
    other = reworded(fixed, 1, " c ", times)
    mixes = [graph.prompt_at(fixed, time) for time in times]
    shown = {at for at, mix in enumerate(mixes) if "b" in (mix.first, mix.second)}
    assert repainted(fixed, other, times) == shown
    assert reworded(fixed, 1, " ", times) is fixed
    assert reworded(fixed, 1, "b", times) is fixed


def test_a_reworded_scene_changes_those_that_take_their_light_from_it() -> None:
    """A model with a vocabulary completes a scene from the one before it."""
    sketch = animatic(recipe("a lake at night", "a forest", motion="cut"))
    times = sorted(made(sketch).times)
    after = reworded(sketch, 0, "a lake at noon", times)
    first = {at for at, time in enumerate(times) if scene_at(sketch, time) == 0}
    assert repainted(sketch, after, times) == first
    assert repainted(sketch, after, times, WORLD) == {*range(len(times))}


@pytest.mark.parametrize("facts", [{}, {"guidance_scale": 2.0, "drift": 0.3, "width": 128}])
def test_a_first_keyframe_is_that_of_the_film_with_its_seed(facts: dict[str, Any]) -> None:
    film = recipe("a", "b", motion="fade", negative_prompt="fog", **facts)
    sketch = first_keyframe(film, 99)
    assert len(names(made(sketch))) == 1
    assert names(made(sketch))[0] == names(made(msgspec.structs.replace(film, seed=99)))[0]
    assert names(made(sketch))[0] != names(made(film))[0]
