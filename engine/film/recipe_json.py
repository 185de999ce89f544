"""Reads recipes from JSON, checks what their types cannot say, and writes them.

Every error names the field and says what to give. It does not know models, devices or files.
"""

import re
import unicodedata
from typing import Any

import msgspec

from engine.errors import InvalidParameterError, LimitError
from engine.film.fields import Field, fields_of
from engine.film.recipe import (
    MAX_FILM_PIXELS,
    MAX_FILM_SIDE,
    MAX_FRAMES,
    Camera,
    Recipe,
    Retake,
    Scene,
    largest_upscale,
)

WORDS = {  # msgspec's words for JSON's kinds
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "a text",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "an object",
}

PARTS = {"scenes": Scene, "camera": Camera, "retakes": Retake}  # by the field that holds them
REMEDIES = {  # where the type of a field does not say enough
    "scenes": f"give {fields_of(Recipe)['scenes'].bounds} scenes, each with a prompt",
    "prompt": f"describe the scene in {fields_of(Scene)['prompt'].bounds} characters",
    "retakes": f"give at most {MAX_FRAMES}, each with its time in seconds",
    "keyframes": f"give at most {MAX_FRAMES} times in seconds",
    "start_image": "add the picture again",
    "version": "make the recipe with the same version of VisionFlux",
}


def _remedy(path: str) -> str:
    """Return what to give for the field at a path such as ``scenes[...].seconds``."""
    *parents, name = (part.partition("[")[0] for part in path.split("."))
    struct = PARTS.get(parents[-1], Recipe) if parents else Recipe
    field: Field | None = fields_of(struct).get(name)
    return REMEDIES.get(name) or (field.remedy if field else "")


def parse_recipe(data: Any) -> Recipe:
    """Turn decoded JSON into a recipe.

    Raises:
        InvalidParameterError: names the first field that is not acceptable.
        LimitError: the film would have more than ``MAX_FRAMES`` frames, or too large ones.
    """
    try:
        recipe = msgspec.convert(data, Recipe)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    return checked(recipe)


def encode_recipe(recipe: Recipe) -> str:
    """Return the JSON of a recipe, keys in a fixed order."""
    return msgspec.json.encode(recipe, order="deterministic").decode()


def read_recipe(text: bytes | str | msgspec.Raw) -> Recipe:
    """Turn JSON into a recipe; raises as ``parse_recipe`` does, also for what is no JSON."""
    try:
        recipe = msgspec.json.decode(text, type=Recipe)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameterError("recipe", f"this is not JSON: {error}") from error
    return checked(recipe)


def checked(recipe: Recipe) -> Recipe:
    """Return ``recipe`` if it holds what types cannot say; raise as ``parse_recipe`` does."""
    for index, scene in enumerate(recipe.scenes):
        _check_text(f"scenes[{index}].prompt", scene.prompt, required=True)
    _check_text("negative_prompt", recipe.negative_prompt)
    _check_text("music_prompt", recipe.music_prompt or "")
    for index, retake in enumerate(recipe.takes.values()):
        if retake.prompt is not msgspec.UNSET:
            _check_text(f"retakes[{index}].prompt", retake.prompt, required=True)
    if recipe.frames > MAX_FRAMES:
        raise LimitError(
            f"the film would have {recipe.frames} frames; at most {MAX_FRAMES} are possible",
            remedy="shorten its scenes or lower fps",
            field="scenes",
        )
    if recipe.enlargement > largest_upscale(recipe.width, recipe.height):
        raise _too_large(recipe)
    return recipe


def _too_large(recipe: Recipe) -> LimitError:
    largest = largest_upscale(recipe.width, recipe.height)
    sides = "x".join(str(side) for side in recipe.film_size)
    fitting = f"{recipe.width * largest}x{recipe.height * largest}"
    return LimitError(
        f"frames enlarged {recipe.upscale} times would have {sides} pixels; a side of at most "
        f"{MAX_FILM_SIDE} and {MAX_FILM_PIXELS / 1e6:.1f} million pixels are possible",
        remedy=f"give an upscale of at most {largest}, for {fitting}, or a smaller size",
        field="upscale",
    )


def invalid(error: msgspec.ValidationError, default_field: str = "recipe") -> InvalidParameterError:
    """Translate msgspec's error, whose text ends in ``- at `$.path```, into ours."""
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", str(error), re.DOTALL)
    problem, path = (match[1], match[2]) if match else (str(error), None)
    unknown = re.search(r"unknown field `(.*)`", problem)
    field = path or (unknown[1] if unknown else default_field)
    for theirs, ours in WORDS.items():
        problem = problem.replace(theirs, ours)
    return InvalidParameterError(field, problem[0].lower() + problem[1:], _remedy(field))


def _check_text(field: str, text: str, *, required: bool = False) -> None:
    if required and not text.strip():
        raise InvalidParameterError(field, "it is empty", "describe what the scene shows")
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t":
            raise InvalidParameterError(
                field,
                f"it contains the control character U+{ord(character):04X}",
                "remove it; paste the prompt as plain text",
            )
