"""Words to choose for a scene's prompt: what its model knows, or what most models understand.

It knows cards and the draft, not the engine.
"""

from typing import Any

import streamlit as st

from engine.models import Card
from ui.shell.text import plain
from ui.storage import draft
from ui.storage.draft import SceneDraft

# For models that know all words: what changes a picture most, by kind.
COMMON = {
    "light": ("golden hour", "soft light", "backlit", "moonlight", "neon lights", "candlelight"),
    "weather": ("clear sky", "drifting clouds", "fog", "rain", "snow", "storm"),
    "camera": ("close-up", "wide shot", "aerial view", "low angle", "shallow depth of field"),
    "style": ("watercolour", "oil painting", "35mm film", "anime", "line art", "black and white"),
}


def prompt_words(scene: SceneDraft, card: Card | None) -> None:
    """Draw the popover with the words; a click adds one to the prompt or takes it out again."""
    label, icon = "Words", ":material/match_word:"
    folded = st.popover(label, icon=icon, key=f"words-{scene.id}", on_change="rerun")
    if not folded.open:
        return
    kinds = card.knows if card and card.knows else COMMON
    with folded:
        for kind, words in kinds.items():
            st.caption(plain(kind.capitalize()))
            with st.container(key=f"kind-{scene.id}-{kind}", horizontal=True, gap="xsmall"):
                for word in words:
                    _word(scene, word)


def _word(scene: SceneDraft, word: str) -> None:
    state: Any = st.session_state
    there = draft.says(scene.prompt, word)
    st.button(
        plain(word),
        key=f"word-{scene.id}-{word}",
        icon=":material/check:" if there else None,
        on_click=draft.toggle_word,
        args=[state, scene.id, word],
    )
