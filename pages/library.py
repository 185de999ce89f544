"""Library: every film of yours, with everything that made it and all that can be done with it."""

from pathlib import Path
from typing import get_args

import streamlit as st

from engine.errors import ErrorReport, VisionFluxError
from ui import draft, look, resources
from ui.duo import differences, duo
from ui.library import Sort
from ui.player import player
from ui.recipe_card import recipe_card
from ui.shelf import Choice, finished, shelf, unfinished
from ui.status import headline
from ui.tables import ENDED, Film
from ui.words import length, plain, sentence, short, size

PAGE = 24  # films shown at first, and added whenever the end comes into view
SORTS: dict[Sort, str] = dict(
    zip(
        get_args(Sort),
        ("Newest first", "Oldest first", "By name", "Longest first", "Largest first"),
        strict=True,
    )
)


def page() -> None:
    """Draw the page: one film, two films, or all."""
    st.html(Path(look.__file__).with_name("library.css"))
    film, picked = _named("film"), _named("compare")
    second = _named("with") if picked else None
    if film:
        _detail(film)
    elif picked and second:
        _compare(picked, second)
    else:
        _all(picked)
    _undo()


def _named(name: str) -> Film | None:
    """Return the film that the address names; forget and say so if it is not here."""
    job = st.query_params.get(name)
    film = resources.get_hub().library.get(job) if job else None
    if job and (film is None or film.status != "finished"):
        st.query_params.pop(name, None)
        look.tell(ErrorReport("E_UNKNOWN_JOB", "this film is not on this computer"))
        return None
    return film


def _show(**films: str) -> None:
    """Have the address name these films and no others."""
    st.query_params.from_dict(films)


# One film


def _detail(film: Film) -> None:
    st.button(
        "All films", icon=":material/arrow_back:", type="tertiary", key="back", on_click=_show
    )
    look.heading(plain(short(film.title)), small=True)
    left, right = st.columns([5, 3], gap="large")
    with left:
        player(film)
    with right, st.container(key="glass_recipe", border=True):
        hub = resources.get_hub()
        st.subheader("Recipe", anchor=False)
        recipe_card(film, hub.pieces.of(film.job), hub.record.of_film(film.job))
        _actions(film)


def _actions(film: Film) -> None:
    job, library = film.job, resources.get_hub().library
    with st.container(horizontal=True, key="actions", gap="small"):
        if st.button("Remix", key="remix", type="primary"):
            _remix(film)
        heart = ":material/heart_check:" if film.favourite else ":material/favorite:"
        label = "No longer a favourite" if film.favourite else "Favourite"
        favour = [job, not film.favourite]
        st.button(label, key="favour", icon=heart, on_click=library.favour, args=favour)
        if st.button("Rename", key="rename", icon=":material/edit:"):
            _rename(job)
        compare = {"compare": job}
        st.button(
            "Compare", key="compare", icon=":material/compare:", on_click=_show, kwargs=compare
        )
        st.button("Delete", key="delete", icon=":material/delete:", on_click=_delete, args=[job])


def _remix(film: Film) -> None:
    draft.load(st.session_state, film.recipe)
    st.switch_page("pages/create.py")


@st.dialog("Rename this film")
def _rename(job: str) -> None:
    film = resources.get_hub().library.get(job)
    if film is None:
        return
    with st.form("rename", border=False):
        st.text_input("Name", film.title, max_chars=200, key=f"title-{job}")
        st.caption("Leave it empty to call the film by its prompts again.")
        if st.form_submit_button("Save", type="primary", on_click=_save_name, args=[job]):
            st.rerun()


def _save_name(job: str) -> None:
    resources.get_hub().library.rename(job, st.session_state[f"title-{job}"])


def _delete(job: str) -> None:
    library = resources.get_hub().library
    film = library.get(job)
    if film:
        library.discard(job)
        st.session_state["discarded"] = {"job": job, "title": film.title}
    _show()


def _undo() -> None:
    """Offer to bring back what was deleted last, until it is dismissed."""
    gone = st.session_state.get("discarded")
    if not gone:
        return
    with st.container(key="undo", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"Deleted “{plain(short(gone['title'], 40))}”", width="stretch")
        st.button("Undo", key="restore", on_click=_restore, args=[gone["job"]])
        st.button(
            "",
            key="dismiss",
            icon=":material/close:",
            help="Dismiss",
            type="tertiary",
            on_click=_dismiss,
        )


def _restore(job: str) -> None:
    resources.get_hub().library.restore(job)
    _dismiss()


def _dismiss() -> None:
    st.session_state.pop("discarded", None)


# Two films


def _compare(first: Film, second: Film) -> None:
    with st.container(horizontal=True):
        st.button(
            "All films", icon=":material/arrow_back:", type="tertiary", key="back", on_click=_show
        )
        swapped = {"compare": second.job, "with": first.job}
        st.button(
            "Swap sides",
            icon=":material/swap_horiz:",
            type="tertiary",
            key="swap",
            on_click=_show,
            kwargs=swapped,
        )
    look.heading("Side by side", small=True)
    duo(first, second)
    rows = differences(first.recipe, second.recipe)
    with st.container(key="glass_differences", border=True):
        st.subheader("What sets them apart", anchor=False)
        if not rows:
            st.markdown("Their recipes are alike in everything.")
        for name, one, other in rows:
            label, left, right = st.columns([1, 2, 2])
            label.caption(name)
            left.markdown(plain(short(one, 300)) or "—")
            right.markdown(plain(short(other, 300)) or "—")


# All films


def _all(picked: Film | None) -> None:
    if picked:
        _picking(picked)
    else:
        totals = resources.get_hub().library.totals()
        line = "Every film you finished, with everything that made it."
        if totals.films:
            count = f"{totals.films:,} film{'s' if totals.films > 1 else ''}"
            line = f"{count} · {length(totals.seconds)} · {size(totals.size)} on this computer"
        look.heading("Library", line)
        if not (st.session_state.get("search") or st.session_state.get("favourites")):
            _under_way()
    _finished(picked.job if picked else "")


def _picking(film: Film) -> None:
    look.heading("Compare", "Choose the film to see beside this one.")
    with st.container(key="glass_picked", horizontal=True, vertical_alignment="center"):
        st.markdown(plain(short(film.title, 80)), width="stretch")
        st.button("Cancel", key="unpick", on_click=_show)


@st.fragment(run_every=2)
def _under_way() -> None:
    """Show what is being made, and what ended early and could be gone on with."""
    library = resources.get_hub().library
    going = library.unfinished()
    if before := st.session_state.get("going"):
        st.session_state["going"] = [film.job for film in going]
        if before != st.session_state["going"]:
            st.rerun()  # one is finished and belongs among the others
    st.session_state["going"] = [film.job for film in going]
    films = [*reversed(going), *library.waiting(), *library.ended()]
    if not films:
        return
    st.subheader("Unfinished", anchor=False)
    cards = [_unfinished_card(film) for film in films]
    choice = shelf(cards, key="shelf_unfinished", label="Unfinished films", row=True)
    if choice:
        _act(choice)


def _unfinished_card(film: Film) -> dict[str, object]:
    hub = resources.get_hub()
    ended, view, refuge = film.status in ENDED, hub.find(film.job), hub.refuge(film.job)
    actions = [("open", "Watch")]
    if ended:
        words = {"continue": "Continue", "remix": "Remix", "delete": "Delete"}
        actions = list(words.items())
    elif refuge:
        actions = [("continue", f"Continue on {refuge.name}")]
    line = headline(view) if view else "Waiting"
    if film.animatic and film.status == "finished":
        actions, line = (
            [("open", "Look at them"), ("delete", "Delete")],
            "Its keyframes are painted",
        )
    if film.error:
        line = sentence(film.error.message)
    share = view.progress.fraction if view and not view.settled else None
    return unfinished(film, line, share=share, actions=actions)


def _finished(picked: str) -> None:
    library = resources.get_hub().library
    with st.container(key="filters", horizontal=True, vertical_alignment="center", gap="small"):
        search = st.text_input(
            "Search",
            key="search",
            placeholder="Search names and prompts",
            icon=":material/search:",
            label_visibility="collapsed",
            on_change=_from_the_top,
        )
        favourites = st.toggle("Favourites", key="favourites", on_change=_from_the_top)
        sort: Sort = st.selectbox(
            "Sort",
            list(SORTS),
            format_func=SORTS.__getitem__,
            key="sort",
            label_visibility="collapsed",
            width=180,
            on_change=_from_the_top,
        )
    shown = st.session_state.setdefault("shelf", PAGE)
    films = library.films(search, sort=sort, favourites=favourites, limit=shown + 1)
    if not films:
        _nothing(bool(search or favourites))
        return
    cards = [finished(film, picked=picked) for film in films[:shown]]
    choice = shelf(cards, key="shelf_finished", label="Films", more=len(films) > shown)
    if choice:
        _act(choice, picked)


def _from_the_top() -> None:
    st.session_state["shelf"] = PAGE


def _nothing(sought: bool) -> None:
    with st.container(key="nothing", horizontal_alignment="center"):
        if sought:
            st.markdown("No film matches.", width="content")
            return
        st.subheader("Your films will be here", anchor=False, width="content")
        st.caption("The first one takes about a minute.", width="content")
        if st.button("Create a film", type="primary", key="first"):
            st.switch_page("pages/create.py")


def _act(choice: Choice, picked: str = "") -> None:
    """Do what was chosen on a card."""
    hub, job = resources.get_hub(), choice.job
    film = hub.library.get(job) if job else None
    match choice.action:
        case "more":
            st.session_state["shelf"] += PAGE
        case "open" if picked:
            _show(**{"compare": picked, "with": job})
        case "open" if film and (film.status != "finished" or film.animatic):
            st.switch_page("pages/create.py", query_params={"job": job})
        case "open":
            _show(film=job)
        case "favour" if film:
            hub.library.favour(job, not film.favourite)
        case "rename":
            _rename(job)
            return
        case "compare":
            _show(compare=job)
        case "remix" if film:
            _remix(film)
        case "delete":
            _delete(job)
        case "continue":
            _continue(job)
            return
    st.rerun()


def _continue(job: str) -> None:
    try:
        resources.get_hub().move(job)
    except VisionFluxError as error:
        look.tell(error.report())
    else:
        st.switch_page("pages/create.py", query_params={"job": job})


look.guarded(page)
