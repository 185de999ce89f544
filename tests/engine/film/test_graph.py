import itertools
from typing import Any

import pytest
from msgspec import UNSET, structs

from engine.film import graph, timeline
from engine.film.graph import BATCHES, Blend, keyframe, prompt_at
from engine.film.plan import Plan
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.film.stages import ENLARGED, POSTER, SEGMENT, SOUNDTRACK


def planned(*prompts: str, seconds: float = 2.0, **settings: Any) -> Plan:
    """Return the plan of an even film, which is known at once."""
    return plan(recipe(*prompts, seconds=seconds, **{"spacing": "even", **settings}))


def plan(made: Recipe, model: str = "m@1", batch: int = 1) -> Plan:
    return Plan(made, model=model, interpolator="i@1", batch=batch)


def recipe(*prompts: str, seconds: float = 2.0, **settings: Any) -> Recipe:
    scenes = [{"prompt": prompt, "seconds": seconds} for prompt in prompts]
    return parse_recipe({"scenes": scenes, **settings})


def test_the_same_recipe_has_the_same_names() -> None:
    assert planned("a", "b").names == planned("a", "b").names
    assert planned("a", "b").film.name == planned("a", "b").film.name


def test_names_are_stable_from_release_to_release() -> None:
    # Stores outlive releases: change this value only together with what nodes mean.
    assert planned("a").keyframes[0].name[:16] == "959d3cae39d57eae"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"width": 512},
        {"num_inference_steps": 7},
        {"guidance_scale": 2},
        {"negative_prompt": "x"},
        {"scheduler": "ddim"},
    ],
)
def test_what_determines_a_keyframe_changes_its_name(change: dict[str, Any]) -> None:
    before, after = planned("a"), planned("a", **change)
    assert all(a.name != b.name for a, b in zip(before.keyframes, after.keyframes, strict=True))


def test_other_weights_make_other_keyframes() -> None:
    one = plan(recipe("a"), model="m@1")
    two = plan(recipe("a"), model="m@2")
    assert not {k.name for k in one.keyframes} & {k.name for k in two.keyframes}


def test_the_format_changes_the_film_alone() -> None:
    mp4, gif = planned("a", "b"), planned("a", "b", format="gif")
    assert mp4.segments == gif.segments
    assert mp4.film.name != gif.film.name


def test_changing_the_second_prompt_keeps_the_first_scene() -> None:
    before, after = planned("a", "b"), planned("a", "c")
    kept = {k.name for k in before.keyframes} & {k.name for k in after.keyframes}
    assert 4 <= len(kept) < len(before.keyframes)
    assert before.segments[0] == after.segments[0]
    assert before.segments[-1] != after.segments[-1]


def test_a_scene_is_purely_itself_away_from_its_borders() -> None:
    made = recipe("a", "b")
    assert prompt_at(made, 0.0).first == "a"
    assert prompt_at(made, 1.0).position == 0
    middle = prompt_at(made, 2.0)
    assert (middle.first, middle.second, middle.position) == ("a", "b", 0.5)
    assert prompt_at(made, 3.9).first == "b"


def test_a_cut_never_mixes_prompts() -> None:
    found = planned("a", "b", motion="cut")
    assert all(k.prompt.position == 0 for k in found.keyframes)
    assert [k.prompt.first for k in found.keyframes] == sorted(
        k.prompt.first for k in found.keyframes
    )


def test_noise_moves_at_one_pace() -> None:
    walked = [k.noise.first + k.noise.position for k in planned("a", "b").keyframes[:-1]]
    steps = {round(b - a, 4) for a, b in itertools.pairwise(walked)}
    assert len(steps) == 1


def test_a_scene_may_follow_in_its_own_way() -> None:
    mixed = parse_recipe(
        {"scenes": [{"prompt": "a"}, {"prompt": "b", "motion": "cut"}, {"prompt": "c"}], "fps": 10}
    )
    assert mixed.motions[1:] == ("cut", "morph")
    assert {3.9, 4.0} <= set(plan(mixed).times)  # both sides of the cut
    assert [prompt_at(mixed, seconds).position for seconds in (3.9, 4.0, 8.0)] == [0, 0, 0.5]


def test_a_scene_that_repeats_the_recipe_changes_no_picture() -> None:
    scenes = [{"prompt": "a"}, {"prompt": "b", "motion": "cut"}]
    said = plan(parse_recipe({"scenes": scenes, "spacing": "even"}))
    meant = planned("a", "b", seconds=4.0, motion="cut")
    assert (said.keyframes, said.segments) == (meant.keyframes, meant.segments)


def test_a_retake_changes_its_keyframe_and_both_segments_beside_it() -> None:
    before = planned("a")
    second = before.keyframes[1]
    after = planned("a", retakes=[{"seconds": 8 / 24, "seed": 99}])
    changed = [one != two for one, two in zip(before.keyframes, after.keyframes, strict=True)]
    assert changed == [index == 1 for index in range(len(changed))]
    assert after.keyframes[1].noise == Blend(99, 99, 0.0)
    assert after.keyframes[1].prompt == second.prompt
    segments = [one != two for one, two in zip(before.segments, after.segments, strict=True)]
    assert segments == [index < 2 for index in range(len(segments))]


def test_a_retake_may_change_the_prompt_and_the_last_one_counts() -> None:
    retakes = [{"seconds": 0, "prompt": "x"}, {"seconds": 0, "prompt": "y", "seed": 5}]
    first = planned("a", retakes=retakes).keyframes[0]
    assert (first.prompt.first, first.noise.first) == ("y", 5)


def test_a_retake_without_a_keyframe_changes_nothing() -> None:
    retaken = planned("a", retakes=[{"seconds": 0.01, "seed": 99}])
    assert retaken.keyframes == planned("a").keyframes


def test_scenes_that_share_noise_begin_their_walk_anew_at_each_cut() -> None:
    scenes = [{"prompt": str(index), "seconds": 2.5} for index in range(3)]
    facts = {"scenes": scenes, "drift": 0.25, "shared_noise": True}
    cut, morph = (parse_recipe({**facts, "motion": motion}) for motion in ("cut", "morph"))
    first, second = (keyframe(cut, seconds, "m") for seconds in (1.0, 3.5))
    assert (first.noise, first.drift) == (second.noise, second.drift)
    assert first.prompt != second.prompt
    walk = [keyframe(morph, seconds, "m").noise for seconds in (1.0, 3.5)]
    assert walk[0] != walk[1]


def subjects(found: Plan) -> set[str]:
    return {str(node.subject) for node in found.keyframes if node.subject}


@pytest.mark.parametrize("settings", [{}, {"motion": "cut"}, {"loop": True}], ids=str)
def test_all_keyframes_but_the_first_look_at_it_if_asked(settings: dict[str, Any]) -> None:
    plain = planned("a", "b", **settings)
    looking = planned("a", "b", anchor_attention=True, **settings)
    first, *others = looking.keyframes
    assert first == plain.keyframes[0]
    assert [node.subject for node in others] == [first.name] * len(others)
    assert not subjects(plain)
    kept = {node.name for node in plain.keyframes} & {node.name for node in looking.keyframes}
    assert kept == {first.name}


def test_a_keyframe_that_is_the_first_again_does_not_look_at_itself() -> None:
    facts = {"motion": "cut", "shared_noise": True, "anchor_attention": True}
    found = planned("a", "a", **facts)
    assert [k.name for k in found.keyframes].count(found.keyframes[0].name) == 2


def test_another_take_of_the_first_keyframe_changes_all_that_look_at_it() -> None:
    before = planned("a", "b", anchor_attention=True)
    first = planned("a", "b", anchor_attention=True, retakes=[{"seconds": 0, "seed": 99}])
    assert not {k.name for k in before.keyframes} & {k.name for k in first.keyframes}
    second = planned("a", "b", anchor_attention=True, retakes=[{"seconds": 8 / 24, "seed": 99}])
    pairs = enumerate(zip(before.keyframes, second.keyframes, strict=True))
    assert [index for index, (one, two) in pairs if one != two] == [1]


def test_names_of_keyframes_with_a_subject_are_stable_from_release_to_release() -> None:
    found = planned("a", anchor_attention=True)
    assert found.keyframes[0].name[:16] == "959d3cae39d57eae"
    assert found.keyframes[1].name[:16] == "b9986ef5687f705b"


def test_a_batch_of_one_leaves_names_and_another_one_does_not() -> None:
    made = recipe("a", "b", spacing="even")
    assert plan(made, batch=1).names == plan(made).names
    names = [{node.name for node in plan(made, batch=batch).keyframes} for batch in BATCHES]
    assert len(set.union(*names)) == sum(map(len, names))
    assert {node.rows for node in plan(made, batch=4).keyframes} == {4}


def test_only_keyframes_that_depend_on_no_other_and_are_no_retakes_are_painted_at_once() -> None:
    scenes = [
        {"prompt": "a", "seconds": 2, "camera": {"zoom": 1.3}},
        {"prompt": "b", "seconds": 2},  # begins with what the camera has come to
        {"prompt": "c", "seconds": 2, "motion": "cut"},
        {"prompt": "d", "seconds": 2, "motion": "cut", "start_image": "0" * 64},
    ]
    made = parse_recipe(
        {"scenes": scenes, "spacing": "even", "retakes": [{"seconds": 4, "seed": 9}]}
    )
    found = plan(made, batch=4)
    single = plan(made)
    for node, before, seconds in zip(found.keyframes, single.keyframes, found.times, strict=True):
        alone = bool(node.inputs) or seconds == 4
        assert node.rows == (1 if alone else 4)
        assert (node.rows == 1) or node == structs.replace(before, batch=4)
    assert {1, 4} == {node.rows for node in found.keyframes}
    assert len({node.source for node in found.keyframes} - {""}) > 2
    looking = plan(recipe("a", "b", anchor_attention=True), batch=4)
    assert {node.rows for node in looking.keyframes} == {1}


def enlarged(factor: int, *prompts: str, upscaler: str = "u@1", **settings: Any) -> Plan:
    made = recipe(*prompts, spacing="even", upscale=factor, **settings)
    return Plan(made, model="m@1", interpolator="i@1", upscaler=upscaler)


def test_enlarging_changes_no_keyframe_and_all_that_is_shown() -> None:
    small, large = planned("a", "b"), enlarged(4, "a", "b")
    assert large.keyframes == small.keyframes
    assert not {node.name for node in small.segments} & {node.name for node in large.segments}
    assert small.film.name != large.film.name
    assert small.nodes(POSTER)[0].name != large.nodes(POSTER)[0].name
    assert set(small.names) & set(large.names) == {node.name for node in small.keyframes}


def test_enlarged_keyframes_are_what_segments_and_poster_are_made_of() -> None:
    found = enlarged(2, "a", "b")
    names = [node.name for node in found.nodes(ENLARGED)]
    assert [node.inputs for node in found.nodes(ENLARGED)] == [(k.name,) for k in found.keyframes]
    for segment, (first, second) in zip(found.segments, found.ends, strict=True):
        pair = found.keyframes[first].name, found.keyframes[second].name
        assert segment.inputs == (*pair, names[first], names[second])
    assert set(found.nodes(POSTER)[0].inputs) == {k.name for k in found.keyframes} | {*names}


def test_the_network_and_the_factor_are_part_of_what_is_enlarged() -> None:
    plans = [enlarged(2, "a"), enlarged(3, "a"), enlarged(2, "a", upscaler="u@2")]
    for stage in (ENLARGED, SEGMENT):
        names = [{node.name for node in one.nodes(stage)} for one in plans]
        assert len(set.union(*names)) == sum(map(len, names))


@pytest.mark.parametrize("settings", [{"upscale": 1}, {"upscale": 4, "animatic": True}], ids=str)
def test_what_is_shown_as_painted_has_no_enlarged_keyframes(settings: dict[str, Any]) -> None:
    found = planned("a", **settings)
    assert ENLARGED not in found.stages
    assert found.segments == planned("a", animatic=settings.get("animatic", False)).segments


def test_a_film_as_painted_has_the_name_that_it_has_had() -> None:
    assert planned("a", upscale=1).film.name == planned("a").film.name
    assert planned("a").film.name[:16] == "7a988bc8dbab4618"
    assert planned("a").nodes(POSTER)[0].name[:16] == "9c7e81b05d92d4a3"
    assert planned("a").segments[0].name[:16] == "8fb35e40c1fa586c"


def test_music_changes_the_film_and_nothing_that_is_seen() -> None:
    still, heard = planned("a", "b"), planned("a", "b", music="composed")
    assert (heard.keyframes, heard.segments) == (still.keyframes, still.segments)
    assert SOUNDTRACK not in still.stages
    (music,) = heard.nodes(SOUNDTRACK)
    assert heard.film.inputs == (*still.film.inputs, music.name)
    assert heard.nodes(POSTER) == still.nodes(POSTER)
    assert heard.nodes(SOUNDTRACK)[0].name != planned("a", "c", music="composed").film.soundtrack


def test_no_music_is_as_music_left_out() -> None:
    assert planned("a", music="none").film == planned("a").film
    assert SOUNDTRACK not in planned("a", music="composed", format="gif").stages


def test_how_loud_music_is_changes_the_film_alone_and_its_seed_the_music() -> None:
    heard = planned("a", "b", music="composed", seed=7)
    (music,) = heard.nodes(SOUNDTRACK)
    assert music.seed == 7
    for change in ({"music_volume": 0.5}, {"music_fade_in": 1}, {"music_fade_out": 1}):
        softer = planned("a", "b", music="composed", seed=7, **change)
        assert softer.nodes(SOUNDTRACK) == [music]
        assert softer.film.name != heard.film.name
    other = planned("a", "b", music="composed", seed=7, music_seed=0)
    assert other.nodes(SOUNDTRACK)[0].seed == 0
    assert other.keyframes == heard.keyframes
    calm = planned("a", "b", music="composed", seed=7, music_prompt="calm")
    assert [prompt for prompt, _ in calm.nodes(SOUNDTRACK)[0].scenes] == ["calm", "calm"]


@pytest.mark.parametrize("fps", [1, 24, 60])
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("prompts", ["a", "ab", "abc"])
def test_a_soundtrack_is_as_long_as_its_film(prompts: str, loop: bool, fps: int) -> None:
    """Its scenes begin with theirs; half of the first one comes last in a film that flows back."""
    scenes = [{"prompt": prompt, "seconds": 1.33} for prompt in prompts]
    made = parse_recipe({"scenes": scenes, "fps": fps, "loop": loop, "music": "composed"})
    found = graph.soundtrack(made)
    assert sum(seconds for _, seconds in found.scenes) == pytest.approx(made.frames / fps)
    back = loop and made.frames > 1 and len(prompts) > 1
    assert "".join(prompt for prompt, _ in found.scenes) == prompts + "a" * back
    begins = [0.0, *itertools.accumulate(seconds for _, seconds in found.scenes)]
    starts = timeline.starts(made)
    assert begins[: len(starts)] == pytest.approx(starts, abs=0.5 / fps + 1e-6)


def test_signs_in_a_prompt_count_only_for_a_model_that_reads_them() -> None:
    plain, signs = (recipe(prompt) for prompt in ("a fox", "a (fox:1.3)"))
    for one in (plain, signs):
        assert keyframe(one, 0.0, "m@1").prompt_syntax is UNSET
    assert keyframe(plain, 0.0, "m@1", weighted=True) == keyframe(plain, 0.0, "m@1")
    assert keyframe(signs, 0.0, "m@1", weighted=True).prompt_syntax == graph.WEIGHTING
    of_negative = structs.replace(plain, negative_prompt="(fog)")
    assert keyframe(of_negative, 0.0, "m@1", weighted=True).prompt_syntax == graph.WEIGHTING
