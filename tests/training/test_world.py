"""The generator, its captions and the statistics that read them back."""

import numpy as np
import pytest

from training import captions
from training.scene import (
    ALL_PLACES,
    PALETTES,
    PLACES,
    SIDES,
    TIMES,
    WEATHERS_BY_TIME,
    Scene,
    random_scene,
    weathers_of,
)
from training.world import draw, frames

SCENE = Scene("dusk", "lake", "left", "stars")


def every_scene() -> list[Scene]:
    return [
        Scene(time, place, side, weather)
        for time in TIMES
        for place in PLACES
        for side in SIDES
        for weather in WEATHERS_BY_TIME[time]
    ]


@pytest.mark.parametrize("place", ALL_PLACES)
def test_one_seed_gives_one_picture(place):
    scene = Scene("dawn", place, "right", "clouds")
    first, second = (draw(scene, np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape == (256, 256, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, draw(scene, np.random.default_rng(4)))


@pytest.mark.parametrize("size", [(384, 256), (256, 384), (128, 128)])
def test_any_aspect_can_be_drawn(size):
    width, height = size
    picture = draw(SCENE, np.random.default_rng(0), width, height)
    assert picture.shape == (height, width, 3)


@pytest.mark.parametrize("place", ALL_PLACES)
def test_time_moves_the_world_a_little_at_a_time(place):
    scene = Scene("noon", place, "centre", "clouds")
    still, soon, later = (frame.astype(float) for frame in frames(scene, 7, (0.0, 0.05, 1.0)))
    near, far = np.abs(soon - still).mean(), np.abs(later - still).mean()
    assert 0 < near < far < 40


@pytest.mark.parametrize("time", TIMES)
def test_every_weather_is_seen(time):
    """Each weather changes the picture of one seed, though no other attribute differs."""
    drawn = {
        weather: draw(Scene(time, "hills", "left", weather), np.random.default_rng(5)).astype(float)
        for weather in weathers_of(time, "hills")
    }
    for weather, picture in drawn.items():
        others = [other for name, other in drawn.items() if name != weather]
        assert min(np.abs(picture - other).mean() for other in others) > 0.2, weather


def test_every_palette_has_its_own_colours():
    scene = Scene("sunset", "lake", "right", "clear")
    drawn = {name: draw(scene, np.random.default_rng(1)) for name in PALETTES[:1]}
    for name in PALETTES[1:]:
        drawn[name] = draw(
            Scene("sunset", "lake", "right", "clear", name), np.random.default_rng(1)
        )
    means = np.stack([picture.mean(axis=(0, 1)) for picture in drawn.values()])
    apart = np.abs(means[:, None] - means[None]).max(axis=2) + 99 * np.eye(len(means))
    assert apart.min() > 8
    noir = drawn["noir"].astype(int)
    assert np.abs(noir - noir.mean(axis=2, keepdims=True)).max() < 10


def test_captions_describe_their_pictures():
    """No caption carries a word that belongs to another time, place, side or weather alone."""
    tables = {
        "time": captions.TIME_PHRASES,
        "place": captions.PLACE_PHRASES,
        "side": captions.SIDE_PHRASES,
        "weather": captions.WEATHER_PHRASES,
    }
    rng = np.random.default_rng(0)
    for _ in range(300):
        scene = random_scene(rng)
        said = captions.phrases(scene, rng)
        for name, table in tables.items():
            assert said[name] in table[getattr(scene, name)]
        assert said["disc"].split()[-1] == ("moon" if scene.time in ("dusk", "night") else "sun")


def test_held_out_captions_name_everything():
    rng = np.random.default_rng(0)
    for scene in every_scene()[::7]:
        prompt = captions.held_out_caption(scene, rng)
        tables = (captions.TIME_PHRASES[scene.time], captions.PLACE_PHRASES[scene.place])
        for table in (*tables, captions.SIDE_PHRASES[scene.side]):
            assert any(phrase in prompt for phrase in table)


def test_every_value_is_in_both_the_trained_and_the_held_out_combinations():
    scenes = every_scene()
    for kept in (True, False):
        some = [scene for scene in scenes if captions.held_out(scene) == kept]
        for name, values in (("time", TIMES), ("place", PLACES), ("side", SIDES)):
            assert {getattr(scene, name) for scene in some} == set(values)
    assert 0.05 < sum(map(captions.held_out, scenes)) / len(scenes) < 0.2
