"""What the Create page says of a prompt before it is painted."""

import pytest

from engine.models import KNOWN, Card
from tests.stand_ins.vocabulary import WORLD
from ui.create.prompt_check import PromptCheck, check_prompts

EXAMPLES = ["a fox in the woods at night", "the sea at noon, the sun on the left"]
CARD = Card(title="World", vocabulary=WORLD, examples=EXAMPLES)


def check(*prompts: str, seed: int = 2) -> list[PromptCheck]:
    return check_prompts(prompts, seed, CARD)


def test_what_is_added_is_said_for_each_scene_but_empty_ones() -> None:
    assert check("a fox", "", "at noon") == [
        PromptCheck(also=("a forest", "at night", "the moon on the left", "stars")),
        PromptCheck(),
        PromptCheck(also=("a forest", "the sun on the left", "clear sky")),
    ]
    assert check("the sea at noon, the sun on the left, clear sky") == [PromptCheck()]


@pytest.mark.parametrize(
    "prompt",
    [
        *("un gato en la luna", "retrato de un anciano", "una ciudad futurista"),
        *("ein Hund am Strand", "Porträt einer Frau", "eine Stadt im Regen"),
        *("portrait of an old man", "two people kissing", "spaghetti on a plate", "猫"),
        *("cinematic portrait", "a box of fruit", "cup on the left"),
    ],
)
def test_a_prompt_of_unknown_words_leads_to_one_that_can_be_painted(prompt: str) -> None:
    (found,) = check(prompt)
    assert found.nothing
    assert found.also == ()
    assert found.nearest == EXAMPLES[0]


@pytest.mark.parametrize(
    ("prompt", "nearest"),
    [("a foxx", "a fox"), ("the forset, 4k", "the forest, 4k"), ("The Moonn", "The moon")],
)
def test_typing_errors_are_corrected(prompt: str, nearest: str) -> None:
    (found,) = check(prompt)
    assert found.nothing
    assert found.nearest == nearest


def test_what_is_understood_stays() -> None:
    (found,) = check("a cup of coffee at noon, 4k")
    assert found.nearest == "at noon, a forest, the sun on the left, clear sky"


@pytest.mark.parametrize("prompt", ["a fox playing chess", "cinematic 4k", "noon"])
def test_a_prompt_that_says_something_is_no_problem(prompt: str) -> None:
    assert not check(prompt)[0].nothing


def test_nothing_is_claimed_without_a_vocabulary() -> None:
    for card in (KNOWN["sdxl"].card, Card(title="Landscapes")):
        assert check_prompts(["un gato", ""], 1, card) == [PromptCheck(), PromptCheck()]


def test_a_model_without_examples_offers_none() -> None:
    (found,) = check_prompts(["un gato"], 1, Card(title="World", vocabulary=WORLD))
    assert (found.nothing, found.nearest) == (True, "")
