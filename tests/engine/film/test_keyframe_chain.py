"""Keyframes that begin from a picture: a camera's, a user's, and those after them."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from engine.film.camera import REST, Move, Pose
from engine.film.graph import KeyframeNode
from engine.film.keyframe_chain import BORDER, CHANGE, Pin
from engine.film.plan import MakeStep, Plan
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.film.stages import KEYFRAME
from tests.stand_ins.plans import worked

PUSH = {"zoom": 2.0, "easing": "linear"}
STILL = "a" * 64


def film(*scenes: dict[str, Any], **facts: Any) -> Recipe:
    given = [{"prompt": f"scene {index}", **scene} for index, scene in enumerate(scenes)]
    return parse_recipe({"scenes": given, **facts})


def in_order(plan: Plan) -> list[tuple[float, KeyframeNode]]:
    return sorted(zip(plan.times, plan.keyframes, strict=True), key=lambda found: found[0])


def test_a_camera_s_keyframes_are_made_of_the_one_before() -> None:
    plan, _ = worked(film({"camera": PUSH}))
    keyframes = [node for _, node in in_order(plan)]
    assert keyframes[0].source == ""
    assert keyframes[0].warp is None
    for before, after in itertools.pairwise(keyframes):
        assert after.source == before.name
        assert after.warp is not None
    moves = [node.warp for node in keyframes[1:] if node.warp]
    assert moves[0].before == REST
    assert all(one.after == two.before for one, two in itertools.pairwise(moves))


def test_segments_know_how_the_camera_moves() -> None:
    plan, _ = worked(film({"camera": {"pan_x": 0.5}}))
    way = 0.0
    for segment in plan.segments:
        assert segment.move
        assert segment.move.before.pan_x == pytest.approx(way, abs=1e-6)
        way = segment.move.after.pan_x
        assert [*segment.positions] == sorted(segment.positions)
        assert len(segment.positions) == segment.frames - 1
    assert way == pytest.approx(0.5, abs=1e-2)
    first = plan.segments[0].positions
    assert first[0] < 1 / 16  # it starts gently: evenly that would be 1 / 8


def test_each_frame_of_an_eased_path_is_where_the_path_is() -> None:
    """The film's frames together, not segment by segment: no step in speed at a keyframe."""
    plan, _ = worked(film({"camera": {"pan_x": 1.0}, "seconds": 4}))
    pans = [
        segment.move.at(place).pan_x
        for segment in plan.segments
        if segment.move
        for place in (0.0, *segment.positions)
    ]
    progress = [frame / 96 for frame in range(95)]
    assert pans == pytest.approx([p * p * (3 - 2 * p) for p in progress], abs=1e-5)


def test_noise_differs_from_keyframe_to_keyframe() -> None:
    plan, _ = worked(film({"camera": PUSH}, seed=7))
    seeds = [node.noise.first for node in plan.keyframes]
    assert len({*seeds}) == len(seeds)


def test_a_retake_counts_and_makes_what_follows_anew() -> None:
    plan, _ = worked(film({"camera": PUSH}))
    again, _ = worked(film({"camera": PUSH}, retakes=[{"seconds": plan.times[2], "seed": 99}]))
    same = [a.name == b.name for a, b in zip(plan.keyframes, again.keyframes, strict=True)]
    assert same == [True, True, *[False] * (len(same) - 2)]
    assert again.keyframes[2].noise.first == 99


def test_the_further_the_camera_moves_the_more_is_painted() -> None:
    slow, fast = (
        worked(film({"camera": {"pan_x": pan, "easing": "linear"}}))[0].keyframes[1]
        for pan in (0.1, 3.0)
    )
    assert 0 < slow.strength < 0.05 < 0.3 < fast.strength
    assert slow.border == BORDER


def test_where_prompts_change_more_is_painted() -> None:
    plan, _ = worked(film({"camera": PUSH, "seconds": 4}, {"camera": PUSH, "seconds": 4}))
    changing = [node for node in plan.keyframes[1:] if 0 < node.prompt.position < 1]
    assert len(changing) > 5
    assert min(node.strength for node in changing) == CHANGE


def test_colours_are_those_of_a_keyframe_that_still_shows_a_quarter() -> None:
    plan, _ = worked(film({"camera": {"pan_x": 2.0, "easing": "linear"}}))
    names = [node.name for node in plan.keyframes]
    anchors = [names.index(node.anchor) for node in plan.keyframes[1:]]
    assert anchors == sorted(anchors)
    assert anchors[0] == 0
    assert anchors[-1] > 0
    for node in plan.keyframes[1:]:
        assert node.since
        assert abs(node.since.after.pan_x - node.since.before.pan_x) <= 0.82


def test_colours_are_not_held_against_a_prompt_that_changes() -> None:
    scenes = {"camera": PUSH, "seconds": 6}, {"camera": PUSH, "seconds": 2}
    plan, _ = worked(film(*scenes))
    by_name = {node.name: node for node in plan.keyframes}
    held = [node for node in plan.keyframes if node.anchor]
    assert len(held) > 5
    assert all(by_name[node.anchor].prompt == node.prompt for node in held)
    changing = [node for node in plan.keyframes[1:] if 0 < node.prompt.position < 1]
    assert not any(node.anchor for node in changing)


def test_cameras_begin_and_end_with_their_scenes() -> None:
    """Each scene's path is its own, and the keyframe between two belongs to both."""
    plan, _ = worked(film({"camera": PUSH}, {"camera": {"pan_x": 0.5}}, {"seconds": 3}))
    assert {4.0, 8.0} <= {*plan.times}
    moves = [segment.move for segment in plan.segments]
    assert [move for move in moves if move][-1].after == Pose(pan_x=0.5)
    assert moves[-1] is None


def test_a_scene_after_a_camera_leaves_what_the_camera_has_come_to() -> None:
    plan, _ = worked(film({"camera": PUSH}, {"seconds": 4}))
    end = plan.keyframes[plan.times.index(4.0)]
    after = [(time, node) for time, node in in_order(plan) if time > 4.0]
    over = [node for _, node in after if node.source]
    assert over
    assert {node.source for node in over} == {end.name}
    strengths = [node.strength for _, node in after]
    assert strengths == sorted(strengths)
    assert strengths[-1] > 0.9


def test_after_a_cut_nothing_of_a_camera_s_scene_is_left() -> None:
    plan, _ = worked(film({"camera": PUSH}, {"seconds": 4}, motion="cut"))
    assert not any(node.source for time, node in in_order(plan) if time >= 4.0)


def test_a_scene_begins_from_the_user_s_picture_and_leaves_it() -> None:
    plan, _ = worked(film({"start_image": STILL, "strength": 0.4}))
    keyframes = [node for _, node in in_order(plan)]
    assert keyframes[0].source == STILL
    assert keyframes[0].strength == 0.4
    strengths = [node.strength for node in keyframes]
    assert strengths == sorted(strengths)
    assert strengths[-1] > 0.95
    assert STILL in plan.names


def test_the_scene_before_comes_to_a_picture_only_if_it_melts_into_it() -> None:
    for motion, expected in (("morph", True), ("cut", False)):
        scenes = {"seconds": 4}, {"seconds": 4, "start_image": STILL}
        plan, _ = worked(film(*scenes, motion=motion))
        before = [node for time, node in in_order(plan) if 2 < time < 3.9]
        assert any(node.source == STILL for node in before) == expected
        first = [node for time, node in in_order(plan) if time == 4.0]
        assert [node.source for node in first] == [STILL]


def test_a_camera_begins_from_the_user_s_picture() -> None:
    plan, _ = worked(film({"start_image": STILL, "camera": PUSH}))
    assert plan.keyframes[0].source == STILL
    assert plan.keyframes[1].source == plan.keyframes[0].name


def test_a_loop_of_one_camera_goes_there_and_back() -> None:
    plan, _ = worked(film({"camera": PUSH}, loop=True))
    moves = [segment.move for segment in plan.segments if segment.move]
    assert moves[0].before == REST
    zooms = [move.after.zoom for move in moves]
    assert max(zooms) == pytest.approx(2.0, abs=0.01)
    assert zooms[-1] < 1.5
    assert zooms.index(max(zooms)) < len(zooms) - 2


@pytest.mark.parametrize("seed", range(8))
def test_no_keyframe_is_painted_before_what_it_is_made_of(seed: int) -> None:
    """Whoever paints: several workers take what is ready in any order."""
    scenes = {"camera": PUSH}, {"seconds": 2}, {"camera": PUSH, "start_image": STILL}
    made = film(*scenes, anchor_attention=True)
    plan, steps = worked(made, mix=random.Random(seed))
    painted = {UNSET, "", STILL}
    for step in steps:
        if isinstance(step, MakeStep) and step.stage is KEYFRAME:
            node = step.node
            assert {node.source, node.anchor, node.subject} <= painted
            painted.add(step.node.name)
    assert plan.names == worked(made)[0].names


@given(
    strength=st.floats(0, 1),
    before=st.floats(0.1, 9),
    after=st.floats(0.1, 9),
    seconds=st.floats(-20, 20),
)
def test_a_pin_is_strongest_at_its_time(
    strength: float, before: float, after: float, seconds: float
) -> None:
    pin = Pin(seconds=0, source=STILL, strength=strength, before=before, after=after)
    assert strength - 1e-6 <= pin.strength_at(seconds) <= 1
    assert pin.strength_at(0) == pytest.approx(strength, abs=1e-6)
    assert pin.strength_at(after) == pin.strength_at(-before) == 1


def test_poses_survive_the_wire() -> None:
    move = Move(before=REST, after=Pose(zoom=1.5, roll=3.0))
    assert move.at(1.0) == move.after
