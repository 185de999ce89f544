"""The films that the arguments of ``render`` ask for, each with the place of its file.

What the arguments leave open is the default of the film's model, which the engine states. It knows
arguments; ``engine.cli.sources`` reads files. It knows no connection.
"""

import argparse
import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.errors import InvalidParameterError
from engine.film.camera import PRESETS
from engine.film.fields import fields_of
from engine.film.recipe import SETTINGS, Recipe, Scene, parse_recipe
from engine.wire.messages.responses import Hello

NO_MOVE = "none"
SCENE_SECONDS: float = fields_of(Scene)["seconds"].default
OWN_FLAGS = ("model", "format")  # settings that are not given by a flag made from their field
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


def orders_of(options: argparse.Namespace) -> list[Order]:
    """Return the films that the arguments ask for.

    Raises:
        InvalidParameterError: an argument is not acceptable.
    """
    output = options.output or DEFAULT_OUTPUT
    format_of(output)
    given = settings_of(options)
    given["scenes"] = scenes_of([(prompt, None) for prompt in options.prompts], options)
    return [Order(output, options.model or SETTINGS["model"].default, given)]


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
