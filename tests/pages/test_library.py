"""The Library's page as its visitors' scripts draw it; its cards come alive in tests/browser."""

import json
from io import BytesIO
from typing import Any

import msgspec
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.errors import InvalidParameterError
from engine.film import events
from engine.film.events import Scores
from engine.film.recipe import Camera, Recipe, Scene
from engine.wire.pairing import Pairing
from tests.pages.test_pages import RECIPE, Studio, components, job_of, lost, setting, studio, words
from tests.stand_ins.connection import PLANNED, until
from tests.stand_ins.films import add_film
from ui.films import shelf
from ui.films.extend import last_frame
from ui.films.shelf import Choice

__all__ = ["studio"]
OTHER = Pairing("https://other.example", b"o" * 32)


def cards(at: AppTest, name: str = "shelf_finished") -> list[dict[str, Any]]:
    """Return what a shelf of the page shows."""
    for element in at.get("bidi_component"):
        data = json.loads(element.proto.json or "{}")
        if name in element.proto.id:
            films: list[dict[str, Any]] = data["films"]
            return films
    return []


def choose(monkeypatch: pytest.MonkeyPatch, action: str, job: str, key: str) -> None:
    """Have the next page be told that somebody chose something on a card, once."""
    real, choices = shelf.shelf, [Choice(action, job)]

    def told(*words: Any, **about: Any) -> Choice | None:
        real(*words, **about)
        return choices.pop() if about["key"] == key and choices else None

    monkeypatch.setattr(shelf, "shelf", told)


def act(
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    job: str,
    key: str = "shelf_finished",
    **params: str,
) -> AppTest:
    choose(monkeypatch, action, job, key)
    at = studio.visit("library", **params)
    return at


def test_an_empty_library_leads_to_the_first_film(studio: Studio) -> None:
    at = studio.visit("library")
    at.button(key="first").click().run()
    assert at.text_area


def test_a_card_shows_what_is_typed_as_it_is(studio: Studio) -> None:
    job = studio.finished()
    (card,) = cards(studio.visit("library"))
    assert (card["job"], card["title"]) == (job, "dawn <b>over</b> the *sea* → night")
    assert card["facts"] == "4 s · 256 × 256 · just now"
    assert "1 film · 4 s · 800 B" in words(studio.visit("library"))


def test_a_film_is_shown_with_its_recipe_escaped(studio: Studio) -> None:
    at = studio.visit("library", film=studio.finished())
    assert components(at) == ["visionflux_player"]
    assert r"dawn \<b\>over\</b\> the \*sea\*" in words(at)
    assert "4711" in words(at)


def test_a_recipe_shows_how_scenes_begin_and_where_their_cameras_go(studio: Studio) -> None:
    begun = Scene(prompt="c", motion="cut", camera=Camera(zoom=1.35), start_image="a" * 64)
    scenes = (Scene(prompt="a"), Scene(prompt="b", seconds=1.5), begun)
    job = studio.finished(Recipe(scenes=scenes, motion="fade", loop=True, shared_noise=True))
    shown = words(studio.visit("library", film=job)).replace("\\", "").splitlines()
    assert "Scene 1 · 4 s" in shown
    assert "Scene 2 · 1.5 s · fades in" in shown
    assert "Scene 3 · 4 s · cuts in · from a picture · slow push in" in shown
    assert any("Keep the layout" in line for line in shown)
    assert any("The film ends where it began." in line for line in shown)


def test_a_film_shows_where_it_was_made(studio: Studio) -> None:
    job = studio.finished()
    for index, origin in enumerate(("Far GPU", "Two cores")):
        about = {"object": str(index), "sha256": "", "size": 9, "reused": False, "origin": origin}
        painted = events.PieceFinished(stage="keyframe", index=index, **about)
        studio.hub.event_log.add(job, [events.Logged(seq=101 + index, at=1.0, event=painted)])
    shown = words(studio.visit("library", film=job)).replace("\\", "")
    assert "Keyframe 1 was painted on Far GPU, 2 on Two cores." in shown
    assert "Different hardware may differ in tiny details" in shown


def test_a_film_shows_how_smooth_it_is(studio: Studio) -> None:
    job = studio.finished(RECIPE)
    assert "flicker" not in words(studio.visit("library", film=job))
    scores = Scores(
        flicker=0.01, jumps=0, unevenness=0.3, brightness=0.0, colour=0.0, duplicates=0.0
    )
    about = {"object": "o", "sha256": "s", "size": 1, "media_type": "video/mp4"}
    shape = {"frames": 8, "seconds": 1.0, "width": 256, "height": 256}
    film = events.Finished(**about, **shape, scores=scores)  # type: ignore[arg-type]
    studio.hub.event_log.add(job, [events.Logged(seq=101, at=1.0, event=film)])
    shown = words(studio.visit("library", film=job)).replace("\\", "")
    assert "Steady, no visible flicker." in shown
    assert "Pace varies by 30 % · Flicker 1.0 %" in shown


def test_a_film_shows_what_enlarged_it(studio: Studio) -> None:
    job = studio.finished(RECIPE)
    plan = msgspec.structs.replace(PLANNED, upscaler="animevideov3@0123")
    studio.hub.event_log.add(job, [events.Logged(seq=101, at=1.0, event=plan)])
    shown = words(studio.visit("library", film=job)).replace("\\", "")
    assert "Enlarged by Real-ESRGAN AnimeVideo v3" in shown


def test_a_film_is_extended_from_its_last_frame(studio: Studio) -> None:
    add_film(studio.hub.library, "made", "dawn", seconds=2.0)
    at = studio.visit("library", film="made")
    at.button(key="extend").click().run()
    first, added = at.session_state["draft"].scenes
    assert (first.prompt, added.prompt, added.motion, added.strength) == ("dawn", "", "cut", 0.0)
    film = studio.hub.library.get("made")
    assert film
    with Image.open(BytesIO(last_frame(studio.hub.library.file(film)))) as last:
        assert last.size == (256, 160)
    assert studio.hub.start_images.has(added.start_image)


def test_sort_and_search_survive_a_visit_elsewhere(studio: Studio) -> None:
    job = studio.finished()
    at = studio.visit("library")
    at.selectbox(key="sort").set_value("oldest")
    at.text_input(key="search").set_value("night").run()
    at.switch_page("pages/home.py").run()
    at.switch_page("pages/library.py").run()
    assert (at.selectbox(key="sort").value, at.text_input(key="search").value) == (
        *("oldest", "night"),
    )
    assert [card["job"] for card in cards(at)] == [job]


def test_a_recipe_is_used_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    job = studio.finished()
    at = studio.visit("library", film=job)
    at.button(key="remix").click().run()
    assert setting(at, "number_input", "seed").value == 4711
    at = act(studio, monkeypatch, "remix", job)
    assert setting(at, "number_input", "seed").value == 4711


def test_a_deleted_film_can_be_restored(studio: Studio) -> None:
    job = studio.finished()
    at = studio.visit("library", film=job)
    at.button(key="delete").click().run()
    assert studio.hub.library.get(job) is None
    assert "film" not in at.query_params
    assert r"Deleted “dawn \<b\>over\</b\>" in words(at)
    at.button(key="restore").click().run()
    assert [card["job"] for card in cards(at)] == [job]
    assert "Deleted" not in words(at)


def test_a_film_is_renamed(studio: Studio) -> None:
    job = studio.finished()
    at = studio.visit("library", film=job)
    at.button(key="rename").click().run()
    at.text_input(key=f"title-{job}").set_value("My <i>sea</i>")
    next(button for button in at.button if button.label == "Save").click().run()
    assert at.header[0].value == r"My \<i\>sea\</i\>"
    assert cards(studio.visit("library"))[0]["title"] == "My <i>sea</i>"


def test_a_heart_makes_a_favourite(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    job, other = studio.finished(), studio.finished()
    at = act(studio, monkeypatch, "favour", job)
    assert [card["favourite"] for card in cards(at)] == [False, True]
    at.toggle(key="favourites").set_value(True).run()
    assert [card["job"] for card in cards(at)] == [job]
    at = studio.visit("library", film=other)
    at.button(key="favour").click().run()
    assert studio.hub.library.totals(favourites=True).films == 2


def test_films_are_searched_and_sorted(studio: Studio) -> None:
    first = studio.finished()
    second = studio.finished(Recipe(scenes=(Scene(prompt="a volcano"),)))
    at = studio.visit("library")
    assert [card["job"] for card in cards(at)] == [second, first]
    at.selectbox(key="sort").set_value("oldest").run()
    assert [card["job"] for card in cards(at)] == [first, second]
    at.text_input(key="search").set_value("VOLCANO").run()
    assert [card["job"] for card in cards(at)] == [second]
    at.text_input(key="search").set_value("zebra").run()
    assert "No film matches" in words(at)
    at.button(key="unsought").click().run()
    assert [card["job"] for card in cards(at)] == [first, second]


def test_more_films_come_when_the_end_is_in_view(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(50):
        studio.hub.library.add(f"job{index}", RECIPE, "engine")
        studio.hub.library.end(f"job{index}", "finished")
    assert len(cards(studio.visit("library"))) == 24
    assert len(cards(act(studio, monkeypatch, "more", ""))) == 48


def test_two_films_are_seen_side_by_side(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    first = studio.finished()
    second = studio.finished(Recipe(scenes=RECIPE.scenes, seed=1, negative_prompt="fog"))
    at = act(studio, monkeypatch, "compare", first)
    assert at.query_params["compare"] == first
    assert {card["job"]: card["call"] for card in cards(at)} == {
        first: "Chosen",
        second: "Compare with this",
    }
    at = act(studio, monkeypatch, "open", second, compare=first)
    assert components(at) == ["visionflux_compare"]
    assert [caption.value for caption in at.caption] == ["Seed"]
    assert {"4711", "1"} <= {text.value for text in at.markdown}


def test_an_address_of_a_missing_film_shows_an_error(studio: Studio) -> None:
    at = studio.visit("library", film="nothing")
    assert "not on this computer" in words(at)
    assert "film" not in at.query_params


def test_a_film_whose_engine_is_lost_can_be_continued(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lost(studio)
    studio.hub.pair(OTHER.link)
    (card,) = cards(studio.visit("library"), "shelf_unfinished")
    assert card["actions"] == [["continue", "Continue on other.example"]]
    act(studio, monkeypatch, "continue", job, "shelf_unfinished")
    until(lambda: studio.world.made[-1].recipes)


def test_a_cancelled_film_can_be_continued_or_deleted(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.hub.submit(RECIPE)
    (card,) = cards(studio.visit("library"), "shelf_unfinished")
    assert card["actions"] == [["open", "Watch"]]
    studio.hub.cancel(job)
    until(lambda: (film := studio.hub.library.get(job)) and film.status == "cancelled")
    until(lambda: (view := studio.hub.find(job)) and view.settled)
    (card,) = cards(studio.visit("library"), "shelf_ended")
    assert (card["facts"], card["share"]) == ("Cancelled", None)
    at = act(studio, monkeypatch, "delete", job, "shelf_ended")
    assert cards(at, "shelf_ended") == []
    studio.hub.library.restore(job)
    act(studio, monkeypatch, "continue", job, "shelf_ended")
    until(lambda: (view := studio.hub.find(job)) and view.successor)


def test_a_film_that_cannot_be_continued_shows_the_reason(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.hub.submit(RECIPE)
    studio.hub.cancel(job)
    until(lambda: (film := studio.hub.library.get(job)) and film.status == "cancelled")

    def refuse(_job: str) -> None:
        raise InvalidParameterError("width", "it is too wide", "narrow it")

    monkeypatch.setattr(studio.hub, "move", refuse)
    at = act(studio, monkeypatch, "continue", job, "shelf_ended")
    assert "Narrow it" in words(at)


def test_an_old_address_of_a_continued_film_leads_to_it(studio: Studio) -> None:
    library = studio.hub.library
    library.add("before", RECIPE, "engine")
    library.end("before", "cancelled")
    assert library.replace("before", "after", "engine", ended=True)
    assert job_of(studio.visit("create", job="before")) == "after"


def test_a_film_is_made_larger_from_its_keyframes(studio: Studio) -> None:
    job = studio.finished()
    at = studio.visit("library", film=job)
    at.button(key="enlarge").click().run()
    assert at.button(key="enlarge").label == "Make it HD"
    sizes = at.radio(key=f"enlarge-{job}")
    assert sizes.options == ["512 × 512", "768 × 768", "1024 × 1024 · HD"]
    sizes.set_value(2)
    at.button(key="enlarge").click()  # AppTest closes a dialog at each run of the page
    at.button(key="make-larger").click().run()
    recipes = studio.world.made[0].recipes
    assert recipes[job_of(at)] == msgspec.structs.replace(recipes[job], upscale=2)
    assert job in recipes


def test_a_film_is_made_larger_where_it_was_made(studio: Studio) -> None:
    job = studio.finished()
    studio.hub.pair(OTHER.link)  # which new films are submitted to
    at = studio.visit("library", film=job)
    at.button(key="enlarge").click().run()
    engines = at.radio(key=f"on-{job}")
    assert engines.options == ["This computer (has the keyframes)", "other.example"]
    at.button(key="enlarge").click()
    at.button(key="make-larger").click().run()
    assert len(studio.world.made[0].recipes) == 2
    assert studio.world.made[-1].recipes == {}


@pytest.mark.parametrize("settings", [{"format": "gif"}, {"upscale": 4}], ids=str)
def test_a_film_that_cannot_become_larger_has_no_button_for_it(
    studio: Studio, settings: dict[str, Any]
) -> None:
    job = studio.finished(msgspec.structs.replace(RECIPE, **settings))
    at = studio.visit("library", film=job)
    assert "enlarge" not in [button.key for button in at.button]
