from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import InvalidParameterError, LimitError
from engine.film.camera import PRESETS as MOVES
from engine.film.recipe import Recipe, Retake, Scene
from engine.film.recipe_json import parse_recipe
from engine.models import Defaults
from ui.create.settings_panel import PRESETS, Preset, matching_preset
from ui.storage import draft, saved_draft
from ui.storage.saved_draft import DraftFile

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
    return state


def test_a_recipe_survives_the_draft(state: dict[Any, Any]) -> None:
    assert draft.recipe_of(state) == RECIPE


def test_values_of_widgets_are_kept(state: dict[Any, Any]) -> None:
    state[draft.key(state, "fps")] = 12
    draft.read_widgets(state)
    assert draft.recipe_of(state).fps == 12


def test_only_a_changed_value_gets_a_new_widget(state: dict[Any, Any]) -> None:
    seed, fps = draft.key(state, "seed"), draft.key(state, "fps")
    state[seed], state[fps] = 99, 12
    draft.change(state, seed=100, fps=12)
    assert draft.key(state, "seed") != seed
    assert draft.key(state, "fps") == fps
    assert draft.recipe_of(state).seed == 100


def test_other_labels_get_a_new_widget_for_the_same_value(state: dict[Any, Any]) -> None:
    draft.renew(state, "upscale", (344, 192))
    before = draft.key(state, "upscale")
    state[before] = 2
    draft.renew(state, "upscale", (344, 192))
    assert draft.key(state, "upscale") == before
    draft.renew(state, "upscale", (256, 256))
    assert draft.key(state, "upscale") != before
    assert draft.setting(state, "upscale")["value"] == 2


def test_an_example_goes_to_the_empty_scene_else_to_the_last(state: dict[Any, Any]) -> None:
    draft.put_prompt(state, "noon")
    assert [scene.prompt for scene in draft.recipe_of(state).scenes] == ["dawn", "noon"]
    draft.add_scene(state)
    draft.put_prompt(state, "dusk")
    assert [scene.prompt for scene in draft.recipe_of(state).scenes] == ["dawn", "noon", "dusk"]


def test_a_word_joins_the_prompt_and_leaves_it_again(state: dict[Any, Any]) -> None:
    scene = draft.current(state).scenes[0]
    field = draft.of_scene(state, scene, "prompt")["key"]
    state[field] = "dawn, the sea,"  # typed meanwhile
    draft.toggle_word(state, scene.id, "fog")
    assert state[field] == draft.current(state).scenes[0].prompt == "dawn, the sea, fog"
    assert draft.says(scene.prompt, "fog")
    assert not draft.says(scene.prompt, "sea")  # which is a part of another
    draft.toggle_word(state, scene.id, "the sea")
    assert state[field] == "dawn, fog"
    for word in ("dawn", "fog", "rain"):
        draft.toggle_word(state, scene.id, word)
    assert state[field] == "rain"
    assert draft.current(state).scenes[0] is scene  # it keeps its field


def test_an_empty_scene_is_named(state: dict[Any, Any]) -> None:
    draft.add_scene(state)
    with pytest.raises(InvalidParameterError) as raised:
        draft.recipe_of(state)
    assert raised.value.field == "scenes[2].prompt"


def test_a_film_that_is_too_long_is_refused(state: dict[Any, Any]) -> None:
    draft.change(state, fps=60)
    for scene in draft.current(state).scenes:
        state[draft.scene_key(scene, "seconds")] = 120.0
    draft.read_widgets(state)
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


def prompts(state: dict[Any, Any]) -> list[str]:
    return [scene.prompt for scene in draft.current(state).scenes]


def test_scenes_are_moved_doubled_and_removed(state: dict[Any, Any]) -> None:
    first, second = (scene.id for scene in draft.current(state).scenes)
    draft.move_scene(state, second, -1)
    assert prompts(state) == ["night", "dawn"]
    draft.move_scene(state, second, -1)  # it is the first already
    draft.move_scene(state, first, 1)  # it is the last already
    assert prompts(state) == ["night", "dawn"]
    state[draft.scene_key(draft.current(state).scenes[1], "prompt")] = "dawn, typed just now"
    draft.copy_scene(state, first)
    assert prompts(state) == ["night", "dawn, typed just now", "dawn, typed just now"]
    assert len({scene.id for scene in draft.current(state).scenes}) == 3
    for scene in tuple(draft.current(state).scenes):
        draft.drop_scene(state, scene.id)
    assert prompts(state) == [""]


@pytest.mark.parametrize("motions", [("morph", "morph"), ("cut", "cut"), ("morph", "cut")])
def test_each_scene_follows_in_its_own_way(motions: tuple[str, str]) -> None:
    scenes = [{"prompt": "a"}, *({"prompt": "b", "motion": motion} for motion in motions)]
    recipe = parse_recipe({"scenes": scenes})
    state: dict[Any, Any] = {}
    draft.load(state, recipe)
    made = draft.recipe_of(state)
    assert made.motions[1:] == motions
    draft.load(state, made)
    assert draft.recipe_of(state) == made  # one way to say it


def test_retakes_hold_while_the_scenes_stay_where_they_are(state: dict[Any, Any]) -> None:
    retaken = msgspec.structs.replace(RECIPE, retakes=(Retake(seconds=1.0, seed=9),))
    draft.load(state, retaken)
    assert draft.recipe_of(state) == retaken
    draft.move_scene(state, draft.current(state).scenes[0].id, 1)
    assert not draft.recipe_of(state).takes


def test_a_seed_stays_only_if_it_is_locked(state: dict[Any, Any]) -> None:
    draft.submitted(state)
    assert draft.recipe_of(state).seed == RECIPE.seed  # a film that was taken up is locked
    draft.lock(state, False)
    draft.submitted(state)
    assert draft.recipe_of(state).seed != RECIPE.seed


def test_a_draft_is_saved_for_the_next_visit(state: dict[Any, Any], tmp_path: Path) -> None:
    draft.add_scene(state)
    draft.lock(state, False)
    DraftFile(tmp_path / "draft.json").write(saved_draft.to_save(state))
    kept = DraftFile(tmp_path / "draft.json").read()
    assert kept
    other: dict[Any, Any] = {}
    saved_draft.restore(other, kept)
    assert prompts(other) == ["dawn", "night", ""]
    assert saved_draft.to_save(other) == kept
    saved_draft.restore(state, kept)  # what is being composed comes first
    scenes = draft.current(state).scenes + draft.current(other).scenes
    assert len({scene.id for scene in scenes}) == 6


@pytest.mark.parametrize("content", [b"", b"{", b'{"recipe": {"scenes": []}}', b"\xff"])
def test_a_draft_that_cannot_be_read_counts_as_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "draft.json").write_bytes(content)
    assert DraftFile(tmp_path / "draft.json").read() is None


def test_a_film_that_cannot_be_made_is_not_kept(state: dict[Any, Any], tmp_path: Path) -> None:
    file = DraftFile(tmp_path / "draft.json")
    file.write(saved_draft.to_save(state))
    draft.change(state, fps=60)
    for scene in draft.current(state).scenes:
        state[draft.scene_key(scene, "seconds")] = 120.0
    draft.read_widgets(state)
    file.write(saved_draft.to_save(state))
    assert file.read() == saved_draft.SavedDraft(RECIPE, (), True)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_known_by_its_settings(preset: Preset, state: dict[Any, Any]) -> None:
    defaults = Defaults(num_inference_steps=20, drift=0.09375)
    draft.change(state, **preset.fill(defaults))
    assert matching_preset(draft.current(state).settings, defaults) == preset.name
    draft.recipe_of(state)  # is acceptable
    draft.change(state, num_inference_steps=149)
    assert matching_preset(draft.current(state).settings, defaults) == ""


SAVED = Path(__file__).with_name("saved_draft.json")


def test_a_draft_that_an_earlier_version_saved_is_resumed(state: dict[Any, Any]) -> None:
    """``saved_draft.json`` was written while drafts were dictionaries in the session."""
    saved = DraftFile(SAVED).read()
    assert saved
    resumed: dict[Any, Any] = {}
    saved_draft.restore(resumed, saved)
    found = draft.current(resumed)
    assert [scene.prompt for scene in found.scenes] == ["dawn over the sea", "", "fog over hills"]
    assert [scene.motion for scene in found.scenes] == ["morph", "cut", "morph"]
    assert found.scenes[1].camera == MOVES["Slow push in"]
    assert (found.scenes[2].start_image, found.scenes[2].strength) == ("ab" * 32, 0.3)
    assert (found.settings.guidance_scale, found.settings.negative_prompt) == (6.5, "people")
    assert (found.locked, found.keyframes_first, found.guessed) == (False, True, False)
    assert draft.recipe_of(resumed, filler="…").takes == {1.0: Retake(seconds=1.0, seed=9)}
    again = saved_draft.to_save(resumed)
    assert msgspec.json.encode(again) == SAVED.read_bytes().strip()


def test_a_scene_has_a_camera_and_a_picture_until_they_are_taken_away(
    state: dict[Any, Any],
) -> None:
    scene = draft.current(state).scenes[1]
    draft.set_camera(state, scene.id, MOVES["Orbit"])
    draft.set_start_image(state, scene.id, "cd" * 32)
    draft.set_strength(state, scene.id, 0.2)
    made = draft.recipe_of(state).scenes[1]
    assert (made.camera, made.start_image, made.strength) == (MOVES["Orbit"], "cd" * 32, 0.2)
    draft.copy_scene(state, scene.id)
    assert draft.recipe_of(state).scenes[2] == made
    draft.drop_scene(state, draft.current(state).scenes[2].id)
    draft.set_start_image(state, scene.id, "")
    draft.set_camera(state, scene.id, None)
    assert draft.recipe_of(state) == RECIPE
