"""No page breaks a rule of WCAG 2.2 A or AA that a machine can check."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import PHONE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
PAGES = ("/", "/create", "/library", "/connection")


def assert_no_violation(page: Page) -> None:
    results = Axe().run(page, options={**RULES, "resultTypes": ["violations"]})
    assert not results.violations_count, results.generate_report()


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_breaks_no_rule(
    path: str, size: dict[str, int], visit: Callable[..., Visitor]
) -> None:
    motion = "no-preference" if path == "/" else "reduce"
    page = visit(reduced_motion=motion, **size).open(path)
    page.wait_for_timeout(300)  # what fades in has done so
    assert_no_violation(page)


def test_an_open_drawer_breaks_no_rule(visit: Callable[..., Visitor]) -> None:
    page = visit().open()
    page.locator(".card").first.click()
    page.get_by_role("dialog").wait_for()
    assert_no_violation(page)
