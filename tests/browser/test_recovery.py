"""A film whose engine dies for good goes on with another one, as a user sees it."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine.wire.pairing import LINK_FILE
from tests.browser.conftest import PATIENCE, Visitor, serving
from tests.browser.test_studio import generate
from tests.processes import Process

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@contextmanager
def distant(data: Path) -> Iterator[tuple[Process, str]]:
    """Run an engine that the app has not started; return it with its pairing link."""
    command = [sys.executable, "-m", "engine", "serve", "--data", str(data), "--port", "0"]
    link = data / "engine" / LINK_FILE
    with Process(command, data.with_suffix(".log")) as process:
        yield process, process.until(lambda: link.exists() and link.read_text())


def pair(page: Page, link: str) -> None:
    page.get_by_role("link", name="Connection").click()
    page.get_by_label("Pairing link").fill(link)
    page.get_by_role("button", name="Pair", exact=True).click()
    expect(page.get_by_text("Paired with")).to_be_visible(timeout=PATIENCE)


def test_continue_brings_a_film_to_another_engine(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "data", tmp_path / "app.log") as app,
        distant(tmp_path / "one") as (one, first),
        distant(tmp_path / "two") as (_, second),
    ):
        visitor = visit(at=app)
        page = visitor.open("/")
        pair(page, first)
        page.get_by_role("link", name="Create", exact=True).click()
        generate(page, "dawn over the sea, sun on the left", "2")
        safe = page.get_by_text(re.compile(r"Saved on this computer: [2-9] keyframes"))
        safe.wait_for()
        film = page.url
        one.kill()
        line = page.locator(".headline")
        expect(line).to_contain_text(re.compile(r"has not answered for \d+ s\. Your keyframes are"))
        expect(page.locator(".eta")).to_be_empty()
        pair(page, second)
        page.goto(film)
        page.get_by_role("button", name=re.compile("Continue on")).click()
        page.locator("video").wait_for()
        assert page.url != film
        assert not visitor.errors
