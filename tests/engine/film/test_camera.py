"""Where cameras go, and what that does to points of a picture."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.film.camera import HORIZON, REST, Move, Pose, between, carry, distance, overlap, pose_at
from engine.film.recipe import Camera

ASPECT = 0.75
poses = st.builds(
    Pose,
    zoom=st.floats(0.3, 3),
    pan_x=st.floats(-2, 2),
    pan_y=st.floats(-1, 1),
    roll=st.floats(-90, 90),
    orbit=st.floats(-1, 1),
)
places = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4))


@given(places, poses, poses)
def test_there_and_back_is_where_one_was(place: tuple[float, float], one: Pose, two: Pose) -> None:
    there = carry(*place, one, two, ASPECT)
    assert carry(*there, two, one, ASPECT) == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize(
    ("camera", "place", "expected"),
    [
        (Camera(zoom=2), (0.1, -0.2), (0.2, -0.4)),
        (Camera(pan_x=0.25), (0.1, 0.0), (-0.15, 0.0)),  # to the right: the picture goes left
        (Camera(pan_y=0.5), (0.0, 0.0), (0.0, 0.5 * ASPECT)),  # up: the picture goes down
        (Camera(roll=90), (0.2, 0.0), (0.0, 0.2)),  # clockwise, y is downwards
        (Camera(orbit=0.4), (0.1, ASPECT / 2), (0.5, ASPECT / 2)),  # the nearest ground
        (Camera(orbit=0.4), (0.1, -0.2), (0.1, -0.2)),  # the sky stays
    ],
)
def test_presets_move_points_as_they_are_named(
    camera: Camera, place: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert carry(*place, REST, pose_at(camera, 1.0), ASPECT) == pytest.approx(expected)


def test_the_horizon_itself_rests_while_the_camera_orbits() -> None:
    place = 0.2, (HORIZON - 0.5) * ASPECT
    assert carry(*place, REST, Pose(orbit=1.0), ASPECT) == pytest.approx(place)


def test_a_path_begins_at_rest_and_ends_at_its_pose() -> None:
    camera = Camera(zoom=2, pan_x=1, roll=10)
    assert pose_at(camera, 0.0) == REST
    assert pose_at(camera, 1.0) == Pose(zoom=2.0, pan_x=1.0, roll=10.0)


def test_a_smooth_path_starts_and_stops_gently_and_a_linear_one_does_not() -> None:
    smooth, linear = Camera(pan_x=1), Camera(pan_x=1, easing="linear")
    assert pose_at(smooth, 0.1).pan_x < 0.05
    assert pose_at(smooth, 0.9).pan_x > 0.95
    assert pose_at(linear, 0.1).pan_x == pytest.approx(0.1)


def test_a_zoom_grows_by_equal_factors() -> None:
    zooms = [between(REST, Pose(zoom=4.0), step / 4).zoom for step in range(5)]
    factors = [b / a for a, b in itertools.pairwise(zooms)]
    assert factors == pytest.approx([math.sqrt(2)] * 4)


def test_what_comes_into_view_is_counted() -> None:
    pan = Move(before=REST, after=Pose(pan_x=0.5))
    assert overlap(pan.after, pan.before, ASPECT) == pytest.approx(0.5, abs=0.12)
    assert distance(pan, ASPECT) == pytest.approx(0.5)
    assert overlap(Pose(zoom=1.5), REST, ASPECT) == 1
    assert overlap(Pose(pan_x=2.0), REST, ASPECT) == 0
    assert overlap(REST, REST, ASPECT) == 1
