"""The storyboard gate: a film's keyframes, to be approved, re-rolled, reworded or locked.

Every change is a new recipe; the engine paints what it does not have yet, and the cards say which
that was. It knows animatics, not how jobs are handed in.
"""

from collections.abc import Callable
from html import escape
from typing import NamedTuple

import streamlit as st

from engine.film.events import PieceFinished, remarks
from engine.film.progress import fold
from engine.film.recipe import MAX_PROMPT, Recipe
from engine.film.stages import KEYFRAME
from ui import app_state as resources
from ui.create import animatic
from ui.estimate.panel import estimate
from ui.films.player import player
from ui.shell import text as words
from ui.storage import draft
from ui.storage.tables import Film

Submit = Callable[[Recipe, Callable[[], None]], None]
WIDTH = 236  # pixels of a card
LATE = 1.5  # seconds between looks for pictures that are still to come


class Keyframe(NamedTuple):
    """A keyframe at the gate: its number in the plan, when it stands, and whether it is new."""

    number: int
    seconds: float
    new: bool
    blank: bool


def keyframe_review(film: Film, submit: Submit) -> None:
    """Draw the gate.

    Args:
        film: the animatic, finished.
        submit: hands a recipe in, calls its second argument, and shows the job.
    """
    st.caption("These are the keyframes. Change what you like; only that is painted again.")
    keyframes = _keyframes(film.job)
    _approval(film, keyframes, submit)
    late = _late(film, keyframes)
    st.fragment(_cards, run_every=LATE if late else None)(film, keyframes, submit, late)
    with st.expander("See them in motion", icon=":material/play_arrow:"):
        player(film)


def leave(film: Film) -> None:
    """Put an animatic aside that another film takes the place of."""
    resources.get_hub().library.discard(film.job)


def _approval(film: Film, keyframes: list[Keyframe], submit: Submit) -> None:
    whole = animatic.film_of(film.recipe)
    engine = resources.get_hub().chosen()
    cost, _ = estimate(engine, whole)
    with st.container(key="glass_gate", border=True, horizontal=True, vertical_alignment="center"):
        if st.button("Make the film", key="approve", type="primary", disabled=not engine.connected):
            submit(whole, lambda: _approved(film))
        if st.button("Re-roll what is not locked", key="reroll-all", icon=":material/casino:"):
            others = set(range(len(keyframes))) - _held(film, keyframes)
            _repaint(film, keyframes, submit, {place: draft.new_seed() for place in others}, {})
        st.caption(f"Still to come: everything in between. About {words.length(cost.seconds)}.")


def _approved(film: Film) -> None:
    st.query_params.pop("lock", None)
    leave(film)


def _cards(film: Film, keyframes: list[Keyframe], submit: Submit, late: bool) -> None:
    """Draw a card for each keyframe; while pictures are ``late`` this is done again and again."""
    if late and not _late(film, keyframes):
        st.rerun()
    held = _held(film, keyframes)
    with st.container(key="keyframes", horizontal=True, gap="small"):
        for place, keyframe in enumerate(keyframes):
            with st.container(key=f"glass_key_{place}", border=True, width=WIDTH, gap="xsmall"):
                st.html(_picture(film, place, keyframe))
                st.caption(f"{keyframe.seconds:.1f} s · {_state(film, keyframe, place, held)}")
                _tools(film, keyframes, place, submit, place in held)


def _state(film: Film, keyframe: Keyframe, place: int, held: set[int]) -> str:
    """Say what has become of a keyframe, and what hangs on it."""
    if place in _locked():
        state = "locked"
    elif place in held:
        state = "held by a locked one"
    else:
        state = "new" if keyframe.new else "kept"
        state += ", all others look at it" if film.recipe.anchor_attention and not place else ""
    return state + (", came out blank" if keyframe.blank else "")


def _tools(film: Film, keyframes: list[Keyframe], place: int, submit: Submit, held: bool) -> None:
    locked = place in _locked()
    with st.container(key=f"tools_{place}", horizontal=True, gap="xsmall"):
        if _tool("Re-roll", "casino", place, disabled=held):
            _repaint(film, keyframes, submit, {place: draft.new_seed()}, {})
        if _tool("Unlock" if locked else "Lock", "lock" if locked else "lock_open", place):
            _lock(place)
        with st.popover("Reword", icon=":material/edit:", disabled=held):
            prompt = st.text_area(
                f"Keyframe {place + 1}",
                value=animatic.prompt_at(film.recipe, keyframes[place].seconds),
                key=f"words-{film.job}-{place}",
                max_chars=MAX_PROMPT,
            )
            if st.button("Paint this", key=f"paint-{place}", type="primary"):
                _repaint(film, keyframes, submit, {}, {place: prompt})


def _tool(label: str, icon: str, index: int, *, disabled: bool = False) -> bool:
    key = f"tool-{label.lower()}-{index}"
    icon = f":material/{icon}:"
    return st.button(label, key=key, icon=icon, help=label, type="tertiary", disabled=disabled)


def _repaint(
    film: Film,
    keyframes: list[Keyframe],
    submit: Submit,
    seeds: dict[int, int],
    prompts: dict[int, str],
) -> None:
    times = [keyframe.seconds for keyframe in keyframes]
    recipe = animatic.retaken(film.recipe, times, seeds, prompts)
    if recipe != film.recipe:
        submit(recipe, lambda: leave(film))


def _picture(film: Film, place: int, keyframe: Keyframe) -> str:
    shows = animatic.prompt_at(film.recipe, keyframe.seconds)
    alt = escape(f"Keyframe {place + 1}: {words.short(shows)}")
    shape = f"aspect-ratio: {film.width} / {film.height}"
    if keyframe.number not in resources.get_hub().library.pictures(film.job):
        return f'<div class="keyframe" style="{shape}" role="img" aria-label="{alt}"></div>'
    ticket = resources.get_tickets().issue(f"film:{film.job}")
    address = escape(f"/api/pictures/{film.job}/{keyframe.number}?ticket={ticket}")
    return f'<img class="keyframe" style="{shape}" src="{address}" alt="{alt}">'


def _late(film: Film, keyframes: list[Keyframe]) -> bool:
    """Tell whether pictures are still to come."""
    visible = sum(not keyframe.blank for keyframe in keyframes)
    return len(resources.get_hub().library.pictures(film.job)) < visible


def _keyframes(job: str) -> list[Keyframe]:
    """Return an animatic's keyframes in order of time, as its log tells them."""
    log = resources.get_hub().record.of_film(job)
    heard = (logged.event for logged in log)
    pieces = [one for one in heard if isinstance(one, PieceFinished) and one.stage == KEYFRAME.name]
    new = {one.index for one in pieces if not one.reused}
    progress = fold(log)
    times = progress.plan.times if progress.plan else ()
    details = progress.of(KEYFRAME).details
    blank = {index for index, detail in details.items() if "blank" in remarks(detail)}
    return [Keyframe(i, times[i], i in new, i in blank) for i in progress.strip]


def _locked() -> set[int]:
    """Return the keyframes that are locked; the address keeps them."""
    words_ = st.query_params.get("lock", "").split(".")
    return {int(word) for word in words_ if word.isdecimal() and len(word) < 4}


def _held(film: Film, keyframes: list[Keyframe]) -> set[int]:
    """Return the keyframes that must stay: the locked ones, and all that these are made of."""
    times = [keyframe.seconds for keyframe in keyframes]
    return animatic.made_of(film.recipe, times, _locked())


def _lock(index: int) -> None:
    locked = _locked() ^ {index}
    st.query_params["lock"] = ".".join(map(str, sorted(locked)))
    st.rerun()
