"""Prompts of the rich world: true, in the vocabulary, and some of them kept for the test."""

import numpy as np
import pytest

from training import prompts, words
from training.scene import (
    ALL_PLACES,
    ALL_WEATHERS,
    PALETTES,
    SIDES,
    TIMES,
    Figure,
    Scene,
    rich_scene,
)
from training.subjects import plural_of

TABLES = {
    "time": (words.TIMES_SAID, TIMES),
    "place": (words.PLACES_SAID, ALL_PLACES),
    "side": (words.SIDES_SAID, SIDES),
    "weather": (words.WEATHERS_SAID, ALL_WEATHERS),
    "palette": (words.PALETTES_SAID, PALETTES),
}
FOXES = tuple(Figure("fox", "ground", side, near=True) for side in ("left", "right"))


def some_scenes(count: int) -> list[Scene]:
    rng = np.random.default_rng(4)
    return [rich_scene(rng) for _ in range(count)]


@pytest.mark.parametrize("name", TABLES)
def test_a_phrase_means_one_value(name):
    said, values = TABLES[name]
    assert tuple(said) == values
    phrases = [phrase for value in values for phrase in said[value]]
    assert sorted({phrase for phrase in phrases if phrases.count(phrase) > 1}) == []


def test_phrases_say_what_the_scene_shows():
    rng = np.random.default_rng(0)
    for scene in some_scenes(300):
        said = prompts.phrases(scene, rng)
        for name, (table, _) in TABLES.items():
            assert said[name] in ("", *table[getattr(scene, name)])
        assert bool(said["disc"]) == bool(scene.disc)
        for figure in scene.figures:
            named = words.subject_words(figure.subject)
            named += tuple(plural_of(word) for word in named)
            assert any(word in said["figures"] for word in named)


def test_two_of_a_kind_are_said_in_the_plural():
    scene = Scene("noon", "meadow", "left", "clear", figures=FOXES)
    rng = np.random.default_rng(0)
    said = {prompts.figures_said(scene, rng) for _ in range(60)}
    assert "two foxes" in said
    assert all("foxes" in text for text in said)


@pytest.mark.parametrize(
    ("word", "said"), [("owl", "an owl"), ("unicorn", "a unicorn"), ("ufo", "a ufo")]
)
def test_articles(word, said):
    assert prompts.article(word) == said


def test_held_out_prompts_name_everything():
    rng = np.random.default_rng(0)
    for scene in some_scenes(200):
        text = prompts.held_out_prompt(scene, rng)
        assert any(phrase in text for phrase in words.PLACES_SAID[scene.place])
        if scene.disc:
            assert any(phrase in text for phrase in words.DISCS_SAID[scene.disc])
        assert "  " not in text
        assert "{" not in text


def test_every_value_is_in_both_the_trained_and_the_held_out_combinations():
    scenes = some_scenes(3000)
    for kept in (True, False):
        some = [scene for scene in scenes if prompts.held_out(scene) == kept]
        for name in ("time", "place", "side", "weather"):
            assert {getattr(scene, name) for scene in some} == set(TABLES[name][1])
    assert 0.05 < sum(map(prompts.held_out, scenes)) / len(scenes) < 0.2
