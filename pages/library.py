"""Library: all films of the user, each with its recipe and its actions."""

from typing import get_args

import streamlit as st

from engine.errors import ErrorReport
from ui import app_state
from ui.create.autosubmit import autosubmit
from ui.create.enlarge import enlarge_button
from ui.films.actions import actions, back_button, go_to, perform, undo
from ui.films.compare import differences, side_by_side
from ui.films.player import player
from ui.films.recipe_card import recipe_card
from ui.films.shelf import Choice, finished, shelf, unfinished
from ui.routes.job_state import headline
from ui.shell import theme
from ui.shell.text import length, plain, sentence, short, size
from ui.storage.job_views import JobView
from ui.storage.library import Sort
from ui.storage.tables import ENDED, Film

PAGE_SIZE = 24  # films shown at first, and added when the user scrolls to the end
SORTS: dict[Sort, str] = dict(
    zip(
        get_args(Sort),
        ("Newest first", "Oldest first", "By name", "Longest first", "Largest first"),
        strict=True,
    )
)


def page() -> None:
    """Draw the page: one film, two films, or all."""
    theme.apply_style("films/library.css")
    film, picked = _named("film"), _named("compare")
    second = _named("with") if picked else None
    if film:
        _detail(film)
    elif picked and second:
        _compare(picked, second)
    else:
        _all(picked)
    undo()


def _named(name: str) -> Film | None:
    """Return the film that the address names; show an error if it does not exist."""
    job = st.query_params.get(name)
    film = app_state.get_hub().library.get(job) if job else None
    if job and (film is None or film.status != "finished"):
        st.query_params.pop(name, None)
        if app_state.get_hub().library.is_discarded(job):
            st.info("This film was deleted, or another one has replaced it.")
            restore = app_state.get_hub().library.restore
            st.button("Restore it", key="restore-film", on_click=restore, args=[job])
            return None
        theme.show_error(ErrorReport("E_UNKNOWN_JOB", "this film is not on this computer"))
        return None
    return film


# One film


def _detail(film: Film) -> None:
    back_button()
    theme.heading(plain(short(film.title)), small=True)
    left, right = st.columns([5, 3], gap="large")
    with left:
        player(film)
    with right, st.container(key="glass_recipe", border=True):
        hub = app_state.get_hub()
        st.subheader("Recipe", anchor=False)
        recipe_card(film, hub.pieces.of(film.job), hub.event_log.of_film(film.job))
        actions(film, enlarge_button)


# Two films


def _compare(first: Film, second: Film) -> None:
    with st.container(horizontal=True):
        back_button()
        swapped = {"compare": second.job, "with": first.job}
        st.button(
            "Swap sides",
            icon=":material/swap_horiz:",
            type="tertiary",
            key="swap",
            on_click=go_to,
            kwargs=swapped,
        )
    theme.heading("Side by side", small=True)
    side_by_side(first, second)
    rows = differences(first.recipe, second.recipe)
    with st.container(key="glass_differences", border=True):
        st.subheader("Differences", anchor=False)
        if not rows:
            st.markdown("Their recipes are the same.")
        for name, one, other in rows:
            label, left, right = st.columns([1, 2, 2])
            label.caption(name)
            left.markdown(plain(short(one, 300)) or "—")
            right.markdown(plain(short(other, 300)) or "—")


# All films


def _all(picked: Film | None) -> None:
    if picked:
        _picked_film(picked)
    else:
        totals = app_state.get_hub().library.totals()
        line = "Your finished films, each with its recipe."
        if totals.films:
            count = f"{totals.films:,} film{'s' if totals.films > 1 else ''}"
            line = f"{count} · {length(totals.seconds)} · {size(totals.size)} on this computer"
        theme.heading("Library", line)
        _restore_filters()
        sought = st.session_state.get("search") or st.session_state.get("favourites")
        if not sought:
            _unfinished()
    _finished(picked.job if picked else "")
    if not (picked or sought):
        _ended()


def _picked_film(film: Film) -> None:
    theme.heading("Compare", "Choose the film to compare with this one.")
    with st.container(key="glass_picked", horizontal=True, vertical_alignment="center"):
        st.markdown(plain(short(film.title, 80)), width="stretch")
        st.button("Cancel", key="unpick", on_click=go_to)


@st.fragment(run_every=2)
def _unfinished() -> None:
    """Show the films that are being made, and those whose keyframes are to be reviewed."""
    library = app_state.get_hub().library
    going = library.unfinished()
    before, jobs = st.session_state.get("going"), [film.job for film in going]
    st.session_state["going"] = jobs
    if before and before != jobs:
        st.rerun()  # one is finished; the page shows it among the others
    films = [*reversed(going), *library.waiting()]
    if films:
        _row("Unfinished", films, key="shelf_unfinished")


def _ended() -> None:
    """Show the films that failed or were cancelled, those with a picture first."""
    library = app_state.get_hub().library
    films = sorted(library.ended(), key=lambda film: not library.thumbnails(film.job))
    if films:
        _row("Not finished", films, key="shelf_ended")


def _row(title: str, films: list[Film], *, key: str) -> None:
    st.subheader(title, anchor=False)
    cards = [_unfinished_card(film) for film in films]
    choice = shelf(cards, key=key, label=f"{title} films", row=True)
    if choice:
        _choose(choice)


def _unfinished_card(film: Film) -> dict[str, object]:
    view = app_state.get_hub().find(film.job)
    share = view.progress.fraction if view and not view.settled else None
    return unfinished(film, _status(film, view), share=share, actions=_choices(film))


def _status(film: Film, view: JobView | None) -> str:
    if film.error:
        return sentence(film.error.message)
    if film.status == "finished":
        return "Its keyframes are ready"
    return headline(view) if view else "Waiting"


def _choices(film: Film) -> list[tuple[str, str]]:
    """Return the actions on an unfinished film's card, with their labels."""
    if film.status == "finished":
        return [("open", "Look at them"), ("delete", "Delete")]
    if film.status in ENDED:
        return [("continue", "Continue"), ("remix", "Remix"), ("delete", "Delete")]
    rescue = app_state.get_hub().rescue_engine(film.job)
    return [("continue", f"Continue on {rescue.name}")] if rescue else [("open", "Watch")]


def _filters() -> tuple[str, Sort, bool]:
    """Draw the filters; return the search text, the order, and whether to show only favourites."""
    with st.container(key="filters", horizontal=True, vertical_alignment="center", gap="small"):
        search = st.text_input(
            "Search",
            key="search",
            placeholder="Search names and prompts",
            icon=":material/search:",
            label_visibility="collapsed",
            on_change=_reset_page_size,
        )
        favourites = st.toggle("Favourites", key="favourites", on_change=_reset_page_size)
        sort: Sort = st.selectbox(
            "Sort",
            list(SORTS),
            format_func=SORTS.__getitem__,
            key="sort",
            label_visibility="collapsed",
            width=180,
            on_change=_reset_page_size,
        )
    return search, sort, favourites


def _finished(picked: str) -> None:
    _restore_filters()
    search, sort, favourites = _filters()
    st.session_state["library-filters"] = {
        "search": search,
        "sort": sort,
        "favourites": favourites,
    }
    autosubmit(offers=False)
    shown = st.session_state.setdefault("shelf", PAGE_SIZE)
    films = app_state.get_hub().library.films(
        search, sort=sort, favourites=favourites, limit=shown + 1
    )
    if not films:
        _no_films(bool(search or favourites))
        return
    cards = [finished(film, picked=picked) for film in films[:shown]]
    choice = shelf(cards, key="shelf_finished", label="Films", more=len(films) > shown)
    if choice:
        _choose(choice, picked)


def _restore_filters() -> None:
    """Give the filters their last values: Streamlit forgets them while they are not drawn."""
    for name, value in st.session_state.get("library-filters", {}).items():
        if name not in st.session_state:
            st.session_state[name] = value


def _reset_page_size() -> None:
    st.session_state["shelf"] = PAGE_SIZE


def _clear_search() -> None:
    st.session_state.update(search="", favourites=False)
    _reset_page_size()


def _no_films(sought: bool) -> None:
    with st.container(key="nothing", horizontal_alignment="center"):
        if sought:
            st.subheader("No film matches", anchor=False, width="content")
            st.caption("The search covers names and prompts.", width="content")
            st.button("Show all films", key="unsought", on_click=_clear_search)
            return
        st.subheader("Your films will be here", anchor=False, width="content")
        st.caption("The first one takes about a minute.", width="content")
        if st.button("Create a film", type="primary", key="first"):
            st.switch_page("pages/create.py")


def _choose(choice: Choice, picked: str = "") -> None:
    """Do what was chosen on a shelf; a film to open is compared with the ``picked`` one."""
    if choice.action == "more":
        st.session_state["shelf"] += PAGE_SIZE
        st.rerun()
    if choice.action == "open" and picked:
        go_to(**{"compare": picked, "with": choice.job})
        st.rerun()
    perform(choice)


theme.guarded(page)
