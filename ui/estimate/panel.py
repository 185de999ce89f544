"""The estimate of a film: its time beside the Generate button, and everything else.

``ui.estimate.cost`` computes it.
"""

from dataclasses import dataclass
from html import escape

import streamlit as st

from engine.errors import VisionFluxError
from engine.film.plan import most_keyframes
from engine.film.recipe import Recipe
from engine.film.stages import KEYFRAME
from ui import app_state
from ui.engines.connections import EngineView
from ui.estimate.cost import Estimate, price
from ui.estimate.history import FilmHistory
from ui.shell import text
from ui.storage import draft

TIGHT_MEMORY_SHARE = 0.9  # of a device's memory, above which a film may not fit


@dataclass(frozen=True)
class Quote:
    """The estimate for the film on the storyboard.

    Attributes:
        recipe: of the film.
        engine: that would make it.
        cost: what it takes.
        keyframes: that are to be painted.
    """

    recipe: Recipe
    engine: EngineView
    cost: Estimate
    keyframes: int

    @property
    def tight(self) -> bool:
        """Whether the device may have too little memory."""
        hello = self.engine.hello
        total = hello.device.total_memory if hello else 0
        return bool(total) and self.cost.memory > TIGHT_MEMORY_SHARE * total


def quote_of(engine: EngineView) -> Quote | str:
    """Return the estimate for the film on the storyboard, or why there is none."""
    draft.read_widgets(st.session_state)
    try:
        recipe = draft.recipe_of(st.session_state, filler=draft.FILLER)
    except VisionFluxError as error:
        return text.sentence(error.problem)
    return Quote(recipe, engine, *estimate(engine, recipe))


def time_line(quote: Quote | str) -> None:
    """Draw how long the film takes, in one line, or why that is not known."""
    if isinstance(quote, str):
        st.caption(text.plain(quote), width="content")
        return
    cost, notes = quote.cost, [f"for a film of {quote.recipe.seconds:g} s"]
    notes.append(between(cost.low, cost.high))
    if done := painted_already(quote.recipe, quote.keyframes):
        notes.append(done)
    if quote.tight:
        notes.append("may need too much memory")
    st.html(
        f'<p class="price"><b>About {escape(text.length(cost.seconds))}</b> '
        f"<span>{escape(' · '.join(notes))}</span></p>",
        width="content",
    )


def details(quote: Quote | str) -> None:
    """Draw the whole estimate."""
    if not isinstance(quote, str):
        st.html(_figures(quote))
        basis = text.plain(_basis(quote.cost, quote.engine))
        st.caption(f"{content(quote.recipe)}  \n{basis}")


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


def content(recipe: Recipe) -> str:
    """Return a film's duration, frames and keyframes in words."""
    return (
        f"{recipe.seconds:g} s · {recipe.frames} frames at {recipe.fps} fps · "
        f"{most_keyframes(recipe)} keyframes"
    )


def painted_already(recipe: Recipe, missing: int) -> str:
    """Return how many of a film's keyframes there are, in words, if ``missing`` are not; or ""."""
    keyframes = most_keyframes(recipe)
    return f"{keyframes - missing} of {keyframes} keyframes are there" * (missing < keyframes)


def between(low: float, high: float) -> str:
    """Return a range of durations in words."""
    first, last = text.length(low), text.length(high)
    if first == last:
        return last
    if first.partition(" ")[2] == last.partition(" ")[2]:
        first = first.partition(" ")[0]
    return f"{first} to {last}"


def _figures(quote: Quote) -> str:
    cost, hello = quote.cost, quote.engine.hello
    total = hello.device.total_memory if hello else 0
    device = f"of {text.size(total)}" if total else ""
    memory = "may be too much; a smaller size needs less" if quote.tight else device
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
