"""The storyboard in Chromium: written, ordered, priced, made, played meanwhile, brought back."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, PHONE, SETTLED, WIDTH, Visitor, shoot
from tests.browser.test_axe import assert_no_violation
from tests.browser.test_studio import start_over, wait_for
from tests.ui.storage.test_start_images import a_file, halves

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Visit = Callable[..., Visitor]
DAWN, NIGHT = "dawn over the sea, sun on the left", "a city at night under a starry sky"
FOREST = "fog over a pine forest at dawn"


def write(page: Page, scene: int, prompt: str) -> None:
    """Write a scene as one does who uses no mouse."""
    area = page.get_by_label(f"Scene {scene}")
    area.fill(prompt)
    area.blur()
    page.wait_for_selector(SETTLED)


def press(page: Page, name: str, which: int = 0) -> None:
    """Press a button by the keyboard."""
    button = page.get_by_role("button", name=name, exact=True).nth(which)
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(SETTLED)


def choose(page: Page, name: str) -> None:
    """Choose one of several by the keyboard."""
    radio = page.get_by_role("radio", name=name, exact=True)
    radio.focus()
    page.keyboard.press("Enter")
    expect(radio).to_be_checked()
    page.wait_for_selector(SETTLED)


def prompts(page: Page) -> list[str]:
    areas = page.get_by_label(re.compile(r"^Scene \d+$"))
    found: list[str] = areas.evaluate_all("areas => areas.map(area => area.value)")
    return found


def draft(page: Page, *scenes: str) -> None:
    """Write a storyboard of scenes that last a second each."""
    start_over(page)
    for number, prompt in enumerate(scenes, start=1):
        if number > 1:
            press(page, "Add a scene")
            wait_for(lambda number=number: len(prompts(page)) == number)
        write(page, number, prompt)
    for index in range(len(scenes)):
        page.get_by_label("Seconds").nth(index).fill("1.0")
        page.get_by_label("Seconds").nth(index).press("Enter")
    expect(page.get_by_text(re.compile(rf"film of {len(scenes)} s"))).to_be_visible(
        timeout=PATIENCE
    )


def play_while_it_rests(page: Page) -> None:
    """Pause a film that is being made, play what is finished of it, and let it go on."""
    watch = page.get_by_role("button", name="Play what is finished")
    watch.wait_for()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(".headline")).to_have_text(re.compile("^Paused"), timeout=PATIENCE)
    shoot(page, "create-paused")
    assert_no_violation(page)
    page.reload()
    watch.click()  # the film rests, so it cannot end meanwhile
    film = page.locator("video.partial-film")
    wait_for(lambda: film.evaluate("v => v.currentTime > 0 && v.videoWidth") == WIDTH)
    shoot(page, "create-partial-film")
    page.get_by_role("button", name="Resume").click()


def test_a_storyboard_is_put_in_order_kept_and_priced(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open("/create")
    draft(page, NIGHT, DAWN)
    press(page, "Earlier", 1)
    wait_for(lambda: prompts(page) == [DAWN, NIGHT])
    page.reload()
    wait_for(lambda: prompts(page) == [DAWN, NIGHT])
    second = visit(390, 844).open("/create")
    wait_for(lambda: prompts(second) == [DAWN, NIGHT])
    shoot(second, "create-phone-storyboard")
    assert second.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    expect(page.locator("dl.quote")).to_contain_text(re.compile(r"about \d+ s"))
    shoot(page, "create-storyboard")
    page.get_by_text("Advanced").click()
    page.get_by_role("textbox", name="Negative prompt").wait_for()
    page.wait_for_timeout(500)  # what unfolds has done so
    assert_no_violation(page)
    assert not visitor.errors


def test_cameras_pictures_and_the_lock_need_no_mouse_and_are_kept(
    visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "still.png").write_bytes(a_file(halves()))
    visitor = visit()
    page = visitor.open("/create")
    draft(page, DAWN, NIGHT)
    press(page, "Camera")
    choose(page, "Slow push in")
    zoom = page.get_by_role("spinbutton", name="Zoom")
    expect(zoom).to_have_value("1.35")
    zoom.press("ArrowUp")
    zoom.press("Enter")
    expect(page.get_by_role("radio", name="Custom move")).to_be_checked()
    expect(zoom).to_be_focused()
    shoot(page, "create-camera")
    assert_no_violation(page)
    page.keyboard.press("Escape")
    press(page, "Picture", 1)
    popover = page.get_by_test_id("stPopoverBody")
    (tmp_path / "words.png").write_bytes(b"no picture")
    popover.locator("input[type=file]").set_input_files(tmp_path / "words.png")
    popover.get_by_text("This file cannot be read as a picture").wait_for()
    popover.locator("input[type=file]").set_input_files(tmp_path / "still.png")
    page.get_by_text("How much of the picture may change").wait_for()
    shoot(page, "create-picture")
    assert_no_violation(page)
    page.keyboard.press("Escape")
    page.get_by_role("switch", name="Loop").press("Space")
    choose(page, "Cut")
    page.get_by_role("switch", name="Keep the layout").press("Space")
    press(page, "Lock seed")
    page.get_by_role("button", name="Unlock seed").wait_for()  # so all before it has arrived, too
    page.reload()
    for window in (page, visit(**PHONE).open("/create")):
        expect(window.get_by_text(re.compile("^Custom move"))).to_be_visible()
        expect(window.locator(".move")).to_have_count(2)
        for name in ("Keep the layout", "Loop"):
            expect(window.get_by_role("switch", name=name)).to_be_checked()
    press(window, "Camera")
    expect(window.get_by_role("spinbutton", name="Zoom")).to_have_value("1.40")
    window.wait_for_timeout(500)  # what unfolds has done so
    shoot(window, "create-camera-phone")
    assert_no_violation(window)
    assert window.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    assert not visitor.errors


def test_a_film_plays_while_it_is_made_and_becomes_a_storyboard_again(
    visit: Visit, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.open("/create")
    draft(page, DAWN, NIGHT)
    press(page, "Generate")
    play_while_it_rests(page)
    page.locator(".player video").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download MP4").click()
    download.value.save_as(tmp_path / "film.mp4")
    details = visit(**PHONE).open(
        "/library" + page.url[page.url.index("?") :].replace("job", "film")
    )
    expect(details.get_by_text(re.compile("^(Steady|Uneven pace)"))).to_be_visible()
    assert_no_violation(details)

    page.get_by_role("button", name="New film").click()
    start_over(page)
    page.get_by_text("Details", exact=True).click()
    expect(page.get_by_text("Based on your last")).to_be_visible(timeout=PATIENCE)
    page.get_by_text("Start from a finished film").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "film.mp4")
    wait_for(lambda: prompts(page) == [DAWN, NIGHT])
    expect(page.get_by_text("keyframes are there")).to_be_visible(timeout=PATIENCE)
    assert not visitor.errors
    assert visitor.foreign == []


def test_at_the_gate_a_scene_is_repainted_and_the_rest_is_kept(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open("/create")
    draft(page, DAWN, NIGHT, FOREST)
    press(page, "Quick look")
    page.get_by_text("Show me the keyframes first").click()
    page.wait_for_selector(SETTLED)
    press(page, "Generate")
    heroes = page.locator("[class*=st-key-glass_of_scene_] img.keyframe")
    expect(heroes).to_have_count(3, timeout=PATIENCE)
    wait_for(lambda: heroes.evaluate_all("all => all.every(i => i.complete && i.naturalWidth)"))
    shoot(page, "create-gate")
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollHeight < 1300")
    assert_no_violation(page)
    count = int(re.findall(r"\d+", page.locator(".st-key-reroll-all").inner_text())[0])

    page.get_by_role("button", name="Lock", exact=True).nth(2).click()
    expect(page.get_by_role("button", name="Unlock", exact=True)).to_have_count(1)
    button = page.locator(".st-key-scene-repaint-0").get_by_role("button", name="Repaint")
    expect(button).to_have_count(1)  # what the page showed before has gone
    said = int(re.findall(r"\d+", button.inner_text())[0])
    assert 0 < said < count
    job = page.url
    button.click()
    wait_for(lambda: heroes.count() == 3 and page.url != job)
    new = page.get_by_text(re.compile(r"s · \d+ keyframes?.* · \d+ new"))
    expect(new).to_have_count(1, timeout=PATIENCE)
    assert f"{said} new" in new.inner_text()  # what the button said
    page.reload()
    expect(new).to_have_count(1, timeout=PATIENCE)

    page.locator(".st-key-scene-open-1").get_by_role("button").click()
    cards = page.locator(".st-key-keyframes img.keyframe")
    wait_for(lambda: 1 < cards.count() < count)
    shoot(page, "create-gate-open")
    assert_no_violation(page)
    phone = visit(390, 844)
    phone.page.goto(page.url)
    expect(phone.page.get_by_role("button", name="Hide them")).to_be_visible(timeout=PATIENCE)
    assert phone.page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth")
    shoot(phone.page, "create-gate-phone")
    page.get_by_role("button", name="Make the film").click()
    page.locator(".player video").wait_for()
    assert not visitor.errors
