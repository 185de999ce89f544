"""The review of a film's keyframes, which the user approves, paints again, rewords or locks.

Every change is a new recipe. The engine paints only the keyframes that it does not have yet, and
the cards show which were new. It knows animatics, not how jobs are submitted.
"""

from collections.abc import Callable
from html import escape
from typing import NamedTuple

import streamlit as st

from engine.film.events import PieceFinished, remarks
from engine.film.fields import fields_of
from engine.film.progress import fold
from engine.film.recipe import Recipe, Scene
from engine.film.stages import KEYFRAME
from ui import app_state
from ui.create import animatic
from ui.create.widgets import show_excess
from ui.estimate.panel import estimate
from ui.films.player import player
from ui.shell import text
from ui.storage import draft
from ui.storage.tables import Film

Submit = Callable[[Recipe, Callable[[str], None]], None]
CARD_WIDTH = 236  # pixels
POLL_INTERVAL = 1.5  # seconds, while pictures are missing


class Keyframe(NamedTuple):
    """A keyframe in the review.

    Attributes:
        number: in the plan.
        seconds: its time in the film.
        new: whether the engine painted it for this animatic.
        blank: whether it came out blank.
    """

    number: int
    seconds: float
    new: bool
    blank: bool


def keyframe_review(film: Film, submit: Submit) -> None:
    """Draw the review.

    Args:
        film: the animatic, finished.
        submit: submits a recipe, calls its second argument with the job, and opens that.
    """
    st.caption(
        "These are the keyframes. Those that you change are painted again, and so are those that "
        "depend on them."
    )
    keyframes = _keyframes(film.job)
    _approval(film, keyframes, submit)
    missing = _pictures_missing(film, keyframes)
    interval = POLL_INTERVAL if missing else None
    st.fragment(_cards, run_every=interval)(film, keyframes, submit, missing)
    with st.expander("See them in motion", icon=":material/play_arrow:"):
        player(film)


def discard(film: Film, by: str) -> None:
    """Remove an animatic from the library; its address leads to the job that replaces it."""
    app_state.get_hub().library.discard(film.job)
    st.session_state.setdefault("replaced", {})[film.job] = by


def _approval(film: Film, keyframes: list[Keyframe], submit: Submit) -> None:
    whole = animatic.film_of(film.recipe)
    engine = app_state.get_hub().chosen()
    cost, _ = estimate(engine, whole)
    with st.container(key="glass_gate", border=True, horizontal=True, vertical_alignment="center"):
        if st.button("Make the film", key="approve", type="primary", disabled=not engine.connected):
            submit(whole, lambda job: _approved(film, job))
        if st.button("Repaint all that are not locked", key="reroll-all", icon=":material/casino:"):
            others = set(range(len(keyframes))) - _fixed(film, keyframes)
            _repaint(film, keyframes, submit, {place: draft.new_seed() for place in others}, {})
        st.caption(f"The film then takes about {text.length(cost.seconds)}.")


def _approved(film: Film, by: str) -> None:
    st.query_params.pop("lock", None)
    discard(film, by)


def _cards(film: Film, keyframes: list[Keyframe], submit: Submit, missing: bool) -> None:
    """Draw a card for each keyframe; rerun the page once no picture is ``missing`` any more."""
    if missing and not _pictures_missing(film, keyframes):
        st.rerun()
    fixed = _fixed(film, keyframes)
    with st.container(key="keyframes", horizontal=True, gap="small"):
        for place, keyframe in enumerate(keyframes):
            with st.container(
                key=f"glass_key_{place}", border=True, width=CARD_WIDTH, gap="xsmall"
            ):
                st.html(_picture(film, place, keyframe))
                st.caption(f"{keyframe.seconds:.1f} s · {_state(film, keyframe, place, fixed)}")
                _buttons(film, keyframes, place, submit, place in fixed)


def _state(film: Film, keyframe: Keyframe, place: int, fixed: set[int]) -> str:
    """Return the state of a keyframe, and whether others depend on it."""
    if place in _locked():
        state = "locked"
    elif place in fixed:
        state = "needed by a locked one"
    else:
        state = "new" if keyframe.new else "kept"
        state += "; all others depend on it" if film.recipe.anchor_attention and not place else ""
    return state + (", came out blank" if keyframe.blank else "")


def _buttons(
    film: Film, keyframes: list[Keyframe], place: int, submit: Submit, fixed: bool
) -> None:
    locked = place in _locked()
    with st.container(key=f"tools_{place}", horizontal=True, gap="xsmall"):
        if _button("Repaint", "casino", place, disabled=fixed):
            _repaint(film, keyframes, submit, {place: draft.new_seed()}, {})
        if _button("Unlock" if locked else "Lock", "lock" if locked else "lock_open", place):
            _toggle_lock(place)
        with st.popover("Change the prompt", icon=":material/edit:", disabled=fixed):
            prompt = st.text_area(
                f"Keyframe {place + 1}",
                value=animatic.prompt_at(film.recipe, keyframes[place].seconds),
                key=f"words-{film.job}-{place}",
            )
            show_excess(prompt, fields_of(Scene)["prompt"])
            if st.button("Repaint", key=f"paint-{place}", type="primary"):
                _repaint(film, keyframes, submit, {}, {place: prompt})


def _button(label: str, icon: str, index: int, *, disabled: bool = False) -> bool:
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
        submit(recipe, lambda job: discard(film, job))


def _picture(film: Film, place: int, keyframe: Keyframe) -> str:
    shows = animatic.prompt_at(film.recipe, keyframe.seconds)
    alt = escape(f"Keyframe {place + 1}: {text.short(shows)}")
    shape = f"aspect-ratio: {film.width} / {film.height}"
    if keyframe.number not in app_state.get_hub().library.thumbnails(film.job):
        return f'<div class="keyframe" style="{shape}" role="img" aria-label="{alt}"></div>'
    ticket = app_state.get_tickets().issue(f"film:{film.job}")
    address = escape(f"/api/pictures/{film.job}/{keyframe.number}?ticket={ticket}")
    return f'<img class="keyframe" style="{shape}" src="{address}" alt="{alt}">'


def _pictures_missing(film: Film, keyframes: list[Keyframe]) -> bool:
    """Return whether pictures are still to be downloaded."""
    visible = sum(not keyframe.blank for keyframe in keyframes)
    return len(app_state.get_hub().library.thumbnails(film.job)) < visible


def _keyframes(job: str) -> list[Keyframe]:
    """Return an animatic's keyframes in order of time, as its log tells them."""
    log = app_state.get_hub().event_log.of_film(job)
    heard = (logged.event for logged in log)
    pieces = [one for one in heard if isinstance(one, PieceFinished) and one.stage == KEYFRAME.name]
    new = {one.index for one in pieces if not one.reused}
    progress = fold(log)
    times = progress.plan.times if progress.plan else ()
    details = progress.of(KEYFRAME).details
    blank = {index for index, detail in details.items() if "blank" in remarks(detail)}
    return [Keyframe(i, times[i], i in new, i in blank) for i in progress.strip]


def _locked() -> set[int]:
    """Return the locked keyframes, which the page's address lists."""
    words_ = st.query_params.get("lock", "").split(".")
    return {int(word) for word in words_ if word.isdecimal() and len(word) < 4}


def _fixed(film: Film, keyframes: list[Keyframe]) -> set[int]:
    """Return the keyframes that must not change: the locked ones, and all that they depend on."""
    times = [keyframe.seconds for keyframe in keyframes]
    return animatic.made_of(film.recipe, times, _locked())


def _toggle_lock(index: int) -> None:
    locked = _locked() ^ {index}
    st.query_params["lock"] = ".".join(map(str, sorted(locked)))
    st.rerun()
