"""The estimate beside the Generate button; ``ui.estimate.cost`` computes it."""

from html import escape

import streamlit as st

from engine.errors import VisionFluxError
from engine.film.plan import most_keyframes
from engine.film.recipe import Recipe
from engine.film.stages import KEYFRAME
from engine.wire.messages.responses import Hello
from ui import app_state
from ui.engines.connections import EngineView
from ui.estimate.cost import Estimate, price
from ui.estimate.history import FilmHistory
from ui.shell import text
from ui.storage import draft

TIGHT_MEMORY_SHARE = 0.9  # of a device's memory, above which a film may not fit


def estimate_panel(engine: EngineView) -> None:
    """Draw the estimate for the film on the storyboard, or why there is none."""
    draft.read_widgets(st.session_state)
    try:
        recipe = draft.recipe_of(st.session_state, filler=draft.FILLER)
    except VisionFluxError as error:
        st.caption(text.plain(text.sentence(error.problem)))
        return
    cost, keyframes = estimate(engine, recipe)
    st.html(_figures(cost, engine.hello))
    st.caption(f"{content(recipe, keyframes)}  \n{text.plain(_basis(cost, engine))}")


def estimate(engine: EngineView, recipe: Recipe) -> tuple[Estimate, int]:
    """Return the estimate for a film on an engine, and how many keyframes are to be painted."""
    hub, hello = app_state.get_hub(), engine.hello
    past = FilmHistory(hub.library.engine, hub.library.owner, hello.engine if hello else "")
    kind = hello.device.kind if hello else ""
    cards = {model.name: model.card for model in hello.models} if hello else {}
    card = cards.get(recipe.model)
    units = past.missing(recipe, card)
    cost = price(
        recipe,
        past.measurements(),
        units=units,
        cold=not (hello and hello.interpolator),
        gpu=kind.startswith(("cuda", "mps")),
        devices=len(hello.devices) if hello else 1,
        card=card,
        works={name: card.work for name, card in cards.items()},
        far=not engine.local,
        previews=hub.preferences.preview_budget,
        mirror=hub.preferences.mirror_budget,
    )
    return cost, units[KEYFRAME.name]


def content(recipe: Recipe, missing: int) -> str:
    """Return a film's duration, frames and keyframes, of which ``missing`` are to be painted."""
    keyframes = most_keyframes(recipe)
    made = f", {keyframes - missing} of them painted already" if missing < keyframes else ""
    return (
        f"{recipe.seconds:g} s · {recipe.frames} frames at {recipe.fps} fps · "
        f"{keyframes} keyframes{made}"
    )


def between(low: float, high: float) -> str:
    """Return a range of durations in words."""
    first, last = text.length(low), text.length(high)
    if first == last:
        return last
    if first.partition(" ")[2] == last.partition(" ")[2]:
        first = first.partition(" ")[0]
    return f"{first} to {last}"


def _figures(cost: Estimate, hello: Hello | None) -> str:
    total = hello.device.total_memory if hello else 0
    tight = total and cost.memory > TIGHT_MEMORY_SHARE * total
    device = f"of {text.size(total)}" if total else ""
    memory = "may be too much; a smaller size needs less" if tight else device
    data = ("about " + text.size(cost.data), "at most, through the tunnel")
    figures = [
        ("Time", f"about {text.length(cost.seconds)}", between(cost.low, cost.high)),
        ("Memory", f"about {text.size(cost.memory)}", memory),
        ("Data", *(data if cost.data else ("none", "stays on this computer"))),
    ]
    parts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        f'<dd class="bars">{escape(more)}</dd></div>'
        for name, value, more in figures
    )
    return f'<dl class="quote">{parts}</dl>'


def _basis(cost: Estimate, engine: EngineView) -> str:
    if not cost.films:
        line = "A first guess, because you have made no film on this engine yet."
    else:
        films = "film" if cost.films == 1 else f"{cost.films} films"
        waiting = engine.hello.queue if engine.hello else 0
        line = f"Based on your last {films} on this engine."
        queue = "1 film is" if waiting == 1 else f"{waiting} films are"
        line = f"{line} {queue} in the queue." if waiting else line
    if cost.fetched:
        line += f" The engine may have to download its model first: {text.size(cost.fetched)}."
    return line
