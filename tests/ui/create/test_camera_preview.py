"""Camera moves by name, and their previews."""

import re

import pytest

from engine.film import camera
from engine.film.camera import OWN, PRESETS, REST, STILL, name_of
from engine.film.recipe import Camera
from ui.create.camera_preview import animation_style, preview


def test_every_preset_is_known_by_its_name_and_any_other_path_is_the_user_s_own() -> None:
    assert [name_of(move) for move in PRESETS.values()] == [*PRESETS]
    assert name_of(None) == STILL
    assert name_of(Camera(zoom=1.351)) == OWN


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_goes_somewhere(name: str) -> None:
    end = camera.pose_at(PRESETS[name], 1.0)
    assert camera.distance(camera.Move(before=REST, after=end), 1.0) > 0.03


def css(markup: str, stop: str) -> tuple[float, ...]:
    """Return the numbers of the whole picture's transform at a stop of the animation."""
    found = re.search(rf"[{{}}]{re.escape(stop)}%{{transform:scale\(([^}}]*)}}", markup)
    assert found
    return tuple(float(number) for number in re.findall(r"-?\d+\.\d+", found[1]))


def test_the_preview_follows_the_engine_s_own_path() -> None:
    move = Camera(zoom=2.0, pan_x=0.5, pan_y=0.25, roll=30)
    markup = animation_style("s1", move, 0.75)
    assert css(markup, "0.0") == (1.0, 0.0, 0.0, 0.0)
    assert css(markup, "100.0") == (2.0, 30.0, -50.0, 25.0)
    half = camera.pose_at(move, 0.5)
    assert css(markup, "50.0") == pytest.approx((half.zoom, half.roll, -25.0, 12.5), abs=1e-3)


def test_an_orbit_slants_the_ground_alone() -> None:
    markup = animation_style("s1", Camera(orbit=0.5), 1.0)
    assert "skewX(42.274deg)" in markup  # half a width over 0.55 of the height
    assert css(markup, "100.0") == (1.0, 0.0, 0.0, 0.0)


def test_a_still_scene_shows_its_picture_at_rest() -> None:
    markup = preview("s1", None, b"jpeg", 1.0, 4.0)
    assert "data:image/jpeg;base64,anBlZw==" in markup
    assert "@keyframes" not in markup


def test_a_preview_ends_by_itself_in_less_than_five_seconds() -> None:
    assert "animation-duration:4.50s" in preview("s1", Camera(zoom=2), b"", 1.0, 90.0)
