"""Prompts that leave things open: what is heard, what is decided, and the keyframes' names."""

import pytest
from msgspec import UNSET, structs

from engine.film.plan import Plan
from engine.film.recipe import Recipe, Retake
from engine.film.vocabulary import Completion, Listener, Vocabulary, completed, completions
from tests.conftest import a_recipe
from tests.stand_ins.vocabulary import WORLD

LISTENER = Listener(WORLD)
SEEDS = range(40)


def heard(prompt: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in LISTENER.hear(prompt):
        for name, value in part.meanings:
            found.setdefault(name, []).append(value)
    return found


def unknown(prompt: str) -> list[str]:
    return [prompt[part.start : part.end] for part in LISTENER.hear(prompt) if not part.known]


def all_of(prompt: str) -> list[Completion]:
    return [LISTENER.complete(prompt, seed) for seed in SEEDS]


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("A FOX, in the woods!", {"subject": ["fox"], "place": ["forest"]}),
        ("two foxes by lakes", {"subject": ["fox"], "place": ["lake"]}),
        ("the sea lion", {"subject": ["sea lion"]}),
        ("space-ship", {"subject": ["rocket"]}),
        ("starry night", {"time": ["night"], "weather": ["stars"]}),
        ("seaside nightmare", {}),
        ("the moon on the left", {"light": ["moon"], "side": ["left"]}),
        ("fox on the left", {"subject": ["fox"], "side of the subject": ["left"]}),
        ("left", {"side": ["left"]}),
        ("left: a fox", {"subject": ["fox"], "side of the subject": ["left"]}),
    ],
)
def test_phrases_are_heard_whole_in_any_case_and_number(
    prompt: str, meant: dict[str, list[str]]
) -> None:
    assert heard(prompt) == meant


def test_words_outside_the_vocabulary_are_told_from_those_that_mean_nothing() -> None:
    assert unknown("Cinematic 4K portrait of a fox, un gato en la luna, 你好") == [
        *("portrait", "of", "un", "gato", "en", "la", "luna", "你好")
    ]


def test_what_a_prompt_shows_is_told_from_when_and_where() -> None:
    prompts = ("fox", "noon", "on the left", "cinematic", "gato", "")
    assert [LISTENER.says_something(LISTENER.hear(prompt)) for prompt in prompts] == [
        *(True, False, False, False, False, False)
    ]
    assert LISTENER.phrases["starry night"]
    assert not LISTENER.phrases["cinematic"]
    assert "a forest" not in LISTENER.phrases


def test_what_is_left_open_is_said_behind_the_prompt() -> None:
    assert LISTENER.complete("a fox in the woods at noon", 2) == Completion(
        prompt="a fox in the woods at noon, the sun on the left, clear sky",
        parts=LISTENER.hear("a fox in the woods at noon"),
        added=("the sun on the left", "clear sky"),
        decided={
            **{"subject": "fox", "place": "forest", "time": "noon"},
            **{"light": "sun", "side": "left", "weather": "clear"},
        },
    )


def test_a_side_is_said_behind_what_it_is_of() -> None:
    one = LISTENER.complete("a full moon over the sea, clear sky.", 1)
    assert one.prompt == "a full moon on the right over the sea, clear sky, at night"
    assert one.added == ("at night", "the moon on the right")
    lone = LISTENER.complete("the sea at noon, right, clear sky", 1)
    assert lone.prompt.endswith("clear sky, the sun on the right")


def test_a_prompt_that_says_everything_stays_as_it_is() -> None:
    prompt = "the sea  at noon; sun left, clear sky. "
    assert LISTENER.complete(prompt, 3).prompt == prompt


def test_the_end_of_a_long_prompt_may_not_be_read() -> None:
    long = "a fox " + "and so on " * 7 + "in the woods at noon"
    assert LISTENER.complete(long, 2).prompt == f"the sun on the left, clear sky, {long}"


def test_seeds_choose_among_all_that_go_together() -> None:
    found = all_of("a fox")
    assert {one.decided["place"] for one in found} == {"forest", "lake"}
    assert {one.decided["time"] for one in found} == {"noon", "night"}
    assert {(one.decided["time"], one.decided["light"]) for one in found} == {
        *(("noon", "sun"), ("night", "moon"))
    }
    weathers = {(one.decided["time"], one.decided["weather"]) for one in found}
    assert weathers == {("noon", "clear"), ("night", "clear"), ("night", "stars")}


def test_choices_are_the_same_from_release_to_release() -> None:
    found = [LISTENER.complete("a fox", seed).prompt for seed in range(3)]
    assert found == [
        "a fox, a lake, at night, the moon on the right, clear sky",
        "a fox, a forest, at noon, the sun on the right, clear sky",
        "a fox, a forest, at night, the moon on the left, stars",
    ]


@pytest.mark.parametrize(
    ("prompt", "values"),
    [
        ("a rocket", {"place": {"space"}, "light": {"planet"}, "time": set(), "weather": set()}),
        ("a storm", {"light": set(), "side": set(), "place": {"forest", "sea", "lake"}}),
        ("stars", {"time": {"night"}, "light": {"moon"}}),
        ("the moon", {"time": {"night"}}),
        ("a toy city", {"place": {"lake"}}),
        ("a fox and a sea lion", {"place": {"lake"}}),
        ("a fox and a rocket", {"place": {"forest", "lake"}}),
        ("sun at night", {"weather": {"clear", "stars"}, "side": {"left", "right"}}),
    ],
)
def test_choices_go_with_what_is_said(prompt: str, values: dict[str, set[str]]) -> None:
    found = all_of(prompt)
    for name, expected in values.items():
        assert {one.decided[name] for one in found if name in one.decided} == expected


def test_a_later_scene_keeps_what_it_does_not_say() -> None:
    scenes = ("a fox in the woods", "the fox by a lake", "a rocket", "the fox again", "at noon")
    for seed in SEEDS:
        first, second, third, fourth, last = completions(scenes, seed, LISTENER)
        assert second.added == first.added
        assert second.decided == {**first.decided, "place": "lake"}
        assert third.decided["place"] == "space"
        same = ("time", "light", "side", "weather")
        assert {name: fourth.decided[name] for name in same[:1]} == {
            name: first.decided[name] for name in same[:1]
        }
        assert (last.decided["time"], last.decided["light"]) == ("noon", "sun")
        assert last.decided["side"] == fourth.decided["side"]


def plan(recipe: Recipe, vocabulary: Vocabulary | None) -> Plan:
    return Plan(recipe, model="m@1", interpolator="i@1", vocabulary=vocabulary)


def test_keyframes_are_named_by_completed_prompts_and_the_film_keeps_its_recipe() -> None:
    short = a_recipe("a fox", "the fox by a lake", seed=1)
    whole = completed(short, WORLD)
    assert [scene.prompt for scene in whole.scenes] == [*plan(short, WORLD).prompts]
    assert plan(short, WORLD).keyframes == plan(whole, None).keyframes
    assert plan(short, WORLD).keyframes != plan(short, None).keyframes
    assert plan(short, WORLD).film.recipe == short


def test_models_without_a_vocabulary_paint_prompts_as_written() -> None:
    recipe = a_recipe("a fox", seed=1, retakes=[{"seconds": 0, "prompt": "a cat"}])
    assert completed(recipe, None) is recipe
    assert plan(recipe, None).prompts == ()
    nothing = Vocabulary(attributes=())
    assert plan(recipe, nothing).keyframes == plan(recipe, None).keyframes


def test_another_prompt_for_a_keyframe_keeps_its_scene() -> None:
    prompts = ("a fox at night", "a fox at noon")
    recipe = a_recipe(*prompts, seed=1)
    retakes = (Retake(seconds=0.75, prompt="the sea"), Retake(seconds=0.0, seed=3))
    whole = completed(structs.replace(recipe, retakes=retakes), WORLD)
    assert whole.retakes is not UNSET
    reworded, rerolled = whole.retakes
    assert reworded.prompt is not UNSET
    second = completions(prompts, 1, LISTENER)[1].decided
    assert LISTENER.complete(reworded.prompt, 9).decided == {
        **{name: value for name, value in second.items() if name != "subject"},
        "place": "sea",
    }
    assert rerolled == retakes[1]
