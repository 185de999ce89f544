from typing import Any

import pytest

from engine.plan import Plan
from engine.protocol.encoding import encode_recipe
from engine.recipe import Recipe, parse_recipe, read_recipe
from tests.plans import worked
from ui.animatic import MOST, animatic, film_of, possible, prompt_at, retaken


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
    assert possible(recipe("a", "b"))
    assert not possible(recipe("a", interpolation_factor=1))
    assert not possible(recipe(*"abcd", fps=60, interpolation_factor=2))
    assert MOST < 4 * 4 * 30


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


def test_a_keyframe_is_told_by_the_prompt_that_prevails() -> None:
    sketch = animatic(recipe("a", "b"))
    assert [prompt_at(sketch, seconds) for seconds in (0.0, 3.9, 4.1, 8.0)] == ["a", "a", "b", "b"]
