"""The music of a film on the Create page: on or off, its mood, how loud it is, and how it sounds.

It composes what is heard here by itself, as the engine will. It knows the draft, not the engine.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st
from msgspec import structs
from numpy.typing import NDArray

from engine.errors import VisionFluxError
from engine.film import graph
from engine.film.graph import SoundtrackNode
from engine.film.recipe import SETTINGS
from engine.music import RATE, compose, length, render
from ui.create.widgets import choice_arguments, number_arguments, show_excess
from ui.storage import draft

HEARD_SECONDS = 20.0  # of the film's beginning; the engine composes all of it
HEARD_KEY = "music-heard"
FILLER = "a quiet scene"  # heard in place of an empty prompt


def music_settings() -> None:
    """Draw the music's settings; all but the first only where there is music."""
    state: Any = st.session_state
    field = SETTINGS["music"]
    st.selectbox(**choice_arguments(field), **draft.choice(state, "music", field.names))
    if state[draft.key(state, "music")] == "none":
        state.pop(HEARD_KEY, None)
        return
    with st.container(horizontal=True, gap="small"):
        st.button("Listen", key="music-listen", icon=":material/play_arrow:", on_click=_listen)
        st.button("Another piece", key="music-another", icon=":material/casino:", on_click=_another)
    if (node := state.get(HEARD_KEY)) is not None:
        st.audio(_beginning(node).T, sample_rate=RATE, autoplay=True)
    prompt, mood = SETTINGS["music_prompt"], draft.setting(state, "music_prompt")
    st.text_input(prompt.title, **mood, placeholder="as in the scenes", help=prompt.description)
    show_excess(state[mood["key"]], prompt)
    st.number_input(
        **number_arguments(SETTINGS["music_seed"]),
        **draft.setting(state, "music_seed"),
        placeholder="as the film's",
    )
    for name in ("music_volume", "music_fade_in", "music_fade_out"):
        st.slider(**number_arguments(SETTINGS[name]), **draft.setting(state, name))


def _listen() -> None:
    """Play the music that the film would have now."""
    state: Any = st.session_state
    draft.read_widgets(state)
    try:
        recipe = draft.recipe_of(state, filler=FILLER)
    except VisionFluxError:
        return  # The page shows what is wrong.
    state[HEARD_KEY] = graph.soundtrack(structs.replace(recipe, format="mp4"))


def _another() -> None:
    draft.change(st.session_state, music_seed=draft.new_seed())
    _listen()


@lru_cache(maxsize=4)
def _beginning(node: SoundtrackNode) -> NDArray[np.float32]:
    """Return the first seconds of a soundtrack, float32 ``(length, 2)``; takes about a second."""
    whole = compose(node.scenes, loops=node.loops, seed=node.seed)
    heard = min(whole.seconds, HEARD_SECONDS)
    notes = tuple(note for note in whole.notes if note.start < heard)
    score = replace(whole, notes=notes, seconds=heard, loops=False)
    sound = np.zeros((length(score), 2), np.float32)
    render(score, sound)
    return sound
