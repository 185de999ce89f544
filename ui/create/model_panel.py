"""What the Create page shows about models: the chosen one, what it knows, example prompts."""

from typing import Any

import streamlit as st
from msgspec import structs

from engine.film.recipe import SETTINGS
from engine.models import Card
from engine.wire.messages.responses import Hello
from ui.create.settings_panel import UNKNOWN_DEFAULTS, negative_prompt
from ui.shell.text import plain, size
from ui.storage import draft

MANY_WORDS = 24  # of one kind that a model knows; more are folded away


def choose_model(hello: Hello | None) -> Card | None:
    """Begin a draft if there is none, and return the card of its model; None without an engine."""
    state: Any = st.session_state
    models = {model.name: model.card for model in hello.models} if hello else {}
    if not models:
        draft.begin(state, SETTINGS["model"].default, UNKNOWN_DEFAULTS, guessed=True)
        return None
    first = next(iter(models))
    draft.begin(state, first, models[first].defaults)
    composing = draft.current(state)
    name = composing.settings.model
    if name not in models or composing.guessed:
        name = name if name in models else first
        composing.guessed = False
        draft.change(state, model=name)
        draft.use_defaults(state, models[name].defaults)
    draft.read_widgets(state)
    card = models[composing.settings.model]
    if not card.anchor_attention:
        draft.change(state, anchor_attention=False)
    return card


def knowledge(card: Card) -> None:
    """Show what the model knows."""
    with st.container(key="glass_knows", border=True, gap="small"):
        st.markdown(f"**{plain(card.title)}**")
        if card.description:
            st.caption(plain(card.description))
        few = {kind: words for kind, words in card.knows.items() if len(words) <= MANY_WORDS}
        said = {kind.capitalize(): " · ".join(words) for kind, words in few.items()}
        for kind, text in (said | facts(card)).items():
            st.markdown(f":gray[{plain(kind)}]  \n{plain(text)}")
        for kind, words in card.knows.items():
            if kind not in few:
                with st.expander(f"{plain(kind.capitalize())} ({len(words)})"):
                    st.markdown(plain(" · ".join(words)))


def facts(card: Card) -> dict[str, str]:
    """Return what users should know before they use a model, by heading."""
    defaults = card.defaults
    named = ("num_inference_steps", "width", "height", "drift")
    others = ", ".join(
        f"{SETTINGS[name].title} {SETTINGS[name].format(value)}"
        for name, value in structs.asdict(defaults).items()
        if name not in named
    )
    found = {
        "Made for": f"{defaults.num_inference_steps} steps, {others}, "
        f"{defaults.width} × {defaults.height}",
        "Negative prompt": negative_prompt(card),
        "Download": f"about {size(card.download)}, once, for the first film" * bool(card.download),
        "Memory": f"about {size(card.memory)} of a GPU at that size" * bool(card.memory),
        "Licence": card.licence,
    }
    return {heading: text for heading, text in found.items() if text}


def examples(card: Card) -> None:
    """Draw a button for each example prompt."""
    state: Any = st.session_state
    if not card.examples:
        return
    st.caption("Or start from one of these")
    with st.container(key="examples", horizontal=True, gap="small"):
        for index, example in enumerate(card.examples[:6]):
            st.button(
                plain(example),
                key=f"example-{index}",
                on_click=draft.put_prompt,
                args=[state, example],
            )
