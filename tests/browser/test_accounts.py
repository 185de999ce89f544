"""Two people sign in at an OpenID provider; neither sees what is the other's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PHONE, Server, Visitor, serving, shoot
from tests.browser.test_axe import assert_no_violation
from tests.stand_ins.films import add_film
from tests.stand_ins.openid import provider, secrets_file
from ui.shell import accounts
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]


@dataclass
class House:
    """The app with accounts, in which Ada and Ben have a film each."""

    server: Server
    libraries: dict[str, Library]

    def film(self, name: str) -> str:
        return f"film-of-{name}"


@pytest.fixture(scope="module")
def house(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("accounts")
    with (
        provider() as people,
        serving(
            folder / "data", folder / "app.log", lambda app: secrets_file(people.issuer, app)
        ) as server,
    ):
        house = House(server, {})
        for name, prompt in (("ada", "dawn over the sea"), ("ben", "a city at night")):
            claims = {"iss": people.issuer, "sub": f"id-of-{name}", "is_logged_in": True}
            engine = sqlite_engine(server.data / "library.db")
            owner = accounts.identity(claims)
            assert owner
            house.libraries[name] = Library(engine, server.data / "films", owner)
            add_film(house.libraries[name], house.film(name), prompt)
        yield house


def sign_in(page: Page, name: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("button", name=name)).to_be_visible()


def titles(page: Page) -> list[str]:
    page.get_by_role("link", name="Library").click()
    page.locator(".grid .card").first.wait_for()
    return page.locator(".grid .card .title").all_text_contents()


def status(page: Page, address: str) -> int:
    return page.evaluate("async address => (await fetch(address)).status", address)


@pytest.mark.parametrize("path", ["/", "/library?film=film-of-ada"])
def test_a_stranger_sees_the_way_in_and_nothing_else(path: str, house: House, visit: Visit) -> None:
    visitor = visit(at=house.server)
    page = visitor.open(path)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("heading", name="Your films are yours alone.")).to_be_visible()
    expect(page.get_by_text("dawn over the sea")).to_have_count(0)
    assert page.get_by_role("link", name="Library").count() == 0
    assert not visitor.errors
    if path == "/":
        shoot(page, "accounts-door")
        assert_no_violation(page)


def test_two_people_see_their_own_films_only(house: House, visit: Visit) -> None:
    ada, ben = (visit(at=house.server).open() for _ in range(2))
    sign_in(ada, "Ada")
    sign_in(ben, "Ben")
    assert titles(ada) == ["dawn over the sea"]
    assert titles(ben) == ["a city at night"]
    shoot(ada, "accounts-library")
    assert_no_violation(ada)

    poster = str(ada.locator(".card img.still").get_attribute("src"))
    ada.locator(".card .dots").click()
    link = ada.get_by_role("menuitem", name="Download MP4").get_attribute("href")
    film = str(link).removesuffix("&save")
    convert = film.replace("?", "/convert/gif?")
    stranger = visit(at=house.server).open()
    for address in (poster, film, convert):
        assert status(ada, address) == 200
        assert status(ben, address) == 404
        assert status(stranger, address) == 403

    ben.goto(f"{house.server.address}/library?film={house.film('ada')}")
    expect(ben.get_by_text("This film is not on this computer")).to_be_visible()
    ben.goto(f"{house.server.address}/create?job={house.film('ada')}")
    expect(ben.get_by_text("This film is not on this computer")).to_be_visible()
    assert house.libraries["ada"].totals().films == 1


def test_who_signs_out_is_a_stranger(house: House, visit: Visit) -> None:
    page = visit(at=house.server, **PHONE).open()
    sign_in(page, "Ada")
    page.reload()
    name = page.get_by_role("button", name="Ada")
    end, menu = name.bounding_box(), page.get_by_test_id("stExpandSidebarButton").bounding_box()
    assert end is not None
    assert menu is not None
    assert end["x"] + end["width"] <= menu["x"]  # neither lies on the other
    name.click()
    shoot(page, "accounts-menu-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(f"{house.server.address}/library")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
