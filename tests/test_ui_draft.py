from typing import Any

import pytest

from engine.errors import InvalidParameterError, LimitError
from engine.models import Defaults
from engine.recipe import Recipe, Scene
from ui import draft

RECIPE = Recipe(
    scenes=(Scene(prompt="dawn", seconds=2.0), Scene(prompt="night", seconds=1.5)),
    seed=7,
    width=344,
    height=192,
    motion="cut",
)


@pytest.fixture
def state() -> dict[Any, Any]:
    state: dict[Any, Any] = {}
    draft.load(state, RECIPE)
    draft.widgets(state)
    return state


def test_a_recipe_survives_the_draft(state: dict[Any, Any]) -> None:
    assert draft.recipe_of(state) == RECIPE


def test_what_widgets_say_is_kept(state: dict[Any, Any]) -> None:
    state[draft.key(state, "fps")] = 12
    draft.keep(state)
    assert draft.recipe_of(state).fps == 12


def test_only_a_changed_value_gets_a_new_widget(state: dict[Any, Any]) -> None:
    seed, fps = draft.key(state, "seed"), draft.key(state, "fps")
    state[seed], state[fps] = 99, 12
    draft.put(state, seed=100, fps=12)
    assert draft.key(state, "seed") != seed
    assert draft.key(state, "fps") == fps
    assert draft.recipe_of(state).seed == 100


def test_an_example_goes_to_the_empty_scene_else_to_the_last(state: dict[Any, Any]) -> None:
    draft.put_prompt(state, "noon")
    assert [scene.prompt for scene in draft.recipe_of(state).scenes] == ["dawn", "noon"]
    draft.add_scene(state)
    draft.put_prompt(state, "dusk")
    assert [scene.prompt for scene in draft.recipe_of(state).scenes] == ["dawn", "noon", "dusk"]


def test_an_empty_scene_is_named(state: dict[Any, Any]) -> None:
    draft.add_scene(state)
    with pytest.raises(InvalidParameterError) as raised:
        draft.recipe_of(state)
    assert raised.value.field == "scenes[2].prompt"


def test_a_film_that_is_too_long_is_refused(state: dict[Any, Any]) -> None:
    draft.put(state, fps=60)
    for scene in state["draft"]["scenes"]:
        state[draft.scene_key(scene, "seconds")] = 120.0
    draft.keep(state)
    with pytest.raises(LimitError):
        draft.recipe_of(state)


def test_a_begun_draft_is_not_begun_again(state: dict[Any, Any]) -> None:
    draft.begin(state, "other", Defaults())
    assert draft.recipe_of(state) == RECIPE


def test_a_new_draft_has_the_models_defaults_and_a_seed_of_its_own() -> None:
    one: dict[Any, Any] = {}
    two: dict[Any, Any] = {}
    for state in (one, two):
        draft.begin(state, "big", Defaults(width=512, guidance_scale=7.5))
    recipe = draft.recipe_of(one, filler="…")
    assert (recipe.model, recipe.width, recipe.guidance_scale) == ("big", 512, 7.5)
    assert recipe.seed != draft.recipe_of(two, filler="…").seed
