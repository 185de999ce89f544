"""The front page in Chromium: its films play when they should, and lead to Create."""

import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from engine.film.recipe import Recipe, Scene
from tests.browser.conftest import PATIENCE, PHONE, SETTLED, Server, Visitor, shoot
from tests.browser.test_studio import wait_for
from tests.stand_ins.connection import FINISHED
from ui.home import showcase
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]
PLAYING = ".card[data-playing]"
CLOCK = "video => video.currentTime"
GLASS = "e => [getComputedStyle(e).backdropFilter, getComputedStyle(e).backgroundColor]"
FILM = showcase.film_named("a-day-at-the-lake")


def row(page: Page) -> Locator:
    return page.locator(".st-key-showcase")


def card(page: Page, name: str) -> Locator:
    return row(page).locator(f'.card[data-id="{name}"]')


def expect_moving(video: Locator) -> None:
    before = video.evaluate(CLOCK)
    deadline = time.monotonic() + 60
    while video.evaluate(CLOCK) == before:
        assert time.monotonic() < deadline, "the film stands still"
        time.sleep(0.05)


def expect_still(page: Page, video: Locator) -> None:
    assert video.evaluate("video => video.paused")
    before = video.evaluate(CLOCK)
    page.wait_for_timeout(300)
    assert video.evaluate(CLOCK) == before


def behind(page: Page) -> Locator:
    return page.locator(".st-key-backdrop video")


def test_a_card_plays_while_it_is_pointed_at_and_films_load_when_they_play(visit: Visit) -> None:
    visitor, asked = visit(reduced_motion="no-preference"), []
    visitor.page.on("request", lambda request: asked.append(request.url))
    page = visitor.open()
    expect_moving(behind(page))
    assert {url.rpartition("/")[2] for url in asked if ".mp4" in url} == {"nightfall.mp4"}
    shoot(page, "home")
    card(page, "northern-lights").hover()
    expect_moving(card(page, "northern-lights").locator("video"))
    expect(page.locator(PLAYING)).to_have_count(1)
    shoot(page, "home-hover")
    card(page, "last-light").hover()
    expect_moving(card(page, "last-light").locator("video"))
    expect(page.locator(PLAYING)).to_have_count(1)
    page.mouse.move(5, 5)
    expect(row(page).locator("video.moving")).to_have_count(0)
    assert not visitor.foreign
    assert not visitor.errors


def test_the_keyboard_plays_opens_and_closes(visit: Visit) -> None:
    page = visit(reduced_motion="no-preference").open()
    card(page, "last-light").hover()
    card(page, "nightfall").focus()
    page.keyboard.press("Tab")
    expect_moving(card(page, "northern-lights").locator("video"))
    expect(row(page).locator("video.moving")).to_have_count(1)  # not the one under the mouse
    assert card(page, "northern-lights").evaluate("e => getComputedStyle(e).boxShadow") != "none"
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Northern lights")
    expect(drawer.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(card(page, "northern-lights")).to_be_focused()


def test_all_motion_pauses_at_one_switch_that_is_remembered(visit: Visit) -> None:
    page = visit(reduced_motion="no-preference").open()
    expect_moving(behind(page))
    page.get_by_role("button", name="Pause motion").click()
    page.reload()
    page.wait_for_selector(SETTLED)
    expect(page.get_by_role("button", name="Play motion")).to_be_visible(timeout=PATIENCE)
    expect_still(page, behind(page))
    card(page, "northern-lights").hover()
    page.wait_for_timeout(300)
    expect(row(page).locator("video.moving")).to_have_count(0)
    page.get_by_role("button", name="Play motion").click()
    expect_moving(behind(page))


def test_who_wants_less_motion_gets_none_unasked(visit: Visit) -> None:
    page = visit(reduced_motion="reduce").open()
    expect(page.get_by_role("button", name="Play motion")).to_be_visible(timeout=PATIENCE)
    expect_still(page, behind(page))
    card(page, "dunes").hover()
    page.wait_for_timeout(300)
    expect(row(page).locator("video.moving")).to_have_count(0)
    shoot(page, "home-reduced-motion")
    card(page, "dunes").click()
    expect_still(page, page.get_by_role("dialog").locator("video"))


def test_who_wants_less_transparency_gets_opaque_surfaces(visit: Visit) -> None:
    visitor = visit(reduced_motion="no-preference")
    feature = {"name": "prefers-reduced-transparency", "value": "reduce"}
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("Emulation.setEmulatedMedia", {"features": [feature]})
    page = visitor.open()
    card(page, "dunes").click()
    for surface in (page.get_by_role("dialog"), page.get_by_test_id("stHeader")):
        filter, colour = surface.evaluate(GLASS)
        assert (filter, colour.count(",")) == ("none", 2), "three numbers: opaque"


def test_a_drawer_tells_the_recipe_and_remix_fills_create(visit: Visit) -> None:
    visitor = visit(reduced_motion="no-preference")
    page = visitor.open()
    card(page, FILM.name).click()
    drawer = page.get_by_role("dialog", name=FILM.title)
    expect_moving(drawer.locator("video"))
    for scene in FILM.recipe.scenes:
        expect(drawer).to_contain_text(scene.prompt)
    expect(drawer).to_contain_text(f"Seed {FILM.recipe.seed}")
    shoot(page, "home-drawer")
    drawer.get_by_role("button", name="Remix").click()
    page.wait_for_url("**/create")
    for index, scene in enumerate(FILM.recipe.scenes, start=1):
        expect(page.get_by_label(f"Scene {index}")).to_have_value(scene.prompt, timeout=PATIENCE)
    seed = page.get_by_role("spinbutton", name="Seed")
    expect(seed).to_have_value(str(FILM.recipe.seed), timeout=PATIENCE)
    assert not visitor.foreign
    assert not visitor.errors


def test_an_address_may_name_the_film_whose_drawer_is_open(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"/?film={FILM.name}")
    drawer = page.get_by_role("dialog", name=FILM.title)
    expect(drawer).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(page).not_to_have_url(re.compile("film="))
    card(page, "dunes").click()
    page.wait_for_url("**/?film=dunes")
    page.reload()
    expect(page.get_by_role("dialog", name="Dunes")).to_be_visible(timeout=PATIENCE)
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    card(page, "dunes").click()
    page.get_by_role("dialog").get_by_role("button", name="Remix").click()
    page.wait_for_url("**/create**")
    page.go_back()
    expect(page.get_by_role("heading", name="Made with VisionFlux")).to_be_visible()
    assert not visitor.errors


def test_a_phone_has_its_menu_at_the_end_of_the_header(visit: Visit) -> None:
    page = visit(reduced_motion="no-preference", **PHONE).open()
    button = page.get_by_test_id("stExpandSidebarButton")
    box = button.bounding_box()
    assert box
    assert box["x"] + box["width"] > PHONE["width"] - 24
    assert min(box["width"], box["height"]) >= 44
    button.tap()
    page.get_by_role("link", name="Library").tap()
    page.wait_for_url("**/library")
    expect(page.get_by_test_id("stSidebarNavLink").first).not_to_be_in_viewport()
    page.reload()
    page.wait_for_selector(SETTLED)
    expect(button).to_be_in_viewport()  # folded, also where it was opened before


def test_on_a_phone_what_is_in_view_plays(visit: Visit) -> None:
    visitor = visit(reduced_motion="no-preference", **PHONE)
    page = visitor.open()
    expect_moving(behind(page))
    shoot(page, "home-phone")
    card(page, "nightfall").evaluate("e => e.scrollIntoView({block: 'center'})")
    expect_moving(card(page, "nightfall").locator("video"))
    shoot(page, "home-phone-films")
    card(page, "last-light").evaluate("e => e.scrollIntoView({block: 'center', inline: 'start'})")
    expect_moving(card(page, "last-light").locator("video"))
    expect(row(page).locator(PLAYING)).to_have_count(1)
    card(page, "last-light").tap()
    expect(page.get_by_role("dialog", name="Last light")).to_be_visible()
    shoot(page, "home-phone-drawer")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert not visitor.foreign
    assert not visitor.errors


@pytest.fixture
def own_film(server: Server) -> Iterator[str]:
    """Put a film with a wicked prompt into the library; yield that prompt."""
    library = Library(sqlite_engine(server.data / "library.db"), server.data / "films")
    prompt = '<img src=x onerror="window.pwned=1"> **dawn**'
    library.add("wicked", Recipe(scenes=(Scene(prompt=prompt),)), "none")
    film = library.get("wicked")
    assert film
    shutil.copy(showcase.FOLDER / "dunes.mp4", library.file(film))
    library.finish("wicked", FINISHED)
    yield prompt
    library.delete("wicked")


def test_ones_own_latest_films_come_first_as_plain_text(visit: Visit, own_film: str) -> None:
    visitor = visit(reduced_motion="no-preference")
    page = visitor.open()
    mine = page.locator(".st-key-latest .card").first
    expect(mine.locator(".title")).to_have_text(own_film)
    mine.click()
    drawer = page.get_by_role("dialog", name=own_film)
    expect_moving(drawer.locator("video"))
    expect(drawer.locator(".scenes")).to_contain_text(own_film)
    assert page.evaluate("window.pwned") is None
    drawer.get_by_role("button", name="Show in Library").click()
    page.wait_for_url("**/library?film=wicked")
    assert not visitor.errors


FOCUSED = (
    "() => [document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]"
)


def test_the_tab_key_shows_where_it_is_and_does_not_stop_at_the_pages_frame(visit: Visit) -> None:
    page = visit().open("/library")
    stops = []
    for _ in range(8):  # the skip link, the logo, four pages, and what the page has first
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUSED))
    assert [stop for stop in stops if stop[0] == "A"] == [["A", "solid"]] * 5
    assert "MAIN" not in [tag for tag, _ in stops]


def test_a_film_moves_behind_the_other_pages_until_it_is_paused(visit: Visit) -> None:
    visitor = visit(reduced_motion="no-preference")
    page = visitor.open("/connection")
    canvas = page.locator(".behind canvas.shown")
    canvas.wait_for()
    colours = "c => c.getContext('2d').getImageData(0, 0, 64, 40).data.join()"
    first = canvas.evaluate(colours)
    wait_for(lambda: canvas.evaluate(colours) != first)
    page.get_by_role("button", name="Pause motion").click()
    page.wait_for_timeout(400)
    still = canvas.evaluate(colours)
    page.wait_for_timeout(600)
    assert canvas.evaluate(colours) == still
    page.get_by_role("button", name="Play motion").click()
    wait_for(lambda: canvas.evaluate(colours) != still)
    visitor.open("/")
    page.locator(".st-key-backdrop video").wait_for()
    assert page.locator(".behind").count() == 0  # Home has its own
    narrow = visit(reduced_motion="no-preference", **PHONE)
    narrow.open("/connection").locator(".behind canvas.shown").wait_for()
    assert narrow.page.get_by_role("button", name="Pause motion").count() == 0
    assert not visitor.errors
    assert visitor.foreign == []
