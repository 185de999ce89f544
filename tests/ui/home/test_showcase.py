import argparse
from types import SimpleNamespace
from typing import cast

import pytest

from engine.cli import render
from engine.cli.orders import orders_of
from engine.film.recipe_json import checked, read_recipe
from engine.render.video.encode import read_recipe as recipe_text
from engine.render.video.ffmpeg import probe
from engine.wire.messages.responses import Hello
from training.showcase import FOLDER, arguments
from ui.home import showcase
from ui.home.showcase import ShowcaseFilm

KB = 1000


def names() -> list[str]:
    return [film.name for film in showcase.films()]


@pytest.fixture(params=names())
def film(request: pytest.FixtureRequest) -> ShowcaseFilm:
    return showcase.film_named(request.param)


def test_a_showcase_film_has_its_recipe_in_its_metadata(film: ShowcaseFilm) -> None:
    text = recipe_text(showcase.FOLDER / f"{film.name}.mp4")
    assert text
    assert read_recipe(text) == checked(film.recipe)


def test_a_showcase_film_matches_its_recipe_and_is_small(film: ShowcaseFilm) -> None:
    path = showcase.FOLDER / f"{film.name}.mp4"
    found = probe(path)
    expected = (film.recipe.width, film.recipe.height, film.recipe.frames)
    assert (found.width, found.height, found.frames) == expected
    assert path.stat().st_size <= 400 * KB
    assert path.with_suffix(".jpg").stat().st_size <= 40 * KB


def test_there_are_enough_films_and_together_they_are_small() -> None:
    assert len(set(names())) == len(names()) >= 9  # eight, and the one behind the page
    files = list(showcase.FOLDER.iterdir())
    assert {file.stem for file in files} == {"films", *names()}
    assert sum(file.stat().st_size for file in files) <= 4_000 * KB


def test_showcase_films_are_made_from_the_listed_recipes(film: ShowcaseFilm) -> None:
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    parser.add_argument("--data")
    parser.add_argument("--rife")
    _, *given = arguments(FOLDER / f"{film.name}.mp4", film.recipe)
    hello = cast(Hello, SimpleNamespace(models=()))
    (order,) = orders_of(parser.parse_args(given))
    assert order.recipe(hello) == film.recipe
