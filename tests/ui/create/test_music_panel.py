"""The music's settings appear with the music, and what is heard is what the engine composes."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.film import graph
from engine.music import RATE, compose, length, render
from ui.create import music_panel
from ui.storage import draft


def panel() -> None:
    import streamlit as st

    from engine.models import Defaults
    from ui.create.music_panel import music_settings
    from ui.storage import draft

    draft.begin(st.session_state, "small", Defaults())
    music_settings()
    draft.read_widgets(st.session_state)


@pytest.fixture
def page() -> AppTest:
    found = AppTest.from_function(panel, default_timeout=30).run()
    found.selectbox[0].set_value("composed").run()
    return found


def test_without_music_there_is_only_the_choice() -> None:
    page = AppTest.from_function(panel).run()
    assert page.selectbox[0].value == "none"
    assert not page.slider
    assert not page.button


def test_the_widgets_change_the_recipe(page: AppTest) -> None:
    assert [slider.value for slider in page.slider] == [1.0, 0.0, 0.0]
    page.slider[0].set_value(0.5).run()
    page.text_input[0].set_value("calm").run()
    recipe = page.session_state["draft"].settings
    assert (recipe.music, recipe.music_volume, recipe.music_prompt) == ("composed", 0.5, "calm")
    page.selectbox[0].set_value("none").run()
    made = draft.recipe_of(page.session_state, filler="a")
    assert not made.music
    assert not made.music_volume


def test_another_piece_has_another_seed_and_is_heard(page: AppTest) -> None:
    page.button(key="music-another").click().run()
    seed = page.session_state["draft"].settings.music_seed
    node = page.session_state[music_panel.HEARD_KEY]
    assert node.seed == seed
    assert len(page.get("audio")) == 1
    page.button(key="music-another").click().run()
    assert page.session_state[music_panel.HEARD_KEY].seed != seed


def test_what_is_heard_is_the_beginning_of_the_film() -> None:
    node = graph.SoundtrackNode(scenes=(("a storm at night", 24.0),), loops=False, seed=3)
    score = compose(node.scenes, loops=False, seed=3)
    whole = np.zeros((length(score), 2), np.float32)
    render(score, whole)
    heard = music_panel._beginning(node)
    assert len(heard) == music_panel.HEARD_SECONDS * RATE
    first = slice(0, 15 * RATE)  # later the excerpt fades out; its loudness is its own
    alike = np.corrcoef(heard[first, 0], whole[first, 0])[0, 1]
    assert alike > 0.98
