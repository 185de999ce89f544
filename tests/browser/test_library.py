"""The Library in Chromium: cards, menus, comparing, converting. Its films are test patterns."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE, PHONE, SETTLED, Server, Visitor, serving, shoot
from tests.browser.test_axe import assert_no_violation
from tests.browser.test_studio import wait_for
from tests.stand_ins.films import add_film
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]
WICKED = '<img src=x onerror="window.pwned=1"> **bold** :red[sea]'


@dataclass
class Shop:
    """The app with a library of its own."""

    server: Server
    library: Library
    visit: Visit

    def open(self, path: str = "/library", **options: object) -> Page:
        visitor = self.visit(at=self.server, **options)
        page = visitor.open(path)
        page.wait_for_selector(".grid .card, .player, .duo")
        return page


@pytest.fixture(scope="module")
def stocked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("library")
    with serving(folder / "data", folder / "app.log") as server:
        library = Library(sqlite_engine(server.data / "library.db"), server.data / "films")
        add_film(library, "short", WICKED, seconds=1.0)
        add_film(library, "long", "night over a city", seconds=4.0, hue=90)
        add_film(library, "blue", "a blue lake", seconds=2.0, hue=200, seed=7)
        yield server


@pytest.fixture
def shop(stocked: Server, visit: Visit) -> Shop:
    library = Library(sqlite_engine(stocked.data / "library.db"), stocked.data / "films")
    return Shop(stocked, library, visit)


def card(page: Page, job: str):
    return page.locator(f'.card[data-job="{job}"]')


def times(page: Page) -> list[float]:
    """Return the positions of the films side by side."""
    return page.locator(".duo video").evaluate_all("all => all.map(video => video.currentTime)")


def test_a_card_plays_while_it_is_pointed_at_or_focused(shop: Shop) -> None:
    page = shop.open(reduced_motion="no-preference")
    expect(card(page, "long").locator("video")).to_have_count(0)
    card(page, "long").locator(".open").hover()
    expect(card(page, "long")).to_have_attribute("data-playing", "")
    card(page, "blue").locator(".open").focus()
    expect(card(page, "blue")).to_have_attribute("data-playing", "")
    expect(card(page, "long").locator("video")).to_have_count(0)
    still = shop.open()
    card(still, "long").locator(".open").hover()
    still.wait_for_timeout(300)
    expect(still.locator(".grid video")).to_have_count(0)


def test_the_menu_is_worked_by_keyboard(shop: Shop) -> None:
    page = shop.open()
    shoot(page, "library")
    assert_no_violation(page)
    dots = card(page, "long").locator(".dots")
    dots.focus()
    page.keyboard.press("Enter")
    items = page.get_by_role("menuitem")
    expect(items.first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(items.last).to_be_focused()
    shoot(page, "library-menu")
    assert_no_violation(page)
    page.keyboard.press("Escape")
    expect(dots).to_be_focused()
    expect(page.get_by_role("menu")).to_be_hidden()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Rename").press("Enter")
    name = page.get_by_role("textbox", name="Name")
    name.fill("Midnight <b>walk</b>")
    page.get_by_role("button", name="Save").wait_for()  # without it Enter does nothing yet
    page.wait_for_selector(SETTLED)
    shoot(page, "library-rename")
    name.press("Enter")
    expect(card(page, "long").locator(".title")).to_have_text("Midnight <b>walk</b>")
    shop.library.rename("long", "")


def test_a_dialog_has_the_focus_in_its_field_and_closes_by_back(shop: Shop) -> None:
    page = shop.open()
    card(page, "blue").locator(".open").click()
    page.get_by_role("heading", name="a blue lake").wait_for()
    page.get_by_role("button", name="Rename").click()
    name = page.get_by_role("textbox", name="Name")
    expect(name).to_be_focused()
    page.keyboard.type("over the")  # the old name is selected
    page.get_by_role("dialog").get_by_text("Leave it empty").click()
    page.keyboard.press("r")  # Streamlit's own shortcut would close the dialog
    expect(name).to_have_value("over the")
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", name="a blue lake")).to_be_visible()
    page.get_by_role("button", name="Rename").click()
    expect(name).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.go_back()
    expect(page.locator(".grid .card")).to_have_count(3)


def test_the_name_of_the_page_leads_back_from_a_film(shop: Shop) -> None:
    page = shop.open("/library?film=blue")
    name = page.get_by_test_id("stTopNavLink").filter(has_text="Library")
    name.click()
    expect(page.locator(".grid .card")).to_have_count(3)
    page.wait_for_url(f"{shop.server.address}/library")
    page.go_back()
    expect(page.get_by_role("heading", name="a blue lake")).to_be_visible()


def test_hearts_search_and_order(shop: Shop) -> None:
    page = shop.open()
    heart = card(page, "blue").locator(".heart")
    heart.click()
    expect(heart).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Favourites").click()
    expect(page.locator(".grid .title")).to_have_text(["a blue lake"])
    page.get_by_text("Favourites").click()
    expect(page.locator(".grid .card")).to_have_count(3)
    page.wait_for_selector(SETTLED)  # until then, the former field may stand beside the new one
    page.get_by_label("Search").press_sequentially("NIGHT")  # and no key more
    expect(page.locator(".grid .title")).to_have_text(["night over a city"])
    assert page.evaluate("window.pwned") is None


def test_what_is_deleted_comes_back_on_demand(shop: Shop) -> None:
    page = shop.open()
    card(page, "short").locator(".dots").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(card(page, "short")).to_have_count(0)
    expect(page.locator(".st-key-undo")).to_contain_text("Deleted")
    shoot(page, "library-undo")
    page.get_by_role("button", name="Undo").click()
    expect(card(page, "short")).to_be_visible()
    expect(page.locator(".st-key-undo")).to_have_count(0)
    assert page.evaluate("window.pwned") is None


def test_two_films_play_as_one(shop: Shop) -> None:
    page = shop.open(reduced_motion="no-preference")
    card(page, "long").locator(".dots").click()
    page.get_by_role("menuitem", name="Compare with…").click()
    expect(card(page, "long").locator(".screen")).to_have_attribute("data-call", "Chosen")
    shoot(page, "library-picking")
    card(page, "short").locator(".open").click()
    page.wait_for_url(re.compile("compare=long&with=short"))
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    wait_for(lambda: times(page)[0] > 0.3)
    long, short = times(page)
    assert abs(long - short) < 0.5  # a busy machine may be a few frames off for a moment
    page.get_by_role("button", name="Pause", exact=True).click()
    slider = page.get_by_role("slider", name="Position")
    slider.fill("0.5")
    wait_for(lambda: times(page) == pytest.approx([0.5, 0.5], abs=1e-3))
    page.get_by_role("button", name="One frame forward").click()
    wait_for(lambda: times(page) == pytest.approx([0.5 + 1 / 12] * 2, abs=1e-3))
    slider.fill("3")
    wait_for(lambda: times(page) == pytest.approx([3.0, 1.0 - 1 / 24], abs=1e-2))
    expect(page.get_by_text("Differences")).to_be_visible()
    shoot(page, "library-compare")
    assert_no_violation(page)
    assert page.evaluate("window.pwned") is None


def test_a_gif_is_compared_like_any_film(shop: Shop) -> None:
    add_film(shop.library, "gif", "a small picture", format="gif")
    try:
        page = shop.open("/library?compare=blue&with=gif")
        expect(page.get_by_role("slider", name="Position")).to_have_attribute(
            "max", "2", timeout=PATIENCE
        )
        page.get_by_role("slider", name="Position").fill("0.5")
        wait_for(lambda: times(page) == pytest.approx([0.5, 0.5], abs=1e-3))
        both = page.locator(".duo video").evaluate_all("all => all.map(one => one.videoWidth)")
        assert both == [256, 256]
    finally:
        shop.library.delete("gif")


def test_a_film_is_taken_along_in_every_format(shop: Shop, tmp_path: Path) -> None:
    page = shop.open("/library?film=blue")
    shoot(page, "library-film")
    assert_no_violation(page)
    beginnings = {"MP4": b"ftyp", "GIF": b"GIF89a", "WebM": b"\x1aE\xdf\xa3"}
    for name, beginning in beginnings.items():
        with page.expect_download() as download:
            page.get_by_text("Download MP4" if name == "MP4" else name, exact=True).click()
        assert download.value.suggested_filename == f"a blue lake.{name.lower()}"
        download.value.save_as(tmp_path / name)
        assert beginning in (tmp_path / name).read_bytes()[:12]


def test_a_film_that_cannot_be_converted_says_so(shop: Shop) -> None:
    add_film(shop.library, "broken", "a broken film")
    film = shop.library.get("broken")
    assert film
    shop.library.file(film).write_bytes(b"no film")
    try:
        page = shop.open("/library?film=broken")
        page.get_by_role("button", name="Download GIF").click()
        expect(page.locator(".word")).to_contain_text("Download it in its own format")
        expect(page.get_by_role("button", name="Download GIF")).to_be_enabled()
    finally:
        shop.library.delete("broken")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("library", "/library"),
        ("library-film", "/library?film=short"),
        ("library-compare", "/library?compare=long&with=short"),
    ],
)
def test_a_phone_shows_it_without_scrolling_sideways(shop: Shop, name: str, path: str) -> None:
    page = shop.open(path, reduced_motion="no-preference", **PHONE)
    page.wait_for_timeout(300)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shoot(page, f"{name}-phone")
    if name == "library":
        expect(page.locator(".card[data-playing]")).to_have_count(1)  # what is in view plays
