"""The card of the rich world: it hears what captions say, and completes prompts truly."""

import msgspec
import numpy as np
import pytest

from engine.film.vocabulary import Listener
from engine.models import Card
from training import prompts, vocabulary, words
from training.scene import ALL_PLACES, DARK, rich_scene, weathers_of
from training.subjects import SUBJECTS, plural_of

WORLD = vocabulary.vocabulary()
LISTENER = Listener(WORLD)


def heard(text):
    return [meaning for part in LISTENER.hear(text) for meaning in part.meanings]


def test_the_card_is_small_and_comes_back_from_its_file(tmp_path):
    vocabulary.write_card(tmp_path)
    written = (tmp_path / "card.json").read_bytes()
    assert msgspec.json.decode(written, type=Card) == vocabulary.card()
    assert len(written) < 60_000


def test_rules_name_what_there_is():
    values = {one.name: {*one.values} for one in WORLD.attributes}
    for attribute in WORLD.attributes:
        assert attribute.of in ("", *values)
        for sense in attribute.values.values():
            for name, needed in sense.needs.items():
                assert {*needed} <= values[name] | {*WORLD.groups}
            for name, preferred in sense.prefers.items():
                assert {*preferred} <= values[name]
    assert {one for group in WORLD.groups.values() for one in group} <= {*ALL_PLACES}
    favourites = {name for names in vocabulary.FAVOURITES.values() for name in names}
    assert favourites <= {*SUBJECTS}


def test_every_subject_is_heard_in_both_numbers():
    for name in SUBJECTS:
        for word in words.subject_words(name):
            for said in (word, plural_of(word), f"the {word}"):
                assert ("subject", name) in heard(said)


def test_words_without_a_meaning_are_no_meaning_of_others():
    meaningful = {phrase for one in WORLD.attributes for value in one.values.values()
                  for phrase in value.heard}  # fmt: skip
    assert not {*words.FILLER, *words.STYLES, *words.SMALL_WORDS} & meaningful


def test_captions_are_heard_as_the_scenes_they_are_of():
    rng = np.random.default_rng(3)
    for _ in range(400):
        scene = rich_scene(rng)
        text = prompts.held_out_prompt(scene, rng)
        found = {*heard(text)}
        expected = {("place", scene.place), *(("subject", one.subject) for one in scene.figures)}
        expected |= {("side", scene.side), ("light", scene.disc)} if scene.disc else set()
        assert expected <= found, text
        assert all(part.known for part in LISTENER.hear(text)), text


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_is_put_where_it_is_at_home(name):
    for seed in range(20):
        found = LISTENER.complete(f"a {name}", seed).decided
        assert found["place"] in {place for habitat in SUBJECTS[name].habitats
                                  for place in WORLD.groups[habitat]}  # fmt: skip
        weather = found.get("weather", "clear")
        assert weather in weathers_of(found.get("time", "night"), found["place"])
        light = {"space": "planet", "under water": None}.get(
            found["place"], "moon" if found.get("time") in DARK else "sun"
        )
        assert (found.get("light"), "side" in found) == (light, light is not None)


@pytest.mark.parametrize("example", vocabulary.EXAMPLES)
def test_examples_say_what_they_show(example):
    assert all(part.known for part in LISTENER.hear(example))
