"""The app in Chromium, with the real engine and the offline model."""

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from engine.local import ensure_local_engine
from engine.render.video import gif
from tests.browser.conftest import HEIGHT, PATIENCE, SETTLED, WIDTH, Server, Visitor, serving, shoot
from tests.stand_ins import fork_server
from ui.shell import frontend

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]
PAGES = ("/", "/create", "/library", "/connection")


def generate(page: Page, prompt: str, seconds: str = "1") -> Locator:
    """Fill in a scene and press Generate; return the stage's canvas."""
    start_over(page)
    page.get_by_label("Scene 1").fill(prompt)
    page.get_by_label("Seconds").fill(seconds)
    page.get_by_label("Seconds").press("Enter")
    expect(page.get_by_text(f"for a film of {seconds} s")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Generate")).to_be_enabled(timeout=PATIENCE)
    page.get_by_role("button", name="Generate").click()
    canvas = page.locator("canvas.picture")
    canvas.wait_for()
    return canvas


def start_over(page: Page) -> None:
    """Clear the storyboard of what an earlier visit has left there."""
    page.get_by_text("Start from a finished film").wait_for()  # which is drawn behind the button
    expect(page.get_by_role("button", name="Generate")).to_be_enabled(timeout=PATIENCE)
    page.wait_for_selector(SETTLED)
    button = page.get_by_role("button", name="Start over")
    first = page.get_by_label("Scene 1", exact=True)
    while button.count() or first.input_value():
        with contextlib.suppress(TimeoutError):  # a run of the script took it away meanwhile
            button.click(timeout=2_000)
        page.wait_for_timeout(300)
        page.wait_for_selector(SETTLED)


def drawn(canvas: Locator) -> int:
    return int(canvas.get_attribute("data-previews") or 0)


def become(page: Page, state: str) -> None:
    """Tell a page what a browser with a screen would: whether it can be seen."""
    page.evaluate(
        """value => {
            Object.defineProperty(document, "visibilityState", { value, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("path", PAGES)
def test_a_cold_deep_link_shows_the_whole_frame(
    path: str, server: Server, visit: Visit, tmp_path: Path
) -> None:
    (server.data / "storyboard.json").unlink(missing_ok=True)  # as a newcomer, without scenes
    with serving(server.data, tmp_path / "app.log") as cold:
        visitor = visit(at=cold)
        asked, refused = set[str](), []
        visitor.page.on("request", lambda request: asked.add(request.url.rpartition("/")[2]))
        visitor.page.on("requestfailed", lambda request: refused.append(request.url))
        visitor.page.on("response", lambda it: refused.extend([it.url] * (it.status >= 400)))
        page = visitor.open(path)
        expect(page.locator("header").get_by_role("link", name="Connection")).to_be_visible()
        scripts = {name for name in asked if name.endswith(".js")}
        html = frontend.page(path[1:], at_once=True)
        assert {name for name in scripts if name not in html} == set()
        assert refused == []
        expect(page.get_by_test_id("stSidebar")).to_have_count(0)
        style = page.get_by_test_id("stHeader").evaluate("e => getComputedStyle(e).backdropFilter")
        assert "blur" in style
        assert not visitor.errors


def test_a_first_film_from_a_prompt(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(reduced_motion="no-preference")  # so that the film begins to play by itself
    page = visitor.open("/")
    page.get_by_role("button", name="Create a film").click()
    canvas = generate(page, "dawn over the sea, sun on the left")
    page.locator(".headline").evaluate(WATCH_HEADLINES)
    assert canvas.evaluate(MOST_PICTURES_OF_ONE_KEYFRAME) >= 5
    video = page.locator("video")
    video.wait_for()
    headlines = page.evaluate("window.headlines")
    assert any(
        re.match(r"Painting keyframes: \d of \d finished · step \d+ of \d+", line)
        for line in headlines
    )
    assert any(
        re.match(r"Drawing in-betweens: \d of \d finished · frame \d+ of \d+", line)
        for line in headlines
    )
    wait_for(lambda: video.evaluate("v => v.currentTime > 0.1 && v.readyState >= 2"))
    assert video.evaluate("v => [v.videoWidth, v.videoHeight]") == [WIDTH, HEIGHT]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download MP4").click()
    assert download.value.suggested_filename == "dawn over the sea sun on the left.mp4"
    download.value.save_as(tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
    assert not visitor.errors
    page.get_by_role("link", name="Library").click()
    expect(page.locator(".card").first).to_contain_text("dawn over the sea")


def test_a_sentence_enter_and_a_click_lead_from_home_to_a_downloaded_film(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(fork_server.ADDRESS, raising=False)  # all of it as a user would start it
    with serving(tmp_path / "data", tmp_path / "app.log") as fresh:
        visitor = visit(at=fresh)
        page = visitor.open("/")
        expect(page.get_by_label("Describe a scene")).to_be_focused(timeout=PATIENCE)
        page.keyboard.type("dawn over the sea, sun on the left")
        page.keyboard.press("Enter")
        save = page.get_by_role("link", name="Download MP4")
        save.wait_for(timeout=5 * PATIENCE)
        with page.expect_download() as download:
            save.click()
        assert download.value.suggested_filename == "dawn over the sea sun on the left.mp4"
        assert not visitor.errors


def test_refresh_and_second_tab_join_a_running_film(visit: Visit) -> None:
    first = visit()
    page = first.open("/create")
    canvas = generate(page, "a city at night under a starry sky", "4")
    wait_for(lambda: drawn(canvas) > 3)
    page.reload()
    wait_for(lambda: drawn(page.locator("canvas.picture")) > 3)
    second = visit()
    other = second.page
    other.goto(page.url)
    wait_for(lambda: drawn(other.locator("canvas.picture")) > 3)
    expect(other.locator(".strip .keyframe")).to_have_count(13)
    become(page, "hidden")
    page.wait_for_timeout(500)  # what was on its way is drawn by then
    hidden, shown = drawn(page.locator("canvas.picture")), drawn(other.locator("canvas.picture"))
    wait_for(lambda: drawn(other.locator("canvas.picture")) > shown + 5)
    assert drawn(page.locator("canvas.picture")) == hidden
    become(page, "visible")
    wait_for(lambda: drawn(page.locator("canvas.picture")) > hidden)
    other.get_by_role("button", name="Cancel").click()
    for tab in (page, other):
        expect(tab.get_by_text("You cancelled this film")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="New film").click()
    expect(page.get_by_role("button", name="Generate")).to_be_visible()
    assert not first.errors
    assert not second.errors


def test_an_engine_that_is_killed_comes_back_and_goes_on(visit: Visit, server: Server) -> None:
    visitor = visit()
    page = visitor.open("/create")
    canvas = generate(page, "snowy mountains at dusk", "2")
    wait_for(lambda: page.locator(".strip .keyframe[data-state=done]").count() > 1)
    for child in server.process.popen.children():
        if "serve" in child.cmdline():
            child.kill()
    expect(page.locator(".headline")).to_contain_text("has not answered for", timeout=PATIENCE)
    expect(page.locator(".eta")).to_be_empty()
    expect(page.locator(".headline")).not_to_contain_text("answered", timeout=PATIENCE)
    before = drawn(canvas)
    wait_for(lambda: page.locator("video").count() or drawn(canvas) > before)
    page.locator("video").wait_for()
    assert not visitor.errors


def test_the_engine_on_this_computer_is_stopped_and_started(visit: Visit, server: Server) -> None:
    def engines() -> list[psutil.Process]:
        children = server.process.popen.children()
        return [child for child in children if "serve" in child.cmdline()]

    visitor = visit()
    page = visitor.open("/create")
    generate(page, "snowy mountains at dusk", "2")
    wait_for(lambda: page.locator(".strip .keyframe[data-state=done]").count() > 1)
    other = visitor.page.context.new_page()
    other.goto(server.address + "/connection")
    other.get_by_role("button", name="Stop", exact=True).click()
    expect(other.get_by_text("● Stopped")).to_be_visible()
    assert not engines()
    expect(page.locator(".calm")).to_contain_text("is stopped")
    expect(page.locator(".eta")).to_be_empty()
    shoot(other, "connection-stopped")
    other.goto(server.address + "/create")
    expect(other.get_by_text("The engine on this computer is stopped")).to_be_visible()
    shoot(page, "stage-stopped")
    page.get_by_role("button", name="Start the engine on this computer").click()
    expect(page.locator(".calm")).to_be_empty()
    page.locator("video").wait_for()
    assert len(engines()) == 1
    assert not visitor.errors


def unfolded(page: Page, box: Locator) -> bool:
    """Click on a box with choices; tell whether they are there, which a page that scrolls hides."""
    box.click()
    page.wait_for_timeout(300)
    return page.get_by_role("option").count() > 0


def test_a_film_is_made_as_a_gif(visit: Visit) -> None:
    page = visit().open("/create")
    start_over(page)
    page.get_by_label("Scene 1").fill("dawn over the sea, sun on the left")
    page.get_by_label("Seconds").fill("1")
    page.get_by_label("Seconds").press("Enter")
    expect(page.get_by_text("for a film of 1 s")).to_be_visible()
    page.get_by_text("Advanced").click()
    page.wait_for_selector(SETTLED)
    formats = page.get_by_role("combobox", name="Format")
    page.mouse.move(1000, 600)
    page.mouse.wheel(0, 600)
    wait_for(lambda: unfolded(page, formats))
    page.get_by_role("option", name="GIF").click()
    page.wait_for_selector(SETTLED)
    page.get_by_role("button", name="Generate").click()
    image = page.locator(".player img")
    image.wait_for()
    wait_for(
        lambda: image.evaluate("i => i.complete && i.naturalWidth") == min(WIDTH, gif.MAX_SIDE)
    )


def test_another_engine_is_paired_by_its_link_and_forgotten(visit: Visit, tmp_path: Path) -> None:
    engine = ensure_local_engine(tmp_path / "other")
    page = visit().open("/connection")
    page.get_by_label("Pairing link").fill(engine.link)
    page.get_by_role("button", name="Pair", exact=True).click()
    name = engine.url.removeprefix("http://")
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Forget").click()
    expect(page.get_by_role("button", name="Forget")).to_have_count(0, timeout=PATIENCE)
    expect(page.get_by_text("Connected · used for new films")).to_be_visible(timeout=PATIENCE)


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_every_page_without_scrolling_sideways(path: str, visit: Visit) -> None:
    visitor = visit(390, 844)
    page = visitor.open(path)
    page.wait_for_timeout(500)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visitor.foreign == []


def test_a_phone_shows_the_stage_without_scrolling_sideways(visit: Visit) -> None:
    visitor = visit(390, 844)
    page = visitor.open("/create")
    canvas = generate(page, "a pine forest at night", "2")
    wait_for(lambda: drawn(canvas) > 2)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("You cancelled this film")).to_be_visible(timeout=PATIENCE)
    assert visitor.foreign == []


def test_what_the_user_typed_is_text_everywhere(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open("/create")
    prompt = '<img src=x onerror="window.pwned=1"> **dawn** :red[sea]'
    generate(page, prompt, "0.2")
    page.locator("video").wait_for()
    expect(page.get_by_role("heading", name=prompt)).to_be_visible()
    page.get_by_role("link", name="Library").click()
    short = prompt.removesuffix(" :red[sea]") + "…"
    expect(page.locator(".card .title", has_text="onerror")).to_have_text(short)
    page.wait_for_selector(SETTLED)
    assert page.evaluate("window.pwned") is None


WATCH_HEADLINES = """line => {
  window.headlines = [line.textContent];
  new MutationObserver(() => window.headlines.push(line.textContent))
    .observe(line, {childList: true, characterData: true, subtree: true});
}"""

# A busy machine may have painted the first before the page stands; then a later one counts.
MOST_PICTURES_OF_ONE_KEYFRAME = """canvas => new Promise(resolve => {
  const seen = {}; // of each keyframe the last picture of each step, so that no blend counts twice
  const look = () => {
    const {index = "0", step} = canvas.dataset;
    if (step) (seen[index] ??= {})[step] = canvas.toDataURL();
    const most = Math.max(0, ...Object.values(seen).map(of => new Set(Object.values(of)).size));
    if (most >= 5 || !canvas.isConnected || document.querySelector("video")) return resolve(most);
    setTimeout(look, 30);
  };
  look();
})"""
