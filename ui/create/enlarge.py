"""Makes a larger film of a finished one, from the keyframes that were painted for it.

It is a new film, whose recipe differs in ``upscale`` only, so the engine paints no keyframe that it
still has. It knows the hub and the page's address, not how films are laid out.
"""

import streamlit as st
from msgspec import structs

from engine.errors import VisionFluxError
from engine.film.recipe import Recipe, largest_upscale
from ui import app_state as resources
from ui.create.submit import submit
from ui.engines.connections import EngineView
from ui.estimate.panel import content, estimate, painted_already
from ui.shell import text as words
from ui.shell import theme as look
from ui.storage.tables import Film


def enlarge_button(film: Film) -> None:
    """Draw the button that asks how large the film is to become; none if it can be no larger."""
    larger = [*larger_recipes(film.recipe).values()]
    if not larger:
        return
    name = words.pixels(*larger[-1].film_size).rpartition(" · ")[2]
    label = "Enlarge" if " × " in name else f"Make it {name}"
    if st.button(label, key="enlarge", icon=":material/open_in_full:"):
        _choose(film.job)


def _engine(film: Film) -> EngineView:
    """Return the engine to enlarge a film on; the user chooses if another one has its keyframes."""
    hub = resources.get_hub()
    chosen, own = hub.chosen(), hub.connected(film.engine)
    if own is None or own.key == chosen.key:
        return chosen
    offered = {own.key: f"{own.name} (has the keyframes)", chosen.key: chosen.name}
    key = st.radio("Engine", [*offered], format_func=offered.__getitem__, key=f"on-{film.job}")
    return own if key == own.key else chosen


def larger_recipes(recipe: Recipe) -> dict[int, Recipe]:
    """Return the recipes of all larger films of the same keyframes by ``upscale``, ascending."""
    if recipe.format == "gif" or recipe.animatic:
        return {}
    factors = range(recipe.enlargement + 1, largest_upscale(recipe.width, recipe.height) + 1)
    return {factor: structs.replace(recipe, upscale=factor) for factor in factors}


@st.dialog("Enlarge this film")
def _choose(job: str) -> None:
    hub = resources.get_hub()
    film = hub.library.get(job)
    if film is None:
        return
    engine = _engine(film)
    larger = larger_recipes(film.recipe)
    factor = st.radio(
        "Size",
        [*larger],
        index=len(larger) - 1,
        format_func=lambda factor: words.pixels(*larger[factor].film_size),
        key=f"enlarge-{job}",
    )
    chosen = larger[factor]
    cost, missing = estimate(engine, chosen)
    facts = [content(chosen), painted_already(chosen, missing)]
    st.caption(f"About {words.length(cost.seconds)}. {', '.join(filter(None, facts))}.")
    st.caption("The result is a new film; this one stays.")
    if st.button("Make it", key="make-larger", type="primary", disabled=not engine.connected):
        try:
            made = submit(chosen, engine.key)
        except VisionFluxError as error:
            look.show_error(error.report())
        else:
            st.switch_page("pages/create.py", query_params={"job": made})
