"""The storyboard of pages/create.py, with a hand-made engine."""

from typing import Any

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from engine.film.recipe import Recipe
from engine.film.recipe_json import encode_recipe
from engine.film.vocabulary import Listener
from engine.models import KNOWN, Card
from engine.wire.messages.responses import ModelInfo
from tests.pages.test_pages import FAR, RECIPE, Studio, job_of, setting, studio, words
from tests.stand_ins.connection import CARD, FINISHED, PLANNED, until
from tests.stand_ins.vocabulary import WORLD
from tests.ui.create.test_recipe_import import film
from ui.create import animatic
from ui.create.prompt_check import NOTHING_KNOWN
from ui.storage import draft

__all__ = ["studio"]


def prices(at: AppTest) -> str:
    """Return the markup of the price."""
    return next(one.proto.body for one in at.get("html") if "quote" in one.proto.body)


def tool(at: AppTest, label: str, scene: int) -> Any:
    """Return one of a scene's buttons."""
    return [button for button in at.button if button.label == label][scene]


def test_scenes_are_ordered_duplicated_and_cut_as_on_the_page(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    at.button(key="add-scene").click().run()
    at.text_area[1].set_value("night")
    tool(at, "Earlier", 1).click().run()
    tool(at, "Duplicate", 0).click().run()
    setting(at, "button_group", "motion").set_value("cut").run()
    at.button(key="generate").click().run()
    recipe = studio.world.made[0].recipes[job_of(at)]
    assert [scene.prompt for scene in recipe.scenes] == ["night", "night", "dawn"]
    assert recipe.motions[1:] == ("cut", "morph")


def test_the_storyboard_is_there_again_after_a_refresh(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("words worth keeping")
    at.button(key="add-scene").click().run()
    again = studio.visit("create")
    scenes = [area.value for area in again.text_area if area.label.startswith("Scene")]
    assert scenes == ["words worth keeping", ""]


def test_every_run_sends_the_browser_the_value_of_each_widget(studio: Studio) -> None:
    at = studio.visit("create").run()  # the first run can be cut short before it was heard
    shown = at.session_state["draft"].settings
    kinds = {"fps": "number_input", "seed": "number_input", "num_inference_steps": "slider"}
    for name, kind in kinds.items():
        told = setting(at, kind, name).proto.default
        assert getattr(shown, name) == (told[0] if kind == "slider" else told), name
    at.text_area[0].set_value("dawn").run()
    at.button(key="tool-duplicate-" + at.session_state["draft"].scenes[0].id).click().run()
    at.run()
    assert [area.proto.default for area in at.text_area[:2]] == ["", "dawn"]
    assert [one.proto.default for one in at.number_input if one.label == "Seconds"] == [4, 4]


def test_keeping_the_layout_is_offered_where_a_scene_does_not_melt_in(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    at.button(key="add-scene").click().run()
    at.text_area[1].set_value("night").run()
    assert "Keep the layout" not in [toggle.label for toggle in at.toggle]
    setting(at, "button_group", "motion").set_value("cut").run()
    setting(at, "toggle", "shared_noise").set_value(True).run()
    again = studio.visit("create")  # as after a refresh
    again.button(key="generate").click().run()
    job = job_of(again)
    assert studio.world.made[0].recipes[job].shared_noise
    finish(studio, job)
    at = studio.visit("create", job=job)
    at.button(key="again").click().run()
    assert setting(at, "toggle", "shared_noise").value is True


def test_a_model_with_a_vocabulary_says_what_it_makes_of_a_prompt(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("a fox").run()
    assert not checks(at)
    teach_vocabulary(studio)
    at.run()
    (found,) = checks(at)
    assert found["prompt"] == "a fox"
    added = found["also"].removeprefix("Also in the picture: ").removesuffix(".")
    seed = at.session_state["draft"].settings.seed
    assert Listener(WORLD).complete("a fox", seed).prompt == f"a fox, {added}"
    at.text_area[0].set_value("<b>un gato</b>").run()
    assert NOTHING_KNOWN in words(at)
    assert "Connect a GPU" in [button.label for button in at.button]
    next(one for one in at.button if one.label == "Paint “a fox at night”").click().run()
    assert at.text_area[0].value == "a fox at night"
    assert NOTHING_KNOWN not in words(at)


def test_a_film_says_which_of_its_scenes_the_model_could_not_paint(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("a fox")
    at.button(key="add-scene").click().run()
    at.text_area[1].set_value("un gato")
    at.button(key="generate").click().run()
    job = job_of(at)
    finish(studio, job)
    assert NOTHING_KNOWN not in words(studio.visit("create", job=job))
    teach_vocabulary(studio)
    assert f"Scene 2: {NOTHING_KNOWN}" in words(studio.visit("create", job=job))


def teach_vocabulary(studio: Studio) -> None:
    """Give the engine's model a vocabulary."""
    engine = studio.world.made[0]
    assert engine.hello
    card = msgspec.structs.replace(CARD, vocabulary=WORLD, examples=["a fox at night"])
    models = (ModelInfo(name="landscapes", card=card),)
    engine.hello = msgspec.structs.replace(engine.hello, models=models)


def checks(at: AppTest) -> list[dict[str, str]]:
    """Return what the script gets that shows a scene's known words, for each scene."""
    parts = at.get("bidi_component")
    found = [msgspec.json.decode(part.proto.json) for part in parts if part.proto.json]
    return [data for data in found if "scene" in data]


def offer_stable_diffusion(studio: Studio) -> None:
    """Have the engine offer a second model, whose network looks closely."""
    engine = studio.world.made[0]
    assert engine.hello
    large = ModelInfo(name="large", card=KNOWN["stable-diffusion-1.5"].card)
    engine.hello = msgspec.structs.replace(engine.hello, models=(*engine.hello.models, large))


def test_the_subject_can_be_kept_where_the_model_allows_it(studio: Studio) -> None:
    offer_stable_diffusion(studio)
    at = studio.visit("create")
    at.text_area[0].set_value("a fox in the snow").run()
    assert "Keep the subject" not in [toggle.label for toggle in at.toggle]
    setting(at, "selectbox", "model").set_value("large").run()
    without = prices(at)
    assert "twice as long" in setting(at, "toggle", "anchor_attention").help
    setting(at, "toggle", "anchor_attention").set_value(True).run()
    at.run()
    assert prices(at) != without
    at.button(key="generate").click().run()
    made = studio.world.made[0].recipes
    assert made[job_of(at)].anchor_attention
    del at.query_params["job"]
    at.run()
    setting(at, "selectbox", "model").set_value("landscapes").run()
    at.text_area[0].set_value("dawn")
    at.button(key="generate").click().run()
    assert not made[job_of(at)].anchor_attention  # it would be refused


def test_starting_over_leaves_an_empty_storyboard_with_the_models_settings(studio: Studio) -> None:
    at = studio.visit("create")
    assert "start-over" not in [button.key for button in at.button]
    at.text_area[0].set_value("dawn")
    setting(at, "slider", "num_inference_steps").set_value(99)
    at.button(key="add-scene").click().run()
    at.button(key="start-over").click().run()
    scenes = [area.value for area in at.text_area if area.label.startswith("Scene")]
    assert scenes == [""]
    steps = setting(at, "slider", "num_inference_steps").value
    assert steps == CARD.defaults.num_inference_steps


def test_each_film_rolls_its_own_seed_unless_it_is_locked(studio: Studio) -> None:
    seeds = []
    at = studio.visit("create")
    for _ in range(3):
        at.text_area[0].set_value("dawn")
        at.button(key="generate").click().run()
        seeds.append(studio.world.made[0].recipes[job_of(at)].seed)
        del at.query_params["job"]
        at.run()
        if len(seeds) == 2:
            setting(at, "number_input", "seed").set_value(seeds[-1])
            at.button(key="lock").click().run()
    assert seeds[0] != seeds[1] == seeds[2]


def test_the_price_is_a_guess_first_and_then_learnt(studio: Studio) -> None:
    at = studio.visit("create")
    assert "A first guess" in words(at)
    film = Recipe(scenes=RECIPE.scenes)
    job = studio.finished(film)
    assert studio.hub.library.get(job)
    at = studio.visit("create")
    assert "Based on your last film" in words(at)
    assert "about" in prices(at)


def test_a_longer_film_costs_more(studio: Studio) -> None:
    at = studio.visit("create")
    before = prices(at)
    setting(at, "number_input", "seconds").set_value(40.0).run()
    assert prices(at) != before
    assert "40 s · 960 frames" in words(at)


def test_a_distant_engine_costs_data(studio: Studio) -> None:
    assert "stays on this computer" in prices(studio.visit("create"))
    studio.hub.pair(FAR.link)
    assert "through the tunnel" in prices(studio.visit("create"))


def test_a_dropped_film_fills_the_storyboard(studio: Studio) -> None:
    at = studio.visit("create")
    content = film(encode_recipe(RECIPE).encode())
    at.get("file_uploader")[0].set_value(("old.mp4", content, "video/mp4")).run()
    scenes = [area.value for area in at.text_area if area.label.startswith("Scene")]
    assert scenes == [scene.prompt for scene in RECIPE.scenes]
    assert setting(at, "number_input", "seed").value == 4711


def test_a_dropped_film_of_another_program_is_refused_calmly(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    strange = film(b"Lavf60.3.100")
    at.get("file_uploader")[0].set_value(("holiday.mp4", strange, "video/mp4")).run()
    assert "another program made it" in words(at)
    assert at.text_area[0].value == "dawn"


def test_four_seeds_are_painted_and_one_is_taken(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    at.button(key="try-seeds").click().run()
    recipes = studio.world.made[0].recipes
    assert len({recipe.seed for recipe in recipes.values()}) == len(recipes) == 4
    assert {(recipe.frames, recipe.animatic) for recipe in recipes.values()} == {(1, True)}
    assert at.button(key="try-seeds").disabled  # until they have been painted
    for job in recipes:
        finish(studio, job, frames=1, seconds=0.1)
    at.run()
    assert at.button(key="try-seeds").disabled  # until their pictures are here
    for job in recipes:
        (studio.hub.library.folder / job).mkdir(exist_ok=True)
        (studio.hub.library.folder / job / "keyframe-0.jpg").write_bytes(b"jpeg")
    assert studio.hub.library.waiting() == []  # for no approval
    at.text_area[0].set_value("dusk").run()
    assert not any("take-" in (button.key or "") for button in at.button)  # of other words
    at.text_area[0].set_value("dawn").run()
    job, recipe = [*recipes.items()][2]
    assert setting(at, "number_input", "seed").value != recipe.seed
    at.button(key=f"take-{job}").click().run()
    assert setting(at, "number_input", "seed").value == recipe.seed
    assert not any("take-" in (button.key or "") for button in at.button)
    assert studio.hub.library.is_discarded(job)


def test_seeds_are_tried_with_a_prompt_only(studio: Studio) -> None:
    at = studio.visit("create")
    at.button(key="try-seeds").click().run()
    assert "prompt" in words(at)
    assert studio.world.made[0].recipes == {}


def words_offered(card: Card | None) -> list[str]:
    """Return the words that the popover of a scene offers; the second is put in and taken out."""

    def panel() -> None:
        import streamlit as st

        from engine.film.recipe import SETTINGS
        from engine.models import Defaults
        from ui.create import prompt_words
        from ui.storage import draft

        draft.begin(st.session_state, SETTINGS["model"].default, Defaults(width=64, height=64))
        scene = draft.current(st.session_state).scenes[0]
        st.session_state[f"words-{scene.id}"] = True
        prompt_words.prompt_words(scene, st.session_state["card"])
        st.text(scene.prompt)

    at = AppTest.from_function(panel, default_timeout=30)
    at.session_state["card"] = card
    at.run()
    offered = [button.label for button in at.button]
    at.button[1].click().run()
    assert at.text[0].value == offered[1]
    at.button[1].click().run()
    assert at.text[0].value == ""
    return offered


def test_words_to_choose_are_those_that_the_model_knows(studio: Studio) -> None:
    known = words_offered(CARD)
    assert known == [word for words in CARD.knows.values() for word in words]
    assert "golden hour" in words_offered(None)


def at_the_gate(studio: Studio, **params: str) -> tuple[AppTest, str, Recipe]:
    """Return the page of an animatic that is finished, its job and its recipe."""
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    at.toggle(key=draft.KEYFRAMES_FIRST_KEY).set_value(True)
    at.button(key="generate").click().run()
    job = job_of(at)
    recipe = studio.world.made[0].recipes[job]
    finish(studio, job)
    return studio.visit("create", job=job, **params), job, recipe


TWO_SCENES = msgspec.structs.replace(
    Recipe(scenes=tuple(msgspec.structs.replace(one, motion="cut") for one in RECIPE.scenes)),
    animatic=True,
)
TIMES = (0.0, 4.0, 2.0, 1.0)  # in the order in which they were painted


def finish(studio: Studio, job: str, **facts: Any) -> None:
    names = tuple(f"k{index}" for index in range(len(TIMES)))
    planned = msgspec.structs.replace(PLANNED, keyframes=names, times=TIMES)
    studio.world.made[0].say(job, planned, msgspec.structs.replace(FINISHED, **facts))
    until(lambda: (film := studio.hub.library.get(job)) and film.status == "finished")
    until(lambda: (view := studio.hub.find(job)) and view.settled)


def test_the_keyframes_come_first_if_asked(studio: Studio) -> None:
    at, job, recipe = at_the_gate(studio)
    assert (recipe.fps, recipe.interpolation_factor, recipe.animatic) == (24, 8, True)
    assert pictures(at) == 1  # the scene's clearest one
    at.button(key="scene-open-0").click().run()
    assert pictures(at) == 1 + len(TIMES)
    at.button(key="scene-open-0").click().run()
    assert pictures(at) == 1
    at.button(key="approve").click().run()
    film = studio.world.made[0].recipes[job_of(at)]
    assert film == msgspec.structs.replace(recipe, animatic=False)
    assert studio.hub.library.get(job) is None  # the animatic is put aside
    made = job_of(at)
    at.query_params["job"] = job  # as the browser's Back button does
    at.run()
    assert job_of(at) == made
    again = studio.visit("create", job=job)  # in another session
    assert "another one has replaced it" in words(again)


def pictures(at: AppTest) -> int:
    return sum('class="keyframe"' in one.proto.body for one in at.get("html"))


def test_a_reroll_paints_one_keyframe_anew_and_comes_back_to_the_gate(studio: Studio) -> None:
    at, job, _ = at_the_gate(studio, scene="1")
    at.button(key="tool-repaint-2").click().run()
    after = studio.world.made[0].recipes[job_of(at)]
    assert job_of(at) != job
    assert [*after.takes] == [2.0]  # the third in order of time
    assert after.keyframes == tuple(sorted(TIMES))
    finish(studio, job_of(at))
    at = studio.visit("create", job=job_of(at))
    at.button(key="approve").click().run()
    assert studio.world.made[0].recipes[job_of(at)].takes == after.takes


def test_a_keyframe_is_reworded(studio: Studio) -> None:
    at, _, _ = at_the_gate(studio, scene="1")
    area = next(one for one in at.text_area if one.label == "Keyframe 1")
    assert area.value == "dawn"
    area.set_value("<b>night</b>").run()
    at.button(key="paint-0").click().run()
    after = studio.world.made[0].recipes[job_of(at)]
    assert [*after.takes] == [0.0]
    assert animatic.prompt_at(after, 0) == "<b>night</b>"


def test_what_is_locked_stays(studio: Studio) -> None:
    at, _, _ = at_the_gate(studio, lock="0", scene="1")
    assert at.button(key="reroll-all").label == "Repaint the 3 that are not locked"
    at.button(key="tool-lock-3").click().run()
    assert at.button(key="tool-repaint-3").disabled
    at.button(key="reroll-all").click().run()
    after = studio.world.made[0].recipes[job_of(at)]
    assert sorted(after.takes) == [1.0, 2.0]


@pytest.mark.parametrize("lock", ["", "3"])
def test_a_scene_is_repainted_as_one(studio: Studio, lock: str) -> None:
    job = studio.hub.submit(TWO_SCENES)
    finish(studio, job)
    at = studio.visit("create", job=job, lock=lock)
    button = at.button(key="scene-repaint-1")
    assert button.label == ("Repaint 1" if lock else "Repaint 2")
    button.click().run()
    takes = studio.world.made[0].recipes[job_of(at)].takes
    assert sorted(takes) == ([2.0] if lock else [2.0, 4.0])
    assert len({take.seed for take in takes.values()}) == 1  # so they match


def test_a_scene_is_reworded_unless_a_locked_keyframe_would_change(studio: Studio) -> None:
    job = studio.hub.submit(TWO_SCENES)
    finish(studio, job)
    at = studio.visit("create", job=job)
    at.button(key="scene-lock-1").click().run()
    assert at.query_params["lock"] == "2.3"
    assert at.button(key="scene-paint-1").disabled
    assert "Unlock it first" in words(at)
    assert not at.button(key="scene-paint-0").disabled
    at.button(key="scene-lock-1").click().run()
    assert at.query_params["lock"] == ""
    button = at.button(key="scene-paint-1")
    assert button.label == "Repaint 2"
    next(one for one in at.text_area if one.label == "Prompt of scene 2").set_value("fog").run()
    at.button(key="scene-paint-1").click().run()
    after = studio.world.made[0].recipes[job_of(at)]
    assert [scene.prompt for scene in after.scenes] == [RECIPE.scenes[0].prompt, "fog"]
    assert after.keyframes == tuple(sorted(TIMES))


def test_a_locked_keyframe_holds_the_one_that_it_looks_at(studio: Studio) -> None:
    offer_stable_diffusion(studio)
    scenes = Recipe(scenes=RECIPE.scenes)
    looking = msgspec.structs.replace(scenes, model="large", anchor_attention=True, animatic=True)
    job = studio.hub.submit(looking)
    finish(studio, job)
    at = studio.visit("create", job=job, scene="1")
    assert "0.0 s · kept; 3 others depend on it" in words(at)
    assert [at.button(key=f"scene-repaint-{scene}").label for scene in range(2)] == [
        *("Repaint 4", "Repaint 2"),
    ]
    at = studio.visit("create", job=job, lock="2", scene="1")
    assert [at.button(key=f"tool-repaint-{place}").disabled for place in range(2)] == [True, False]
    assert [at.button(key=f"scene-repaint-{scene}").label for scene in range(2)] == [
        "Repaint 1"
    ] * 2
    assert "0.0 s · needed by a locked one" in words(at)
    at.button(key="reroll-all").click().run()
    assert sorted(studio.world.made[0].recipes[job_of(at)].takes) == [1.0, 4.0]


def test_going_back_from_the_gate_finds_the_film_as_it_was_meant(studio: Studio) -> None:
    at, _, _ = at_the_gate(studio)
    at.button(key="again").click().run()
    assert setting(at, "number_input", "fps").value == 24
    assert setting(at, "number_input", "interpolation_factor").value == 8


def test_the_film_can_be_made_as_large_as_it_fits(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn").run()
    sizes = setting(at, "selectbox", "upscale")
    assert sizes.value == 1
    assert sizes.options == [
        "As painted · 256 × 256",
        "2 times · 512 × 512",
        "3 times · 768 × 768",
        "4 times · 1024 × 1024 · HD",
    ]
    before = prices(at)
    sizes.set_value(4).run()
    assert prices(at) != before
    at.button(key="generate").click().run()
    assert studio.world.made[0].recipes[job_of(at)].upscale == 4


def test_a_size_that_is_painted_larger_is_enlarged_less(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn").run()
    setting(at, "selectbox", "upscale").set_value(4).run()
    setting(at, "selectbox", "size").set_value("Custom").run()
    setting(at, "number_input", "width").set_value(1024)
    setting(at, "number_input", "height").set_value(768).run()
    sizes = setting(at, "selectbox", "upscale")
    assert sizes.value == 3
    assert sizes.options[-1] == "3 times · 3072 × 2304 · Full HD"
    at.button(key="generate").click().run()
    assert studio.world.made[0].recipes[job_of(at)].film_size == (3072, 2304)
