"""CONTRIBUTING's recipes name what exists, and the one for a setting is followed in a copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
STEPS = {  # file → where → what is written before that
    "engine/film/recipe.py": [
        (
            "    animatic: bool = False\n",
            "    guidance_rescale: Annotated[\n"
            "        float,\n"
            '        Meta(ge=0, le=1, title="Guidance rescale", description="Less glare.",\n'
            '             extra={"step": 0.1}),\n'
            "    ] = 0.0\n",
        )
    ],
    "engine/film/graph.py": [
        (
            "    scheduler: Scheduler\n",
            "    guidance_rescale: float | msgspec.UnsetType = msgspec.UNSET\n",
        ),
        (
            "        guidance_scale=recipe.guidance_scale,\n",
            "        guidance_rescale=recipe.guidance_rescale or msgspec.UNSET,\n",
        ),
    ],
    "engine/render/painting/painter.py": [
        (
            '            "guidance_scale": node.guidance_scale,\n',
            '            "guidance_rescale": node.guidance_rescale or 0.0,\n',
        )
    ],
    "engine/models/card.py": [
        ('    scheduler: Scheduler = "dpmsolver++"\n', "    guidance_rescale: float = 0.0\n")
    ],
    "docs/protocol.md": [
        ('  "scheduler": "dpmsolver++",\n', '  "guidance_rescale": 0.0,\n'),
        ("| `scheduler` |", "| `guidance_rescale` | 0 to 1 |\n"),
    ],
}
CHECK = """
import sys
from streamlit.testing.v1 import AppTest
from engine.__main__ import main
from engine.errors import InvalidParameterError
from engine.film.graph import keyframe
from engine.film.recipe import Recipe, Scene
from engine.film.recipe_json import parse_recipe
from engine.models import Card, Defaults
from ui.create.model_panel import facts
from ui.films.compare import differences
from ui.films.recipe_card import details

def command(*arguments):
    sys.argv = ["engine", "render", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code

assert command("--help") == 0
assert command("dawn", "--guidance-rescale", "1.5") == 2

scenes = (Scene(prompt="dawn"),)
try:
    parse_recipe({"scenes": [{"prompt": "dawn"}], "guidance_rescale": 2})
except InvalidParameterError as error:
    assert (error.field, error.remedy) == ("guidance_rescale", "give a number from 0 to 1")
else:
    raise AssertionError("it was accepted")
plain, changed = (Recipe(scenes=scenes, guidance_rescale=value) for value in (0.0, 0.5))
assert keyframe(plain, 0.0, "m@1").name == NAME
assert keyframe(changed, 0.0, "m@1").name != NAME
assert "Guidance rescale 0.5" in details(changed)
assert differences(plain, changed) == [("Guidance rescale", "0", "0.5")]

def panel():
    import streamlit as st
    from engine.models import Card, Defaults
    from ui.create.settings_panel import settings_panel
    from ui.storage import draft
    card = Card(title="Large", defaults=Defaults(guidance_rescale=0.7))
    draft.begin(st.session_state, "large", card.defaults)
    settings_panel({"large": card})
    draft.read_widgets(st.session_state)

page = AppTest.from_function(panel).run()
slider = next(one for one in page.slider if one.label == "Guidance rescale")
assert (slider.min, slider.max, slider.step, slider.value) == (0.0, 1.0, 0.1, 0.7)
assert slider.help == "Less glare."
slider.set_value(0.2).run()
assert page.session_state["draft"].settings.guidance_rescale == 0.2
assert "Guidance rescale 0.7" in facts(
    Card(title="Large", defaults=Defaults(guidance_rescale=0.7))
)["Made for"]
"""


def paths(text: str) -> list[str]:
    """Return the files and folders that a text names."""
    return re.findall(r"`((?:engine|ui|pages|tests|docs)/[^` ]+)`", text)


@pytest.mark.parametrize("path", sorted(set(paths(CONTRIBUTING))))
def test_what_contributing_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_a_setting_is_added_as_contributing_describes(tmp_path: Path) -> None:
    """The copy's command line, checks, names, page and documents then know it."""
    from engine.film.graph import keyframe
    from engine.film.recipe import Recipe, Scene

    recipe = CONTRIBUTING.partition("- **a setting of a recipe**")[2].partition("\n- **")[0]
    steps = recipe.partition("\n  1. ")[2]
    assert set(paths(steps)) == set(STEPS), "the steps here are not those of CONTRIBUTING"
    assert len([path for path in STEPS if path.endswith(".py")]) <= 5

    heavy = shutil.ignore_patterns("*.safetensors", "*.png", "*.mp4", "__pycache__")
    for folder in ("engine", "ui", "pages", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=heavy)
    for path, insertions in STEPS.items():
        text = (tmp_path / path).read_text()
        for place, added in insertions:
            assert text.count(place) == 1, f"{path} has no single place {place!r}"
            text = text.replace(place, added + place)
        (tmp_path / path).write_text(text)

    name = keyframe(Recipe(scenes=(Scene(prompt="dawn"),)), 0.0, "m@1").name
    (tmp_path / "check.py").write_text(f"NAME = {name!r}\n{CHECK}")
    ended = subprocess.run(
        [sys.executable, "check.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "Guidance rescale. Less glare. (0 to 1; default: the model's)" in " ".join(
        ended.stdout.split()
    )
    assert '"guidance_rescale"' in (tmp_path / "docs/protocol.md").read_text()
