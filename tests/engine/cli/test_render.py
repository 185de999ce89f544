"""The command line as a Unix person uses it; the slow tests make real films."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec import UNSET, structs

from engine import errors, local
from engine.cli import render, report
from engine.cli.following import Following, Place
from engine.cli.orders import orders_of
from engine.errors import InvalidParameterError
from engine.film.camera import PRESETS
from engine.film.recipe import SETTINGS, Camera, Recipe, Scene
from engine.film.recipe_json import parse_recipe
from engine.wire.messages.responses import Hello, JobEvent
from tests.stand_ins.connection import PLANNED

ROOT = Path(__file__).parents[3]


def engine(*arguments: str, data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m engine``, with more environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=ROOT,
        env={**os.environ, "VISIONFLUX_DATA": str(data), **more},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_prompts_that_say_more_than_was_asked_for_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    following = Following("film.mp4", report.LogReport(), Place())
    following.recipe = Recipe(scenes=(Scene(prompt="a fox"), Scene(prompt="at noon")))
    planned = structs.replace(PLANNED, prompts=("a fox, stars", "at noon"))
    following.take(JobEvent(job=following.job, seq=1, at=0.0, event=planned))
    printed = capsys.readouterr().err
    assert "painted as: a fox, stars" in printed
    assert "at noon" not in printed


def test_help_lists_every_command_and_default(tmp_path: Path) -> None:
    assert all(
        word in engine("--help", data=tmp_path).stdout
        for word in ("serve", "render", "interpolate", "fetch", "doctor")
    )
    shown = " ".join(engine("render", "--help", data=tmp_path).stdout.split())
    for flag in ("--seconds", "--seed", "--steps", "--guidance-scale", "--negative-prompt"):
        assert flag in shown
    for name, field in SETTINGS.items():
        assert name in ("model", "format") or field.description in shown
    assert "(1 to 60; default: 24)" in shown
    assert "exit status: 0 done; 1 the work failed" in shown


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "give prompts, or one of --recipe"),
        (["a", "--scenes", "nowhere.txt"], 2, "must be one source"),
        (["--recipe", "nowhere.json"], 2, "nowhere.json cannot be read"),
        (["a", "--fps", "many"], 2, "--fps"),
        (["a", "--fps", "61"], 2, "--fps: '61' is refused; give a whole number from 1 to 60"),
        (["a", "--scheduler", "magic"], 2, "choose one of: dpmsolver++"),
        (["a", "-o", "film.avi"], 2, "E_INVALID_PARAMETER: output"),
        (["a", "--camera", "somersault"], 2, "slow push in"),
        (["a", "b", "c", *(["--camera", "orbit"] * 2)], 2, "one for each"),
        (["a", "-o", "nowhere/film.mp4"], 1, "E_STORAGE"),
        (["a", "-o", f"{'x' * 300}.mp4"], 1, "cannot be written: file name too long"),
        (["a", "-o", "docs/app.jpg/film.mp4"], 1, "the folder of docs/app.jpg/film.mp4"),
        (["-lake"], 2, 'render -- "-lake"'),
        (["-old lake"], 2, "behind --"),
        (["a", "--model", "of/../somebody"], 1, "E_MODEL_LOAD"),
        (["a", "--engine", "https://host"], 3, "E_BAD_LINK"),
        pytest.param(
            *(["a", "--engine", f"http://127.0.0.1:9/#vf1.{'A' * 43}"], 3, "E_UNREACHABLE"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_arguments_end_with_a_status_and_one_line(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    ended = engine("render", *arguments, data=tmp_path)
    assert (ended.returncode, ended.stdout) == (status, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["serve", "render", "doctor"])
def test_the_advice_that_errors_have_names_options_of_the_command(
    command: str, tmp_path: Path
) -> None:
    shown = engine(command, "--help", data=tmp_path).stdout
    for error in errors.tree():
        for flag in re.findall(r"--[a-z-]+", error.default_remedy):
            assert flag in shown, error.code


def test_a_relative_data_folder_is_meant_from_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISIONFLUX_DATA", "data")
    assert local.data_folder() == tmp_path / "data"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert local.absolute("~/films") == tmp_path / "home" / "films"


def recipe(*arguments: str) -> Recipe:
    """Return the recipe of a command, for an engine that knows no models."""
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    hello = cast(Hello, SimpleNamespace(models=()))
    (order,) = orders_of(parser.parse_args([*arguments]))
    return order.recipe(hello)


def test_a_camera_goes_through_all_scenes_or_each_has_its_own() -> None:
    push, roll = PRESETS["Slow push in"], Camera(zoom=1.2, roll=-5, easing="linear")
    both = recipe("a", "b", "--camera", "Slow push in")
    assert [scene.camera for scene in both.scenes] == [push, push]
    own = ["slow push in", "none", "zoom=1.2, roll=-5, easing=linear"]
    each = recipe("a", "b", "c", *(word for move in own for word in ("--camera", move)))
    assert [scene.camera for scene in each.scenes] == [push, UNSET, roll]
    assert recipe("a").scenes[0].camera is UNSET


@pytest.mark.parametrize("move", ["zoom=9", "zoom=far", "height=2", "easing=sudden"])
def test_a_camera_that_cannot_be_is_named(move: str) -> None:
    with pytest.raises(InvalidParameterError, match=move.partition("=")[0]):
        recipe("a", "--camera", move)


def test_flags_describe_a_film_of_several_scenes() -> None:
    found = recipe("a", "b", "--motion", "fade", "--loop", "--shared-noise", "--anchor-attention")
    assert found == parse_recipe(
        {
            "scenes": [{"prompt": "a"}, {"prompt": "b"}],
            "motion": "fade",
            "loop": True,
            "shared_noise": True,
            "anchor_attention": True,
        }
    )


def test_no_command_is_a_usage_error(tmp_path: Path) -> None:
    assert engine(data=tmp_path).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["", "-o", "f.mp4"], "scenes[0].prompt"),
        (["x" * 100_000], "scenes[0].prompt"),
        (["a", "--width", "515"], "width"),
        (["a", "--seed", "-2"], "seed"),
        (["a", "--fps", "0"], "fps"),
        (["a", "--scheduler", "magic"], "scheduler"),
        (["a", "--model", "unheard"], "model"),
    ],
)
def test_a_bad_recipe_names_its_field(tmp_path: Path, arguments: list[str], field: str) -> None:
    ended = engine("render", *arguments, "-o", str(tmp_path / "f.mp4"), data=tmp_path)
    assert ended.returncode == 2
    assert field in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_doctor_reports_what_this_machine_can_do(tmp_path: Path) -> None:
    ended = engine("doctor", data=tmp_path)
    assert ended.returncode == 0, ended.stdout
    for word in ("torch", "cpu:", "ffmpeg", "landscapes", "sdxl-lightning", "in-betweens: RIFE"):
        assert word in ended.stdout


@pytest.mark.slow
def test_without_a_network_dis_draws_and_is_reported(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    cut_off = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": nowhere, "HTTPS_PROXY": nowhere}
    cut_off |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": nowhere, "PIP_FIND_LINKS": ""}
    film, clip = str(tmp_path / "film.mp4"), str(tmp_path / "clip.mp4")
    scene = ["dawn over the sea", "--seconds", "0.3", "--steps", "2"]
    made = engine("render", *scene, "-o", film, data=tmp_path, **cut_off)
    assert made.returncode == 0, made.stderr
    assert "in-betweens by DIS optical flow" in made.stderr
    refused = engine(
        *("interpolate", film, "-o", clip, "--factor", "2", "--rife", "4.25"),
        data=tmp_path,
        **cut_off,
    )
    assert (refused.returncode, refused.stderr.count("cannot be reached")) == (1, 2)
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_two_prompts_become_a_film_that_others_can_read(
    tmp_path: Path, forking: dict[str, str]
) -> None:
    from engine.render.video.encode import read_recipe
    from engine.render.video.ffmpeg import probe

    film = tmp_path / "film.mp4"
    prompts = ["dawn over the sea, sun on the left", "a city at night under a starry sky"]
    settings = ["--seconds", "1", "--steps", "4", "--interpolation-factor", "8"]
    settings += ["--width", "128", "--height", "128"]
    first = engine("render", *prompts, *settings, "-o", str(film), data=tmp_path)
    assert first.returncode == 0, first.stderr
    found = probe(film)
    assert (found.frames, found.width, found.height) == (24, 128, 128)
    assert found.seconds == pytest.approx(1.0, abs=0.001)
    recipe = json.loads(read_recipe(film) or "")
    assert [scene["prompt"] for scene in recipe["scenes"]] == prompts
    before = film.read_bytes()

    elsewhere = tmp_path / "elsewhere"
    settings.append("--overwrite")
    again = engine("render", *prompts, *settings, "-o", str(film), data=elsewhere, **forking)
    assert again.returncode == 0, again.stderr
    assert film.read_bytes() == before  # another store: everything was computed anew, and is equal

    prompts[1] = "a forest at noon"
    changed = engine("render", *prompts, *settings, "-o", str(film), data=tmp_path, **forking)
    assert changed.returncode == 0, changed.stderr
    painted, _, total = changed.stderr.rpartition(": ")[2].partition(" keyframes")[0].split()[-3:]
    assert 0 < int(painted) < int(total)
    assert film.read_bytes() != before
