"""The actions on a film of the Library, from its page or its card.

It knows the hub, the draft and the page's address, not how films are laid out.
"""

from collections.abc import Callable

import streamlit as st

from engine.errors import VisionFluxError
from engine.film.recipe import MAX_SCENES
from ui import app_state
from ui.films.extend import extend
from ui.films.remix import remix
from ui.films.shelf import Choice
from ui.shell import theme
from ui.shell.text import short
from ui.shell.undo import undo_bar
from ui.storage.tables import Film


def go_to(**films: str) -> None:
    """Change the page's address to these films, by parameter; without any, to all films."""
    st.query_params.from_dict(films)


def back_button() -> None:
    """Draw the button that goes back to all films."""
    st.button(
        "All films", icon=":material/arrow_back:", type="tertiary", key="back", on_click=go_to
    )


def perform(choice: Choice) -> None:
    """Do what was chosen on a card; the page reports a film that no longer exists."""
    film = app_state.get_hub().library.get(choice.job)
    if choice.action == "rename":
        _rename(choice.job)
        return
    if choice.action == "continue":
        _continue(choice.job)
        return
    if film:
        _ACTIONS[choice.action](film)
    else:
        go_to(film=choice.job)
    st.rerun()


def actions(film: Film, more: Callable[[Film], None]) -> None:
    """Draw a film's buttons, with those that ``more`` draws."""
    heart = ":material/heart_check:" if film.favourite else ":material/favorite:"
    label = "Remove from favourites" if film.favourite else "Favourite"
    with st.container(horizontal=True, key="actions", gap="small"):
        if st.button("Remix", key="remix", type="primary"):
            _remix(film)
        st.button(label, key="favour", icon=heart, on_click=_toggle_favourite, args=[film])
        if st.button("Rename", key="rename", icon=":material/edit:"):
            _rename(film.job)
        more(film)
        if len(film.recipe.scenes) < MAX_SCENES:
            _extend_button(film)
        _button("Compare", ":material/compare:", _compare, film)
        _button("Delete", ":material/delete:", _delete, film)


def _extend_button(film: Film) -> None:
    about = "Adds a scene that begins where this film ends."
    if not st.button("Extend", key="extend", icon=":material/playlist_add:", help=about):
        return
    try:
        extend(film)
    except VisionFluxError as error:
        theme.show_error(error.report())
    else:
        st.switch_page("pages/create.py")


def undo() -> None:
    """Draw the bar that restores deleted films, the last one first."""
    if deleted := st.session_state.get("discarded"):
        undo_bar(f"Deleted “{short(deleted[-1]['title'], 40)}”", _restore, _dismiss)


def _button(label: str, icon: str, done: Callable[[Film], None], film: Film) -> None:
    st.button(label, key=label.lower(), icon=icon, on_click=done, args=[film])


def _open(film: Film) -> None:
    """Open a film, or the page of its job if it is not finished."""
    if film.status != "finished" or film.animatic:
        st.switch_page("pages/create.py", query_params={"job": film.job})
    go_to(film=film.job)


def _remix(film: Film) -> None:
    remix(film.recipe, film.title)
    st.switch_page("pages/create.py")


def _toggle_favourite(film: Film) -> None:
    app_state.get_hub().library.set_favourite(film.job, not film.favourite)


def _compare(film: Film) -> None:
    go_to(compare=film.job)


def _delete(film: Film) -> None:
    app_state.get_hub().library.discard(film.job)
    deleted = {"job": film.job, "title": film.title}
    st.session_state["discarded"] = [*st.session_state.get("discarded", []), deleted]
    go_to()


_ACTIONS: dict[str, Callable[[Film], None]] = {
    "open": _open,
    "favour": _toggle_favourite,
    "remix": _remix,
    "compare": _compare,
    "delete": _delete,
}


def _continue(job: str) -> None:
    try:
        app_state.get_hub().move(job)
    except VisionFluxError as error:
        theme.show_error(error.report())
    else:
        st.switch_page("pages/create.py", query_params={"job": job})


@st.dialog("Rename this film")
def _rename(job: str) -> None:
    film = app_state.get_hub().library.get(job)
    if film is None:
        return
    with st.form("rename", border=False):
        st.text_input("Name", film.title, max_chars=200, key=f"title-{job}")
        st.caption("Leave it empty to use the film's prompts as its name.")
        if st.form_submit_button("Save", type="primary", on_click=_save_name, args=[job]):
            st.rerun()


def _save_name(job: str) -> None:
    app_state.get_hub().library.rename(job, st.session_state[f"title-{job}"])


def _restore() -> None:
    *others, last = st.session_state["discarded"]
    app_state.get_hub().library.restore(last["job"])
    st.session_state["discarded"] = others


def _dismiss() -> None:
    st.session_state.pop("discarded", None)
