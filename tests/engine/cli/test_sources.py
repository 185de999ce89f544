"""Files that describe films: recipes, lists of scenes, tables, settings of Deforum."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from engine.cli import render
from engine.cli.deforum import import_settings
from engine.cli.orders import orders_of
from engine.errors import InvalidParameterError, VisionFluxError
from engine.film.recipe import Recipe
from engine.film.recipe_json import encode_recipe, parse_recipe
from engine.wire.messages.responses import Hello


def films(*arguments: Any, notes: list[str] | None = None) -> dict[str, Recipe]:
    """Return the recipes that arguments ask for, by the names of their files."""
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    found = [] if notes is None else notes
    orders = orders_of(parser.parse_args([*map(str, arguments)]), found.append)
    hello = cast(Hello, SimpleNamespace(models=()))
    return {order.output.name: order.recipe(hello) for order in orders}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_comes_from_a_file_and_flags_change_it(tmp_path: Path) -> None:
    recipe = parse_recipe({"scenes": [{"prompt": "dawn", "seconds": 2}], "seed": 7, "fps": 12})
    file = written(tmp_path / "sea.json", encode_recipe(recipe))
    assert films("--recipe", file) == {"sea.mp4": recipe}
    changed = films("--recipe", file, "--seed", "8", "-o", "other.mp4")
    assert changed == {"other.mp4": msgspec.structs.replace(recipe, seed=8)}
    second = written(tmp_path / "city.json", encode_recipe(recipe))
    assert [*films("--recipe", file, "--recipe", second, "-o", tmp_path)] == ["sea.mp4", "city.mp4"]


def test_a_line_is_a_scene(tmp_path: Path) -> None:
    text = "\ufeff# my film\n4 s: dawn: the sea\n\n1.5s: noon\nnight, 10 s: late\n"
    file = written(tmp_path / "scenes.txt", text)
    (recipe,) = films("--scenes", file, "--seconds", "9.5", "--camera", "orbit").values()
    found = [(scene.prompt, scene.seconds) for scene in recipe.scenes]
    assert found == [("dawn: the sea", 4), ("noon", 1.5), ("night, 10 s: late", 4)]
    assert all(scene.camera for scene in recipe.scenes)


def test_a_row_of_a_table_is_a_film(tmp_path: Path) -> None:
    table = 'prompt,output,seed,steps,seconds\n"a sea, calm || a city",one.gif,5,3,6\ndawn,,,,\n'
    file = written(tmp_path / "films.csv", table)
    made = films("--films", file, "--seed", "9", "--fps", "12")
    assert [*made] == ["one.gif", "films-2.mp4"]
    one, two = made.values()
    assert [scene.prompt for scene in one.scenes] == ["a sea, calm", "a city"]
    assert (one.seed, one.num_inference_steps, one.seconds, one.fps) == (5, 3, 6, 12)
    assert (two.seed, two.seconds, two.fps) == (9, 4, 12)


@pytest.mark.parametrize(
    ("flag", "name", "text", "says"),
    [
        ("--scenes", "a.txt", "# none\n", "no scene"),
        ("--recipe", "a.json", "{", "not JSON"),
        ("--recipe", "a.json", "[]", "no JSON object"),
        ("--recipe", "a.json", '{"scenes": [{"prompt": "a"}], "colour": 1}', "colour"),
        ("--recipe", "a.json", '{"scenes": []}', "scenes"),
        ("--films", "a.csv", "output\nx.mp4\n", "column prompt"),
        ("--films", "a.csv", "prompt,colour\na,b\n", "column 'colour'"),
        ("--films", "a.csv", "prompt,fps\na,12\nb,61\n", "line 3: fps cannot be '61'"),
        ("--films", "a.csv", "prompt\n", "no film"),
        ("--films", "a.csv", "prompt,seconds\na,long\n", "no number of seconds"),
        ("--deforum", "a.txt", "{}", "no prompts by frame"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(
    tmp_path: Path, flag: str, name: str, text: str, says: str
) -> None:
    with pytest.raises(VisionFluxError, match=says):
        films(flag, written(tmp_path / name, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidParameterError, match="not UTF-8"):
        films("--scenes", tmp_path / "a.txt")
    with pytest.raises(InvalidParameterError, match="cannot be read"):
        films("--scenes", tmp_path)


def test_seeds_are_written_as_elsewhere() -> None:
    def seed(text: str) -> int:
        return films("a", f"--seed={text}")["film.mp4"].seed

    assert {seed("random"), seed("-1"), seed("Random")} > {0} or seed("random") < 2**32
    assert len({seed("random") for _ in range(8)}) > 1
    assert seed(str(2**64 - 1)) == 2**32 - 1
    assert seed(str(2**40 + 5)) == 5
    for bad in ("-2", str(2**64), "many"):
        with pytest.raises(SystemExit):
            seed(bad)


DEFORUM = {
    "W": 512,
    "H": 768,
    "seed": 42,
    "sampler": "Euler",
    "steps": 25,
    "scale": 7,
    "fps": 10,
    "max_frames": 40,
    "animation_mode": "2D",
    "zoom": "0:(1.01)",
    "translation_x": "0:(2), 20:(0)",
    "angle": "0:(0.5)",
    "diffusion_cadence": "2",
    "noise_schedule": "0:(0.05)",
    "translation_z": "0:(0)",
    "prompts": {"0": "dawn --neg fog", "20": "noon"},
}


def test_settings_of_deforum_become_a_recipe(tmp_path: Path) -> None:
    notes: list[str] = []
    file = written(tmp_path / "a.txt", json.dumps(DEFORUM))
    (recipe,) = films("--deforum", file, notes=notes).values()
    assert (recipe.width, recipe.height, recipe.seed, recipe.fps) == (512, 768, 42, 10)
    assert (recipe.scheduler, recipe.guidance_scale, recipe.frames) == ("euler", 7, 40)
    assert (recipe.interpolation_factor, recipe.negative_prompt) == (2, "fog")
    first, second = recipe.scenes
    assert (first.prompt, first.seconds, second.seconds) == ("dawn", 2, 2)
    assert first.camera
    assert second.camera
    assert first.camera.zoom == pytest.approx(1.01**20)
    assert first.camera.roll == pytest.approx(-10)
    assert first.camera.pan_x == pytest.approx(-sum(2 - 0.1 * k for k in range(20)) / 512, rel=1e-4)
    assert second.camera.pan_x == 0
    assert [note.partition(": ")[2] for note in notes] == [
        "noise_schedule has no counterpart and is left out"
    ]


def test_what_deforum_has_and_a_recipe_has_not_is_named() -> None:
    changed = {
        **DEFORUM,
        "W": 2050,
        "zoom": "0:(1.1)",
        "angle": "0:(10*sin(t))",
        "sampler": "Heun",
        "translation_z": "0:(5)",
        "seed": -1,
    }
    given, notes = import_settings(changed)
    said = "\n".join(notes)
    for name in ("W of 2050", "zoom of 6.727", "angle is no list", "Heun", "translation_z"):
        assert name in said
    assert "seed" not in given


def test_a_strength_between_frames_is_named_unless_it_changes_nothing() -> None:
    prompts = {"prompts": {"0": "a lake"}}
    assert import_settings({**prompts, "strength_schedule": "0: (0)"}).notes == []
    (note,) = import_settings({**prompts, "strength_schedule": "0: (0.65)"}).notes
    assert note == "strength_schedule has no counterpart and is left out"
