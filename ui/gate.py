"""The storyboard gate: a film's keyframes, to be approved, re-rolled, reworded or locked.

Every change is a new recipe; the engine paints what it does not have yet, and the cards say which
that was. It knows animatics, not how jobs are handed in.
"""

from collections.abc import Callable
from html import escape

import streamlit as st

from engine.events import KeyframeFinished
from engine.recipe import MAX_PROMPT, Recipe
from ui import animatic, draft, resources, words
from ui.player import player
from ui.quote import estimate, lasting
from ui.tables import Film

Submit = Callable[[Recipe, Callable[[], None]], None]
WIDTH = 236  # pixels of a card
LATE = 1.5  # seconds between looks for pictures that are still to come


def gate(film: Film, fps: int, submit: Submit) -> None:
    """Draw the gate.

    Args:
        film: the animatic, finished.
        fps: frames per second of the film that it is of.
        submit: hands a recipe in, calls its second argument, and shows the job.
    """
    st.caption("These are the keyframes. Change what you like; only that is painted again.")
    _approval(film, fps, submit)
    count = len(animatic.times(film.recipe))
    late = len(resources.get_hub().library.pictures(film.job)) < count
    st.fragment(_cards, run_every=LATE if late else None)(film, submit, late)
    with st.expander("See them in motion", icon=":material/play_arrow:"):
        player(film)


def leave(film: Film) -> None:
    """Put an animatic aside that another film takes the place of."""
    resources.get_hub().library.discard(film.job)


def _approval(film: Film, fps: int, submit: Submit) -> None:
    whole = animatic.film_of(film.recipe, fps)
    engine = resources.get_hub().chosen()
    cost, keyframes = estimate(engine, whole)
    few = "one keyframe" if keyframes == 1 else f"{keyframes} keyframes"
    more = f"{few} where scenes end, and " if keyframes else ""
    with st.container(key="glass_gate", border=True, horizontal=True, vertical_alignment="center"):
        if st.button("Make the film", key="approve", type="primary", disabled=not engine.connected):
            submit(whole, lambda: _approved(film))
        if st.button("Re-roll what is not locked", key="reroll-all", icon=":material/casino:"):
            others = set(range(len(animatic.times(film.recipe)))) - _locked()
            _repaint(film, submit, {index: draft.new_seed() for index in others}, {})
        st.caption(f"Still to come: {more}everything in between. About {lasting(cost.seconds)}.")


def _approved(film: Film) -> None:
    for name in ("gate", "lock"):
        st.query_params.pop(name, None)
    leave(film)


def _cards(film: Film, submit: Submit, late: bool) -> None:
    """Draw a card for each keyframe; while pictures are ``late`` this is done again and again."""
    hub = resources.get_hub()
    anew = _painted(film.job)
    shown = set(hub.library.pictures(film.job))
    if late and len(shown) == len(animatic.times(film.recipe)):
        st.rerun()
    with st.container(key="keyframes", horizontal=True, gap="small"):
        for index, time in enumerate(animatic.times(film.recipe)):
            with st.container(key=f"glass_key_{index}", border=True, width=WIDTH, gap="xsmall"):
                st.html(_picture(film, index, shown))
                state = "locked" if index in _locked() else "new" if index in anew else "kept"
                st.caption(f"{time:.1f} s · {state}")
                _tools(film, index, submit)


def _tools(film: Film, index: int, submit: Submit) -> None:
    locked = index in _locked()
    with st.container(key=f"tools_{index}", horizontal=True, gap="xsmall"):
        if _tool("Re-roll", "casino", index, disabled=locked):
            _repaint(film, submit, {index: draft.new_seed()}, {})
        if _tool("Unlock" if locked else "Lock", "lock" if locked else "lock_open", index):
            _lock(index)
        with st.popover("Reword", icon=":material/edit:", disabled=locked):
            prompt = st.text_area(
                f"Keyframe {index + 1}",
                value=animatic.prompt_of(film.recipe, index),
                key=f"words-{film.job}-{index}",
                max_chars=MAX_PROMPT,
            )
            if st.button("Paint this", key=f"paint-{index}", type="primary"):
                _repaint(film, submit, {}, {index: prompt})


def _tool(label: str, icon: str, index: int, *, disabled: bool = False) -> bool:
    key = f"tool-{label.lower()}-{index}"
    icon = f":material/{icon}:"
    return st.button(label, key=key, icon=icon, help=label, type="tertiary", disabled=disabled)


def _repaint(film: Film, submit: Submit, seeds: dict[int, int], prompts: dict[int, str]) -> None:
    recipe = animatic.retaken(film.recipe, seeds, prompts)
    if animatic.changed(film.recipe, recipe):
        submit(recipe, lambda: leave(film))


def _picture(film: Film, index: int, shown: set[int]) -> str:
    alt = escape(f"Keyframe {index + 1}: {words.short(animatic.prompt_of(film.recipe, index))}")
    shape = f"aspect-ratio: {film.width} / {film.height}"
    if index not in shown:
        return f'<div class="keyframe" style="{shape}" role="img" aria-label="{alt}"></div>'
    ticket = resources.get_tickets().issue(f"film:{film.job}")
    address = escape(f"/api/pictures/{film.job}/{index}?ticket={ticket}")
    return f'<img class="keyframe" style="{shape}" src="{address}" alt="{alt}">'


def _painted(job: str) -> set[int]:
    """Return the keyframes that were painted for this animatic rather than found."""
    log = (logged.event for logged in resources.get_hub().record.of_film(job))
    return {one.index for one in log if isinstance(one, KeyframeFinished) and not one.reused}


def _locked() -> set[int]:
    """Return the keyframes that are locked; the address keeps them."""
    words_ = st.query_params.get("lock", "").split(".")
    return {int(word) for word in words_ if word.isdecimal() and len(word) < 4}


def _lock(index: int) -> None:
    locked = _locked() ^ {index}
    st.query_params["lock"] = ".".join(map(str, sorted(locked)))
    st.rerun()
