"""Prompts in Chromium while they are being typed: nothing is lost, nothing disturbs the hand."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, PHONE, SETTLED, Server, Visitor
from tests.browser.test_studio import start_over, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]


def composer(visit: Visit) -> Page:
    """Open an empty storyboard."""
    page = visit().open("/create")
    start_over(page)
    return page


def typed(page: Page, server: Server, field: Locator, words: str) -> None:
    """Type into a field and rest, until the words are kept; the field is not left."""
    field.focus()
    page.keyboard.type(words, delay=20)
    kept = server.data / "storyboard.json"
    wait_for(lambda: words in kept.read_text("utf-8"))
    page.wait_for_selector(SETTLED)
    expect(field).to_be_focused()


def test_words_that_are_still_being_typed_are_there_after_a_reload(
    visit: Visit, server: Server
) -> None:
    page = composer(visit)
    typed(page, server, page.get_by_label("Scene 1"), "dawn over the")
    page.reload()
    expect(page.get_by_label("Scene 1")).to_have_value("dawn over the", timeout=PATIENCE)
    page.get_by_role("button", name="Add a scene").click()
    expect(page.get_by_label("Scene 2")).to_be_focused()
    typed(page, server, page.get_by_label("Scene 2"), "a city at")
    page.get_by_text("Advanced").click()
    typed(page, server, page.get_by_role("textbox", name="Negative prompt"), "fog and")
    page.reload()
    expect(page.get_by_label("Scene 2")).to_have_value("a city at", timeout=PATIENCE)
    page.get_by_text("Advanced").click()
    negative = page.get_by_role("textbox", name="Negative prompt")
    expect(negative).to_have_value("fog and", timeout=PATIENCE)


def test_words_typed_just_before_a_click_are_kept(visit: Visit) -> None:
    page = composer(visit)
    prompt = page.get_by_label("Scene 1")
    prompt.focus()
    page.keyboard.type("dawn over the")
    page.get_by_role("link", name="Library").click()
    page.wait_for_url("**/library")
    page.get_by_role("link", name="Create").click()
    expect(prompt).to_have_value("dawn over the", timeout=PATIENCE)
    prompt.focus()
    page.keyboard.press("End")
    page.keyboard.type(" sea")
    page.get_by_role("button", name="Add a scene").click()
    expect(page.get_by_label("Scene 2")).to_be_visible()
    expect(prompt).to_have_value("dawn over the sea")
    page.get_by_role("button", name="Remove").nth(1).click()
    expect(page.get_by_label("Scene 2")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Scene 2")).to_be_visible()
    page.get_by_role("button", name="Remove").nth(1).click()
    expect(page.get_by_label("Scene 2")).to_have_count(0)
    page.wait_for_selector(SETTLED)
    prompt.fill("a lake " * 300)
    expect(page.get_by_text("2,100 characters; 2,000 are possible")).to_be_visible()
    prompt.fill("a lake")
    page.keyboard.press("Control+Enter")
    page.locator("canvas.picture").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="New film").click()
    expect(prompt).to_have_value("")
    expect(prompt).to_be_focused()


def test_typing_goes_on_where_it_rested(visit: Visit, server: Server) -> None:
    page = composer(visit)
    prompt = page.get_by_label("Scene 1")
    typed(page, server, prompt, "dawn over sea")
    for _ in "sea":
        page.keyboard.press("ArrowLeft")
    typed(page, server, prompt, "the ")
    typed(page, server, prompt, "quiet ")
    assert prompt.evaluate("area => area.selectionStart") == len("dawn over the quiet ")
    expect(prompt).to_have_value("dawn over the quiet sea")
    page.reload()
    expect(prompt).to_have_value("dawn over the quiet sea", timeout=PATIENCE)


def test_a_prompt_has_the_focus_only_if_it_is_empty_and_nothing_unfolds(
    visit: Visit, server: Server
) -> None:
    typed(page := composer(visit), server, page.get_by_label("Scene 1"), "dawn")
    for slower in (1, 6):  # the words may come well after the field on a busy machine
        page = visit().open("/")
        pace = page.context.new_cdp_session(page)
        pace.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.get_by_role("button", name="Create a film").click()
        expect(page.get_by_label("Scene 1")).to_have_value("dawn", timeout=PATIENCE)
        page.wait_for_timeout(700)
        expect(page.get_by_label("Scene 1")).not_to_be_focused()
        page.context.close()  # slowing a page down takes all the time that the page does not get
    start_over(visit().open("/create"))
    phone = visit(**PHONE).open("/")
    phone.get_by_role("button", name="Create a film").tap()
    expect(phone.get_by_label("Scene 1")).to_have_value("", timeout=PATIENCE)
    phone.wait_for_timeout(500)
    expect(phone.get_by_label("Scene 1")).not_to_be_focused()
