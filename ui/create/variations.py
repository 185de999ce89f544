"""Four first keyframes of the film on the storyboard, from four seeds; the user takes one of them.

Each is a small animatic, whose keyframe the film finds when it is made. It knows the draft and
jobs, not the page around it.
"""

from html import escape
from typing import Any, NamedTuple

import streamlit as st

from engine.errors import VisionFluxError
from engine.film.recipe import Recipe
from ui import app_state
from ui.create import animatic
from ui.create.submit import submit
from ui.engines.connections import EngineView
from ui.shell import theme
from ui.storage import draft

COUNT = 4
POLL_INTERVAL = 1.0  # seconds, while they are painted
KEY = "variations"  # in the session: those on the page


class Variation(NamedTuple):
    """A first keyframe: its recipe, and the job that paints it; "" until it is submitted."""

    recipe: Recipe
    job: str = ""


def variations(engine: EngineView) -> None:
    """Draw the button that begins, and the pictures that are the first of the present film."""
    if not all(one.job for one in _fitting()):
        _submit()
    shown = _fitting()
    busy = bool(shown) and not _settled(shown)
    disabled, icon = busy or not engine.connected, ":material/grid_view:"
    if st.button(f"Try {COUNT} seeds", key="try-seeds", icon=icon, disabled=disabled):
        _choose()
    if shown:
        interval = POLL_INTERVAL if busy else None
        st.fragment(_pictures, run_every=interval)(shown, busy)


def _choose() -> None:
    """Choose the seeds, all of them before any is submitted: Streamlit may end this run."""
    state: Any = st.session_state
    draft.read_widgets(state)
    try:
        film = draft.recipe_of(state)
    except VisionFluxError as error:
        theme.show_error(error.report())
        return
    _close()
    seeds = (film.seed, *(draft.new_seed() for _ in range(COUNT - 1)))
    state[KEY] = [Variation(animatic.first_keyframe(film, seed)) for seed in seeds]
    st.rerun()


def _submit() -> None:
    """Submit those that are not yet; show an error of the engine, and go on without them."""
    shown: list[Variation] = st.session_state[KEY]
    for place, one in enumerate(shown):
        if not one.job:
            try:
                shown[place] = one._replace(job=submit(one.recipe))
            except VisionFluxError as error:
                theme.show_error(error.report())
                st.session_state[KEY] = [other for other in shown if other.job]
                return


def _fitting() -> list[Variation]:
    """Return those that were not painted for other words or settings."""
    state: Any = st.session_state
    shown: list[Variation] = state.get(KEY, [])
    if not shown:
        return []
    draft.read_widgets(state)
    try:
        film = draft.recipe_of(state)
    except VisionFluxError:
        return []
    now = (animatic.first_keyframe(film, one.recipe.seed) for one in shown)
    return [one for one, recipe in zip(shown, now, strict=True) if one.recipe == recipe]


def _pictures(shown: list[Variation], busy: bool) -> None:
    """Draw the pictures; rerun the page once they are no longer ``busy`` being painted."""
    settled = _settled(shown)
    if busy and settled:
        st.rerun()
    with st.container(key="seeds", horizontal=True, gap="small"):
        for number, one in enumerate(shown, start=1):
            with st.container(key=f"seed-{number}", width=150, gap="xsmall"):
                st.html(_picture(number, one))
                key, there = f"take-{one.job}", settled and _thumbnail(one)
                if st.button(
                    "Take it", key=key, help=f"Seed {one.recipe.seed}", disabled=not there
                ):
                    draft.change(st.session_state, seed=one.recipe.seed)
                    _close()
                    st.rerun()
    if settled and st.button("Close", key="close-seeds", type="tertiary"):
        _close()
        st.rerun()


def _picture(number: int, one: Variation) -> str:
    shape = f"aspect-ratio: {one.recipe.width} / {one.recipe.height}"
    address, alt = _thumbnail(one), f"First keyframe {number}"
    if not address:
        failed = _ended(one) and not _finished(one)
        alt += " could not be painted" if failed else " is being painted"
        word = "Not painted" if failed else "…"
        return f'<div class="keyframe" style="{shape}" role="img" aria-label="{alt}">{word}</div>'
    return f'<img class="keyframe" style="{shape}" src="{escape(address)}" alt="{alt}">'


def _thumbnail(one: Variation) -> str:
    """Return the address of a variation's picture; "" until it is on this computer."""
    pictures = app_state.get_hub().library.thumbnails(one.job)
    if not pictures:
        return ""
    ticket = app_state.get_tickets().issue(f"film:{one.job}")
    return f"/api/pictures/{one.job}/{pictures[0]}?ticket={ticket}"


def _settled(shown: list[Variation]) -> bool:
    """Return whether all have ended, and all pictures that there are have been downloaded."""
    return all(_ended(one) and (_thumbnail(one) or not _finished(one)) for one in shown)


def _ended(one: Variation) -> bool:
    view = app_state.get_hub().find(one.job)
    return view is None or view.settled


def _finished(one: Variation) -> bool:
    film = app_state.get_hub().library.get(one.job)
    return film is not None and film.status == "finished"


def _close() -> None:
    """Remove the pictures; their keyframes stay with the engine."""
    for one in st.session_state.pop(KEY, []):
        app_state.get_hub().library.discard(one.job)
