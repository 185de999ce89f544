"""The prompt on the front page: one sentence and Enter make a film with the model's own settings.

The film that the user is composing on Create is left as it is. Knows the hub and the draft's rules;
nothing about the page around it.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from engine.errors import VisionFluxError
from engine.film.recipe import MAX_PROMPT, Recipe
from engine.wire.messages.responses import Hello
from ui import app_state
from ui.create import new_film
from ui.create.submit import submit
from ui.engines.connections import EngineView
from ui.shell import theme
from ui.shell.component import component
from ui.shell.text import plain
from ui.storage import draft

WAITING = "first-film-waiting"  # the prompt that no engine has taken yet
_focus = component(Path(__file__).with_name("first_film.js"))


def first_film() -> None:
    """Draw the prompt and its button; open the film once an engine has it, or Create if empty."""
    with st.form("first-film", border=False), st.container(horizontal=True, gap="small"):
        text = st.text_input(
            "Describe a scene",
            placeholder="Dawn over a quiet sea…",
            max_chars=MAX_PROMPT,
            label_visibility="collapsed",
            key="first-film-prompt",
        )
        wanted = st.form_submit_button("Create a film", type="primary", key="start")
    _focus(key="first-film-focus")
    if wanted:
        st.session_state.pop(WAITING, None)
        if not text.strip():
            new_film.begin_next()
            st.switch_page("pages/create.py")
        st.session_state[WAITING] = text
    if prompt := st.session_state.get(WAITING):
        _make(prompt)


def _make(prompt: str) -> None:
    engine = app_state.get_hub().chosen()
    if not (engine.connected and engine.hello and engine.hello.models):
        _wait()
        return
    try:
        job = submit(recipe_for(prompt, engine.hello))
    except VisionFluxError as error:
        theme.show_error(error.report())
    else:
        st.switch_page("pages/create.py", query_params={"job": job})
    finally:
        st.session_state.pop(WAITING, None)


def recipe_for(prompt: str, hello: Hello) -> Recipe:
    """Return a film of one scene, with the settings that its model's card recommends.

    The model is that of the film on Create, if the engine has it, else the engine's first.

    Raises:
        InvalidParameterError: the prompt has a character that no prompt may have.
    """
    cards = {model.name: model.card for model in hello.models}
    kept = app_state.get_hub().draft_file.read()
    name = kept.recipe.model if kept and kept.recipe.model in cards else next(iter(cards))
    state: dict[Any, Any] = {}
    draft.begin(state, name, cards[name].defaults)
    draft.put_prompt(state, prompt)
    return draft.recipe_of(state)


@st.fragment(run_every=1.0)
def _wait() -> None:
    """Report why no engine has the film yet; submit it once one is connected."""
    engine = app_state.get_hub().chosen()
    if engine.connected:
        st.rerun()
    st.caption(_status(engine))
    if engine.stopped and st.button("Start it", key="first-film-start"):
        app_state.get_hub().start_local()


def _status(engine: EngineView) -> str:
    if engine.stopped:
        return ":gray[●] The engine on this computer is stopped. Your film waits for it."
    if engine.state.error and not engine.hello:
        error = engine.state.error
        return f":red[●] {plain(error.message)}. {plain(error.remedy)}"
    name = "the engine on this computer" if engine.starting else plain(engine.name)
    doing = "Starting" if engine.starting else "Connecting to"
    return f":orange[●] {doing} {name}… Your film begins by itself."
