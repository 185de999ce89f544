from typing import Any

import pytest

from engine import graph
from engine.protocol import encode_recipe
from engine.recipe import Recipe, parse_recipe, read_recipe
from ui.animatic import MOST, animatic, changed, film_of, possible, prompt_of, retaken, times


def recipe(*prompts: str, **settings: Any) -> Recipe:
    return parse_recipe({"scenes": [{"prompt": prompt} for prompt in prompts], **settings})


def names(made: Recipe) -> list[str]:
    return [node.name for node in graph.plan(made, model="m@1", interpolator="i@1").keyframes]


@pytest.mark.parametrize(("fps", "factor"), [(24, 8), (24, 4), (12, 6), (30, 6), (24, 12)])
@pytest.mark.parametrize("motion", ["morph", "cut"])
def test_a_film_finds_its_animatics_keyframes(fps: int, factor: int, motion: str) -> None:
    film = recipe("a", "b", "c", fps=fps, interpolation_factor=factor, motion=motion, drift=0.1)
    sketch = animatic(film)
    assert sketch.frames == len(names(sketch))  # every frame of it is a keyframe
    missing = set(names(film)) - set(names(sketch))
    assert len(missing) <= (3 if motion == "cut" else 1)  # where scenes end
    assert not set(names(sketch)) - set(names(film))
    assert film_of(sketch, fps) == film


@pytest.mark.parametrize(
    "settings",
    [
        {"fps": 25, "interpolation_factor": 8},
        {"interpolation_factor": 1},
        {"fps": 60, "interpolation_factor": 2, "scenes": 4},
    ],
)
def test_not_every_film_has_an_animatic(settings: dict[str, Any]) -> None:
    count = settings.pop("scenes", 1)
    assert possible(recipe("a", "b"))
    assert not possible(recipe(*["a"] * count, **settings))
    assert MOST < 4 * 4 * 30


def test_a_reroll_changes_one_keyframe_and_survives_its_film() -> None:
    film = recipe("a", "b")
    sketch = animatic(film)
    after = retaken(sketch, {3: 99}, {})
    assert changed(sketch, after) == [3]
    kept = set(names(film)) & set(names(film_of(after, film.fps)))
    assert len(kept) == len(names(film)) - 1
    assert read_recipe(encode_recipe(film_of(after, film.fps))) == film_of(after, film.fps)


def test_a_keyframe_may_show_something_else() -> None:
    sketch = animatic(recipe("a", "b"))
    after = retaken(sketch, {}, {0: "  x ", 1: "a", 2: ""})
    assert changed(sketch, after) == [0]
    assert (prompt_of(after, 0), prompt_of(after, 1)) == ("x", "a")
    again = retaken(after, {0: 7}, {0: "x"})
    assert prompt_of(again, 0) == "x"
    assert again.takes[0.0].seed == 7
    assert len(again.takes) == len(after.takes)


def test_a_keyframe_is_told_by_the_prompt_that_prevails() -> None:
    sketch = animatic(recipe("a", "b"))
    assert [prompt_of(sketch, index) for index in (0, 23)] == ["a", "b"]
    assert times(sketch)[:2] == [0.0, 1 / 3]
