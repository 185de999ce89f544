"""The words that a model knows, shown while a prompt is typed, in an empty page of Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import ui.create
from engine.film.vocabulary import Listener
from tests.stand_ins.vocabulary import WORLD

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCRIPT = Path(ui.create.__file__).with_name("prompt_check.js")
LISTENER = Listener(WORLD)
PAGE = """
<div class="st-key-draft-prompt-one"><textarea></textarea></div>
<div id="check"><p class="words" hidden></p><p class="also" hidden></p></div>
"""
DRAW = """({prompt, also}) => {
  const parentElement = document.querySelector("#check");
  window.end = window.check({ data: { scene: "one", prompt, also }, parentElement });
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with one scene, whose script has learnt the words."""
    context = browser.new_context()
    page = context.new_page()
    page.set_content(PAGE)
    script = SCRIPT.read_text("utf-8").replace("export default", "window.check =")
    script = script.replace("export function hear", "window.hear = hear;\nfunction hear")
    page.add_script_tag(content=script, type="module")
    page.wait_for_function("!!window.check && !!window.hear")
    phrases = LISTENER.phrases
    known = "\n".join(phrase for phrase, meant in phrases.items() if meant)
    ignored = "\n".join(phrase for phrase, meant in phrases.items() if not meant)
    page.evaluate("data => window.check({ data })", {"known": known, "ignored": ignored})
    yield page
    context.close()


def test_words_are_told_apart_with_every_key(page: Page) -> None:
    page.evaluate(DRAW, {"prompt": "", "also": ""})
    words, area = page.locator(".words"), page.locator("textarea")
    assert words.is_hidden()
    area.type("two foxes")
    assert words.inner_text() == "Understood: foxes"
    area.type(" <b>& gato</b>, cinematic")
    assert words.inner_text().split("Not known: ") == ["Understood: foxes", "b · gato"]
    area.fill("")
    assert words.is_hidden()


def test_what_is_added_pales_while_the_prompt_changes(page: Page) -> None:
    page.locator("textarea").fill("a fox")
    page.evaluate(DRAW, {"prompt": "a fox", "also": "Also in the picture: stars."})
    also = page.locator(".also")
    assert also.inner_text() == "Also in the picture: stars."
    assert also.get_attribute("class") == "also"
    page.locator("textarea").type(" at noon")
    assert also.get_attribute("class") == "also stale"
    page.evaluate(DRAW, {"prompt": "a fox at noon", "also": "Also in the picture: a lake."})
    assert also.get_attribute("class") == "also"
    page.evaluate("window.end()")
    page.locator("textarea").fill("the sea")
    assert also.get_attribute("class") == "also"


@pytest.mark.parametrize(
    "prompt",
    [
        "A FOX, in the woods!",
        "two foxes by lakes, space-ship; starry night",
        "the sea lion, seaside nightmare. un gato en la luna, 你好 4K",
        "ein Größe-Wald, naïve café_fox, cities and skies, ass as s",
        "",
    ],
)
def test_the_browser_hears_as_the_engine_does(page: Page, prompt: str) -> None:
    heard = page.evaluate("text => window.hear(text).map(p => [p.text, p.meant ?? null])", prompt)
    parts = LISTENER.hear(prompt)
    assert heard == [
        [prompt[part.start : part.end], bool(part.meanings) if part.known else None]
        for part in parts
    ]
