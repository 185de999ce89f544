"""The films that the arguments of ``render`` ask for, each with the place of its file.

What the arguments leave open is the default of the film's model, which the engine states. It knows
arguments; ``engine.cli.sources`` reads files. It knows no connection.
"""

import argparse
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.cli.deforum import import_settings
from engine.cli.sources import read_films, read_object, read_scenes
from engine.errors import InvalidParameterError
from engine.film.camera import PRESETS
from engine.film.fields import fields_of
from engine.film.recipe import SETTINGS, Recipe, Scene
from engine.film.recipe_json import parse_recipe
from engine.wire.messages.responses import Hello

NO_MOVE = "none"
SCENE_SECONDS: float = fields_of(Scene)["seconds"].default
OWN_FLAGS = ("model", "format")  # settings that are not given by a flag made from their field
SHORT_NAMES = {"num_inference_steps": "steps"}  # flags that are not named like their field
DEFAULT_OUTPUT = Path("film.mp4")


class Order(NamedTuple):
    """A film to make.

    Attributes:
        output: its file; the ending decides the format.
        model: as the user names it.
        given: fields of its recipe; the others are the model's defaults.
    """

    output: Path
    model: str
    given: dict[str, Any]

    def recipe(self, hello: Hello, model: str = "") -> Recipe:
        """Return the recipe for an engine, which may know the model by another name.

        Raises:
            InvalidParameterError: a value is not acceptable.
            LimitError: the film would be too long or too large.
        """
        name = model or self.model
        fixed = {"format": format_of(self.output), "model": name}
        return parse_recipe({**_defaults(name, hello), **self.given, **fixed})


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which films to make."""
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help="one prompt for each scene")
    several = {"action": "append", "type": Path, "default": [], "metavar": "FILE"}
    one = {"type": Path, "metavar": "FILE"}
    parser.add_argument(
        "--recipe",
        **several,  # type: ignore[arg-type]
        help="a film's recipe as JSON, in place of prompts; flags override it; repeatable",
    )
    parser.add_argument(
        "--scenes",
        **one,  # type: ignore[arg-type]
        help='a text file with a scene a line, as in "4 s: dawn over the sea"',
    )
    parser.add_argument(
        "--films",
        **one,  # type: ignore[arg-type]
        help="a table of films with commas between the columns: prompt, output, any flag",
    )
    parser.add_argument(
        "--deforum",
        **several,  # type: ignore[arg-type]
        help="a settings file of Deforum; what has no counterpart is named; repeatable",
    )


def orders_of(
    options: argparse.Namespace, note: Callable[[str], None] = lambda _: None
) -> list[Order]:
    """Return the films that the arguments ask for; ``note`` gets what a person should know.

    Raises:
        InvalidParameterError: an argument is not acceptable.
    """
    if options.output and not os.path.isdir(options.output):
        format_of(options.output)
    sources = (options.prompts, options.recipe, options.scenes, options.films, options.deforum)
    if sum(map(bool, sources)) != 1:
        remedy = "give prompts, or one of --recipe, --scenes, --films and --deforum"
        raise InvalidParameterError("prompts", "there must be one source of films", remedy)
    if options.films:
        return _of_table(options)
    paths = [*options.recipe, *options.deforum]
    if not paths:
        parts: list[tuple[str, float | None]] = [(prompt, None) for prompt in options.prompts]
        scenes = scenes_of(read_scenes(options.scenes) if options.scenes else parts, options)
        return [_order(options, options.output or DEFAULT_OUTPUT, {"scenes": scenes})]
    if options.camera or options.seconds is not None:
        problem = "it is the file that says what scenes there are"
        raise InvalidParameterError("recipe", problem, "leave --camera and --seconds out")
    return [
        _order(options, output, _given(path, options, note))
        for path, output in zip(
            paths, _outputs(options, [path.stem for path in paths]), strict=True
        )
    ]


def _given(path: Path, options: argparse.Namespace, note: Callable[[str], None]) -> dict[str, Any]:
    if options.recipe:
        return read_object("recipe", path)
    given, notes = import_settings(read_object("deforum", path))
    for text in notes:
        note(f"{path}: {text}")
    return given


def _of_table(options: argparse.Namespace) -> list[Order]:
    names = {short: name for name, short in SHORT_NAMES.items()}
    names |= {name.replace("_", "-"): name for name in SETTINGS}
    rows = read_films(options.films, names)
    count = len(str(len(rows)))
    stems = [f"{options.films.stem}-{index:0{count}}" for index in range(1, len(rows) + 1)]
    orders = []
    for row, default in zip(rows, _outputs(options, stems), strict=True):
        output = default.parent / row.pop("output") if "output" in row else default
        moves = [row.pop("camera")] if "camera" in row else options.camera
        seconds = _seconds(row.pop("seconds", None), options)
        own = argparse.Namespace(camera=moves, seconds=seconds)
        row["scenes"] = scenes_of([(prompt, None) for prompt in row.pop("prompt")], own)
        orders.append(_order(options, output, {**settings_of(options), **row}, final=True))
    return orders


def _seconds(text: str | None, options: argparse.Namespace) -> float | None:
    if text is None:
        seconds: float | None = options.seconds
        return seconds
    try:
        return float(text)
    except ValueError as error:
        problem = f"{text!r} is no number of seconds"
        raise InvalidParameterError("films", problem, "write a number such as 4") from error


def _order(
    options: argparse.Namespace, output: Path, given: dict[str, Any], *, final: bool = False
) -> Order:
    """Return an order; flags override what a file gives unless that is ``final``."""
    model = (given.get("model") if final else None) or options.model or given.get("model")
    settings = {} if final else settings_of(options)
    format_of(output)
    return Order(output, model or SETTINGS["model"].default, {**given, **settings})


def _outputs(options: argparse.Namespace, stems: list[str]) -> list[Path]:
    """Return the files of films: the one of -o, or one for each name in the folder of -o."""
    output: Path | None = options.output
    if output and not os.path.isdir(output):  # False for what the system refuses
        if len(stems) > 1 or options.films:
            problem = f"{output} is no folder, and there may be several films"
            raise InvalidParameterError("output", problem, "give an existing folder with -o")
        return [output]
    return [(output or Path()) / f"{stem}.mp4" for stem in stems]


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that flags give."""
    names = [name for name in SETTINGS if name not in OWN_FLAGS]
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def scenes_of(
    parts: list[tuple[str, float | None]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the scenes of prompts with their seconds, None where these are open."""
    open_ = sum(seconds is None for _, seconds in parts)
    each = SCENE_SECONDS
    if options.seconds is not None and open_:
        each = (options.seconds - sum(seconds or 0 for _, seconds in parts)) / open_
    cameras = cameras_of(options.camera, len(parts))
    return [
        {"prompt": prompt, "seconds": each if seconds is None else seconds, **camera}
        for (prompt, seconds), camera in zip(parts, cameras, strict=True)
    ]


def cameras_of(moves: list[str], scenes: int) -> list[dict[str, Any]]:
    """Return what each scene says of its camera.

    Raises:
        InvalidParameterError: a move is unknown, or there are too few or too many.
    """
    if len(moves) not in (0, 1, scenes):
        problem = f"there are {len(moves)} for {scenes} scenes"
        raise InvalidParameterError("camera", problem, "give one for all, or one for each")
    found = [camera_of(move) for move in moves]
    return (found or [{}]) * (scenes // max(1, len(found)))


def camera_of(move: str) -> dict[str, Any]:
    """Return what a scene says of its camera, by a preset's name or by numbers."""
    named = {name.lower(): preset for name, preset in PRESETS.items()}
    name = move.strip().lower()
    if name == NO_MOVE:
        return {}
    if name in named:
        return {"camera": msgspec.to_builtins(named[name])}
    parts = [part.partition("=") for part in name.split(",")]
    if not all(equals for _, equals, _ in parts):
        remedy = f"choose one of: {', '.join(named)}, {NO_MOVE}; or give zoom=1.3,pan_x=0.2"
        raise InvalidParameterError("camera", f"there is no move {move!r}", remedy)
    return {"camera": {field.strip(): _number(value) for field, _, value in parts}}


def _number(text: str) -> float | str:
    with contextlib.suppress(ValueError):
        return float(text)
    return text.strip()


def _defaults(name: str, hello: Hello) -> dict[str, Any]:
    cards = {model.name: model.card for model in hello.models}
    if name not in cards:
        return {}
    defaults = cards[name].defaults
    return {field: getattr(defaults, field) for field in defaults.__struct_fields__}


def format_of(output: Path) -> str:
    """Return the format that a file's ending asks for.

    Raises:
        InvalidParameterError: it is neither .mp4 nor .gif.
    """
    if output.suffix.lower() not in (".mp4", ".gif"):
        raise InvalidParameterError(
            "output",
            f"{output.name[:80]!r} ends in neither .mp4 nor .gif",
            'give -o film.mp4; put prompts that begin with - behind --, as in: -- "-lake"',
        )
    return output.suffix.lower()[1:]
