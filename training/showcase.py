"""Makes the films of the front page from their recipes, with the offline model.

``static/showcase/films.json`` says what to make; each film and its first frame as a poster go
beside it. It knows the command line and ffmpeg, nothing of pages.

    python -m training.showcase                 # what is missing or was made from another recipe
"""

import argparse
import subprocess
import sys
from pathlib import Path

import msgspec

from engine.cli.render import flag_of
from engine.film.recipe import SETTINGS, Recipe, Scene
from engine.film.recipe_json import parse_recipe, read_recipe
from engine.render.video import encode
from engine.render.video.ffmpeg import address, film_input, run

FOLDER = Path("static/showcase")
DATA = Path("training/runs/showcase")  # keeps finished keyframes for the next time
SMALL = ("-c:v", "libx264", "-preset", "veryslow", "-crf", "21", "-aq-mode", "3", "-bitexact")
SMALL += ("-pix_fmt", "yuv420p", "-movflags", "+faststart")
POSTER = ("-frames:v", "1", "-q:v", "2", "-pix_fmt", "yuvj444p")
STILL = "none"  # the command line's word for a scene without a camera


def main() -> None:
    """Make what is missing."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    for entry in msgspec.json.decode((FOLDER / "films.json").read_bytes()):
        film, recipe = FOLDER / f"{entry['name']}.mp4", parse_recipe(entry["recipe"])
        if not made_from(film, recipe):
            make(film, recipe)


def make(film: Path, recipe: Recipe) -> None:
    """Make a film and its poster; the engine's own, larger file stays with the working files."""
    whole = DATA / film.name
    if not made_from(whole, recipe):
        subprocess.run([sys.executable, "-m", "engine", *arguments(whole, recipe)], check=True)
    run([*film_input(whole), *SMALL, address(film)])  # its recipe goes along
    run([*film_input(whole), *POSTER, address(film.with_suffix(".jpg"))])


def made_from(film: Path, recipe: Recipe) -> bool:
    """Tell whether a film is there and was made from ``recipe``."""
    text = encode.read_recipe(film) if film.is_file() else None
    return text is not None and read_recipe(text) == recipe


def arguments(film: Path, recipe: Recipe) -> list[str]:
    """Return what ``python -m engine`` wants for a recipe whose scenes are equally long."""
    settings = {name: getattr(recipe, name) for name in SETTINGS if name != "format"}
    given = {flag_of(name): value for name, value in settings.items() if value is not msgspec.UNSET}
    given |= {"--seconds": recipe.seconds, "--output": film, "--data": DATA}
    flags = [name for name, value in given.items() if value is True]
    valued = {name: value for name, value in given.items() if not isinstance(value, bool)}
    flags += [f"{name}={value}" for name, value in valued.items() if value != ""]
    flags += [f"--camera={move(scene)}" for scene in recipe.scenes]
    return ["render", "--overwrite", *flags, *(scene.prompt for scene in recipe.scenes)]


def move(scene: Scene) -> str:
    """Return a scene's camera as the command line takes it."""
    if scene.camera is msgspec.UNSET:
        return STILL
    return ",".join(f"{name}={value}" for name, value in msgspec.to_builtins(scene.camera).items())


if __name__ == "__main__":
    main()
