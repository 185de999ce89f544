"""Home: a prompt and one button before a film, then rows of films to watch and remix."""

import streamlit as st

from engine.film.recipe import Recipe
from ui import app_state
from ui.create.first_film import first_film
from ui.films.remix import remix
from ui.home import reel, showcase
from ui.shell import theme

LATEST_FILMS = 16
TITLE = "Write a scene. Watch\u00a0it\u00a0become a film."  # lines break at spaces
SHOWCASE_NOTE = "Made on two CPU cores by the small models that come with VisionFlux."


def page() -> None:
    """Draw the page."""
    theme.apply_style("home/home.css")
    with st.container(key="hero", gap="medium"):
        reel.backdrop(showcase.films()[0])
        st.title(TITLE, anchor=False)
        st.markdown(
            "VisionFlux turns your prompts into films, on this computer or on any GPU that you "
            "can connect to."
        )
        first_film()
    with st.container(key="home_body", gap="small"):
        _latest()
        _showcase()


def _latest() -> None:
    films = app_state.get_hub().library.films(limit=LATEST_FILMS)
    if not films:
        return
    choice = reel.reel(
        "Your latest films", "", [reel.library_film(film) for film in films], key="latest"
    )
    if choice and choice.kind == "library":
        st.switch_page("pages/library.py", query_params={"film": choice.film})
    if choice:
        _remix(*next((one.recipe, one.title) for one in films if one.job == choice.film))


def _showcase() -> None:
    films = [reel.showcase_film(film) for film in showcase.films()]
    choice = reel.reel("Made with VisionFlux", SHOWCASE_NOTE, films, key="showcase")
    if choice:
        film = showcase.film_named(choice.film)
        _remix(film.recipe, film.title)


def _remix(recipe: Recipe, title: str) -> None:
    remix(recipe, title)
    st.switch_page("pages/create.py")


theme.guarded(page)
