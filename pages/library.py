"""Library: the finished films of this laptop, with the recipes they were made from."""

import streamlit as st

from engine.errors import ErrorReport, VisionFluxError
from ui import draft, look, resources
from ui.gallery import gallery
from ui.player import player
from ui.recipe_card import recipe_card
from ui.rescue import continue_button
from ui.tables import Film
from ui.words import plain, short

SHELF = 24  # films shown at once


def page() -> None:
    """Draw the page."""
    library = resources.get_hub().library
    chosen = st.query_params.get("film")
    if chosen:
        film = library.get(chosen)
        if film and film.status == "finished":
            _detail(film)
        else:
            st.query_params.pop("film", None)
            look.tell(ErrorReport("E_UNKNOWN_JOB", "this film is not on this computer"))
    else:
        look.heading("Library", "Every film you finished, with everything that made it.")
        _under_way()
    _shelf()


def _detail(film: Film) -> None:
    st.button("← All films", type="tertiary", key="back", on_click=_close)
    look.heading(plain(short(film.title)), small=True)
    left, right = st.columns([5, 3], gap="large")
    with left:
        player(film)
    with right, st.container(key="glass_recipe", border=True):
        hub = resources.get_hub()
        recipe_card(film, hub.pieces.of(film.job), hub.record.of_film(film.job))
        _actions(film)


def _actions(film: Film) -> None:
    with st.container(horizontal=True):
        if st.button("Use this recipe", key="remix", type="primary"):
            draft.load(st.session_state, film.recipe)
            st.switch_page("pages/create.py")
        if film.format == "mp4" and st.button("Make a GIF", key="gif"):
            _make_gif(film)
        with st.popover("Delete"):
            st.markdown("The film and its recipe leave this computer for good.")
            st.button("Delete for good", key="delete", on_click=_delete, args=[film.job])


def _make_gif(film: Film) -> None:
    try:
        job = resources.get_hub().submit(draft.as_gif(film.recipe))
    except VisionFluxError as error:
        look.tell(error.report())
        return
    st.switch_page("pages/create.py", query_params={"job": job})


def _delete(job: str) -> None:
    resources.get_hub().library.delete(job)
    _close()


def _close() -> None:
    st.query_params.pop("film", None)


def _under_way() -> None:
    films = resources.get_hub().library.unfinished()
    if not films:
        return
    st.subheader("In the making", anchor=False)
    with st.container(horizontal=True):
        for film in films:
            if st.button(
                plain(short(film.title, 60)), key=f"watch-{film.job}", icon=":material/movie:"
            ):
                st.switch_page("pages/create.py", query_params={"job": film.job})
            engine = resources.get_hub().refuge(film.job)
            if engine and continue_button(film.job, engine):
                st.switch_page("pages/create.py", query_params={"job": film.job})


def _shelf() -> None:
    library = resources.get_hub().library
    if "film" in st.query_params:
        st.subheader("All films", anchor=False)
    search = st.text_input(
        "Search", key="search", placeholder="Search prompts", label_visibility="collapsed"
    )
    shown = st.session_state.setdefault("shelf", SHELF)
    films, count = library.films(search, limit=shown), library.totals(search).films
    if not films:
        st.caption("No film matches." if search else "Films appear here when they are finished.")
        return
    chosen = gallery(films, key="shelf_grid")
    if chosen:
        st.query_params["film"] = chosen
        st.rerun()
    if count > shown and st.button("Show more", key="more"):
        st.session_state["shelf"] = shown + SHELF
        st.rerun()


look.guarded(page)
