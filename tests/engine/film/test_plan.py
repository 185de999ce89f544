import itertools
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BlankError
from engine.film.camera import REST
from engine.film.graph import KeyframeNode, prompt_at
from engine.film.plan import MakeStep, MeasureStep, Plan, grown, most_keyframes
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.film.stages import ENLARGED, KEYFRAME, SEGMENT
from engine.film.timeline import TOO_WIDE, stretches
from tests.stand_ins.plans import worked

PATHS = [{}, {"camera": {"zoom": 1.5}}, {"camera": {"pan_x": 2.0}}, {"start_image": "a" * 64}]
MOTIONS = st.builds(
    lambda *both: both[0] | both[1],
    st.sampled_from([{}, {"motion": "morph"}, {"motion": "cut"}, {"motion": "fade"}]),
    st.sampled_from(PATHS),
)
RECIPES = st.builds(
    lambda scenes, **facts: parse_recipe(
        {
            "scenes": [
                {"prompt": str(index), "seconds": seconds, **own}
                for index, (seconds, own) in enumerate(scenes)
            ],
            **facts,
        }
    ),
    st.lists(st.tuples(st.floats(0.1, 3), MOTIONS), min_size=1, max_size=5),
    fps=st.integers(1, 60),
    interpolation_factor=st.integers(1, 64),
    motion=st.sampled_from(["morph", "cut", "fade"]),
    spacing=st.sampled_from(["adaptive", "even"]),
    loop=st.booleans(),
    upscale=st.sampled_from([1, 2]),
)


def recipe(*prompts: str, seconds: float = 4.0, **facts: Any) -> Recipe:
    scenes = [{"prompt": prompt, "seconds": seconds} for prompt in prompts]
    return parse_recipe({"scenes": scenes, **facts})


def at_random(seed: int) -> Any:
    """Return distances that two keyframes determine, wherever and whenever they are measured."""
    return lambda a, b: random.Random(f"{seed} {a.name} {b.name}").random() / 3


def late(first: KeyframeNode, second: KeyframeNode) -> float:
    """Everything happens while prompts change over."""
    return abs(second.prompt.position - first.prompt.position)


@settings(deadline=None, max_examples=40)
@given(made=RECIPES, seed=st.integers(0, 9))
def test_every_frame_occurs_once(made: Recipe, seed: int) -> None:
    plan, _ = worked(made, distance=at_random(seed))
    assert sum(segment.length for segment in plan.segments) == made.frames
    assert all(segment.frames > 0 for segment in plan.segments)
    assert len(plan.ends) == len(plan.segments)
    first, last = plan.ends[0][0], plan.ends[-1][1]
    assert plan.times[first] == 0
    assert all(a[1] == b[0] for a, b in itertools.pairwise(plan.ends))
    if made.comes_round:
        assert last == first
    else:
        assert plan.times[last] == round((made.frames - 1) / made.fps, 6)


@settings(deadline=None, max_examples=40)
@given(made=RECIPES, seed=st.integers(0, 9))
def test_a_plan_never_outgrows_what_it_announced(made: Recipe, seed: int) -> None:
    before = Plan(made, model="m", interpolator="i")
    keyframes = len(before.keyframes) + before.more_keyframes
    segments = len(before.segments) + before.more_segments
    plan, _ = worked(made, distance=at_random(seed))
    assert len(plan.keyframes) <= keyframes == most_keyframes(made)
    assert len(plan.segments) <= segments
    assert (plan.more_keyframes, plan.more_segments) == (0, 0)


@settings(deadline=None, max_examples=40)
@given(made=RECIPES, seed=st.integers(0, 9))
def test_the_order_of_answers_changes_nothing(made: Recipe, seed: int) -> None:
    distance, blank = at_random(seed), lambda index: index % 4 == 1 + seed % 3
    one, _ = worked(made, distance=distance, blank=blank)
    two, _ = worked(made, distance=distance, blank=blank, mix=random.Random(seed))
    assert one.names == two.names
    assert (one.times, one.ends, one.gaps) == (two.times, two.ends, two.gaps)


@settings(deadline=None, max_examples=40)
@given(made=RECIPES, seed=st.integers(0, 9))
def test_what_is_asked_for_can_be_done(made: Recipe, seed: int) -> None:
    plan, steps = worked(made, distance=at_random(seed), blank=lambda index: index % 3 == 1)
    there: set[str] = set()
    for step in steps:
        if isinstance(step, MakeStep) and step.stage is KEYFRAME:
            there.add(step.node.name)
        elif isinstance(step, MeasureStep):
            assert {step.first, step.second} <= there
        elif step.stage in (ENLARGED, SEGMENT):
            assert there.issuperset(step.node.inputs)
            there.add(step.node.name)
    assert sum(isinstance(step, MakeStep) and step.stage is SEGMENT for step in steps) == len(
        plan.segments
    )


def test_even_spacing_asks_for_no_distance() -> None:
    plan, steps = worked(recipe("a", "b", spacing="even"))
    assert not any(isinstance(step, MeasureStep) for step in steps)
    assert {round(b - a, 5) for a, b in itertools.pairwise(plan.times[:-1])} == {0.33333}
    kinds = [step.stage.name for step in steps if isinstance(step, MakeStep)]
    assert kinds[:5] == ["keyframe", "keyframe", "segment", "keyframe", "segment"]


def test_keyframes_gather_where_the_picture_changes() -> None:
    made = recipe("a", "b", "c", "d")
    plan, _ = worked(made, distance=late)
    even = Plan(msgspec.structs.replace(made, spacing="even"), model="m", interpolator="i")
    assert len(plan.keyframes) <= len(even.keyframes)
    mixed = [index for index, node in enumerate(plan.keyframes) if node.prompt.position]
    assert len(mixed) > sum(node.prompt.position > 0 for node in even.keyframes)


def test_what_changes_little_takes_few_frames() -> None:
    plan, _ = worked(recipe("a", "b"), distance=lambda a, b: 0.2 if late(a, b) else 0.02)
    slow = [
        segment.frames
        for segment, (first, second) in zip(plan.segments, plan.ends, strict=True)
        if late(plan.keyframes[first], plan.keyframes[second])
    ]
    others = [segment.frames for segment in plan.segments]
    assert sum(slow) / len(slow) > 2 * (sum(others) - sum(slow)) / (len(others) - len(slow))


def test_where_nothing_changes_no_budget_is_spent() -> None:
    plan, _ = worked(recipe("a"), distance=lambda a, b: 0.0)
    assert len(plan.keyframes) < most_keyframes(recipe("a"))
    assert sum(segment.length for segment in plan.segments) == recipe("a").frames


def test_a_gap_that_stays_too_wide_is_faded_on_purpose() -> None:
    border = 2.2  # seconds at which everything changes at once

    def phase(first: KeyframeNode, second: KeyframeNode) -> float:
        sides = [node.noise.position * 8 < border for node in (first, second)]
        return 2 * TOO_WIDE if sides[0] != sides[1] else 0.01

    plan, _ = worked(recipe("a"), distance=phase)
    faded = [i for i, segment in enumerate(plan.segments) if segment.bridge == "fade"]
    assert len(faded) == 1
    first, second = (plan.times[index] for index in plan.ends[faded[0]])
    assert first < border < second
    assert second - first < 0.1


def test_a_keyframe_is_enlarged_and_shown_before_the_next_one_is_painted() -> None:
    _, steps = worked(recipe("a", "b", spacing="even", upscale=2))
    kinds = [step.stage.name for step in steps if isinstance(step, MakeStep)]
    keyframe = ["keyframe", "enlarged"]
    assert kinds[:7] == [*keyframe, *keyframe, "segment", *keyframe]
    assert kinds.count("enlarged") == kinds.count("keyframe")


def test_what_is_seen_in_place_of_a_blank_keyframe_is_enlarged() -> None:
    made = recipe("a", spacing="even", upscale=2)
    plan, _ = worked(made, blank=lambda index: index in (0, 1))
    names = [node.name for node in plan.nodes(ENLARGED)]
    assert plan.segments[0].enlarged == (names[2], names[2])


def test_scenes_are_drawn_while_later_ones_are_painted() -> None:
    _, steps = worked(recipe(*"abcd"))
    kinds = [step.stage.name for step in steps if isinstance(step, MakeStep)]
    assert kinds.index("segment") < len(steps) / 2


@pytest.mark.parametrize(("motion", "bridge", "frames"), [("cut", "cut", 1), ("fade", "fade", 24)])
def test_scenes_are_joined_by_their_motions(motion: str, bridge: str, frames: int) -> None:
    plan, _ = worked(recipe("a", "b", motion=motion))
    joints = [s for s in plan.segments if s.bridge == bridge]
    assert [joint.frames for joint in joints] == [frames]
    assert all(node.prompt.position == 0 for node in plan.keyframes)


def test_a_film_that_comes_round_needs_no_other_keyframe_for_its_end() -> None:
    plan, _ = worked(recipe("a", "b", loop=True), distance=late)
    assert plan.ends[-1][1] == plan.ends[0][0] == 0
    assert not any(segment.closing for segment in plan.segments)


def test_a_film_that_comes_round_passes_all_its_scenes_at_one_pace() -> None:
    """The way back, across the seam, is one of three."""
    made = recipe("a", "b", "c", loop=True)
    assert [stretch.last - stretch.first for stretch in stretches(made)] == [96, 96, 96]
    mixes = [prompt_at(made, frame / made.fps) for frame in range(made.frames)]
    ways = itertools.groupby(mixes, key=lambda mix: (mix.first, mix.second))
    mixed = {way: [mix.position for mix in group] for way, group in ways if way[0] != way[1]}
    assert [*mixed] == [("a", "b"), ("b", "c"), ("c", "a")]
    assert mixed["a", "b"] == mixed["b", "c"] == mixed["c", "a"]


def test_a_film_that_comes_round_is_the_same_wherever_it_begins() -> None:
    lengths = (2.0, 4.0, 6.0)
    ways = []
    for turn in range(3):
        scenes = [{"prompt": str(one), "seconds": one} for one in lengths[turn:] + lengths[:turn]]
        made = parse_recipe({"scenes": scenes, "loop": True})
        ways.append([stretch.last - stretch.first for stretch in stretches(made)])
    assert ways == [[72, 120, 96], [120, 96, 72], [96, 72, 120]]


def test_a_camera_in_the_first_scene_begins_with_the_film() -> None:
    scenes = [{"prompt": "a", "camera": {"zoom": 2.0}}, {"prompt": "b"}]
    plan, _ = worked(parse_recipe({"scenes": scenes, "loop": True}))
    assert plan.segments[0].move
    assert plan.segments[0].move.before == REST
    assert plan.ends[-1][1] == 0


def test_keyframes_may_be_where_they_were() -> None:
    made = recipe("a", "b")
    plan, _ = worked(made, distance=late)
    fixed = msgspec.structs.replace(made, keyframes=tuple(sorted(plan.times)))
    again, _ = worked(fixed, distance=lambda a, b: 0.3)
    assert sorted(again.times) == sorted(plan.times)
    assert {node.name for node in again.keyframes} == {node.name for node in plan.keyframes}


def test_known_distances_predict_the_plan() -> None:
    made = recipe("a", "b")
    plan, _ = worked(made, distance=late)
    names = [node.name for node in plan.keyframes]
    distances = {(names[a], names[b]): distance for a, b, distance in plan.gaps}
    fresh = [Plan(made, model="m@1", interpolator="i@1") for _ in range(2)]
    assert grown(fresh[0], distances).names == plan.names
    some = dict([*distances.items()][:-1])
    assert len(grown(fresh[1], some).segments) < len(plan.segments)


def test_the_keyframe_before_a_blank_one_is_held() -> None:
    made = recipe("a", spacing="even")
    plan, _ = worked(made, blank=lambda index: index in (0, 1, 4, 5))
    names = [node.name for node in plan.keyframes]
    seen = [(names.index(segment.first), names.index(segment.second)) for segment in plan.segments]
    assert seen[:7] == [(2, 2), (2, 2), (2, 3), (3, 3), (3, 3), (3, 6), (6, 7)]


def test_no_keyframe_is_held_across_a_cut_if_it_can_be_helped() -> None:
    made = recipe("a", "b", motion="cut", spacing="even")
    first = next(i for i, node in enumerate(worked(made)[0].keyframes) if node.prompt.first == "b")
    plan, _ = worked(made, blank=lambda index: index == first)
    assert plan.segments[first].first == plan.keyframes[first + 1].name
    plan, _ = worked(made, blank=lambda index: index >= first)
    assert plan.segments[first].first == plan.keyframes[first - 1].name


@pytest.mark.parametrize("spacing", ["adaptive", "even"])
def test_a_film_of_blanks_is_none(spacing: str) -> None:
    with pytest.raises(BlankError):
        worked(recipe("a", "b", spacing=spacing), blank=lambda index: True)
