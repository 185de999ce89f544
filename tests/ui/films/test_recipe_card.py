import msgspec

from engine.film.events import Logged
from engine.film.recipe import Recipe, Scene
from tests.conftest import a_recipe
from tests.stand_ins.connection import PLANNED
from ui.films import recipe_card
from ui.storage.tables import STAGE_KEYS, Piece

KEYFRAME, SEGMENT = STAGE_KEYS["keyframe"], STAGE_KEYS["segment"]


def piece(kind: str, index: int, origin: str) -> Piece:
    about = {"object": "o", "size": 1_000_000, "origin": origin, "detail": ""}
    return Piece(job="j", key=kind, index=index, **about)


def test_a_films_record_shows_what_lack_of_memory_changed() -> None:
    tiled = Piece(key=KEYFRAME, index=0, origin="A", detail="tiled")
    plain = Piece(key=KEYFRAME, index=1, origin="A", detail="")
    assert recipe_card.made_where([tiled, plain]).startswith("1 of 2 keyframes: put together")
    assert recipe_card.made_where([plain]) == ""


def test_a_film_made_on_one_device_does_not_name_it() -> None:
    assert recipe_card.made_where([piece(KEYFRAME, 0, "A"), piece(SEGMENT, 0, "A")]) == ""
    assert recipe_card.made_where([piece(KEYFRAME, 0, "A"), piece(KEYFRAME, 1, "")]) == ""


def test_a_film_made_on_two_devices_shows_which_made_what() -> None:
    keyframes = [piece(KEYFRAME, index, "A" if index < 4 else "B") for index in range(13)]
    segments = [piece(SEGMENT, index, "A" if index < 1 else "B") for index in range(12)]
    assert recipe_card.made_where(keyframes + segments) == (
        "Keyframes 1–4 were painted on A, 5–13 on B. In-between 1 was drawn on A, 2–12 on B. "
        "Different hardware may differ in tiny details of colour and texture."
    )


def test_what_is_safe_here_is_counted() -> None:
    assert recipe_card.saved_pieces([], 50_000_000) == ""
    some = [piece(KEYFRAME, 0, "A"), piece(KEYFRAME, 1, "A"), piece(SEGMENT, 0, "A")]
    assert recipe_card.saved_pieces(some, 50_000_000) == (
        "Saved on this computer: 2 keyframes and 1 in-between · 3 MB of at most 50 MB"
    )


def test_a_recipe_is_described_by_what_people_see() -> None:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),), seed=7)
    assert recipe_card.in_sentences(recipe) == "256 × 256 pixels, 24 frames per second."
    cut = Scene(prompt="noon", motion="cut")
    scenes = (Scene(prompt="dawn"), Scene(prompt="night"), cut)
    changed = msgspec.structs.replace(recipe, scenes=scenes, loop=True, negative_prompt="fog")
    assert recipe_card.in_sentences(changed) == (
        "Scenes melt into each other or follow each other by cuts. 256 × 256 pixels, "
        "24 frames per second. The film ends where it began. Without: fog"
    )


def test_the_other_settings_of_a_recipe_are_details() -> None:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),), seed=7, shared_noise=True)
    assert recipe_card.details(recipe) == [
        *("Seed 7", "Steps 20", "Guidance scale 4", "Scheduler DPM-Solver++", "Model landscapes"),
        *("Frames per keyframe 8", "Drift 0", "Keyframe spacing Adaptive", "Keep the layout"),
    ]


def test_an_enlarged_film_shows_how_large_it_was_painted() -> None:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),), upscale=4)
    assert "1024 × 1024 pixels, enlarged from 256 × 256" in recipe_card.in_sentences(recipe)


def test_what_was_painted_is_said_where_it_is_more_than_the_prompt() -> None:
    recipe = a_recipe("a fox", "a fox at noon")

    def log(*prompts: str) -> list[Logged]:
        plan = msgspec.structs.replace(PLANNED, prompts=prompts)
        return [Logged(seq=1, at=0.0, event=PLANNED), Logged(seq=2, at=0.0, event=plan)]

    assert recipe_card.painted_prompts(recipe, log("a fox, stars", "a fox at noon")) == [
        "a fox, stars",
        "",
    ]
    assert recipe_card.painted_prompts(recipe, log()) == ["", ""]
    assert recipe_card.painted_prompts(recipe, log("of another film")) == ["", ""]
    assert recipe_card.painted_prompts(recipe, []) == ["", ""]
