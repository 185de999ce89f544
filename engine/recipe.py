"""A recipe: what the user asked for, as a validated, versioned value.

It knows the limits that hold everywhere; it does not know models, devices or files.
"""

import re
import unicodedata
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from engine.errors import InvalidParameterError, LimitError

MAX_PROMPT = 2_000  # characters
MAX_SCENES = 64
MAX_FRAMES = 3_000

Prompt = Annotated[str, Meta(min_length=1, max_length=MAX_PROMPT)]
Scheduler = Literal["dpmsolver++", "dpmsolver++karras", "ddim", "euler", "unipc", "lcm"]
Format = Literal["mp4", "gif"]
Motion = Literal["morph", "cut"]
Side = Annotated[int, Meta(ge=64, le=1024, multiple_of=8)]  # pixels

WORDS = {  # msgspec's words for JSON's kinds
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "a text",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "an object",
}
REMEDIES = {
    "scenes": f"give 1 to {MAX_SCENES} scenes, each with a prompt",
    "prompt": f"describe the scene in 1 to {MAX_PROMPT} characters",
    "negative_prompt": f"use at most {MAX_PROMPT} characters",
    "seconds": "let each scene last 0.1 to 120 seconds",
    "seed": "give a whole number from 0 to 4294967295",
    "width": "give a multiple of 8 from 64 to 1024 pixels",
    "height": "give a multiple of 8 from 64 to 1024 pixels",
    "num_inference_steps": "give 1 to 150 steps",
    "guidance_scale": "give a number from 1 (off) to 30",
    "scheduler": f"choose one of: {', '.join(get_args(Scheduler))}",
    "fps": "give 1 to 60 frames per second",
    "interpolation_factor": "give 1 to 64 frames per keyframe interval",
    "drift": "give a number from 0 (still) to 1 (a picture width a second)",
    "retakes": f"give at most {MAX_FRAMES}, each with its time in seconds",
    "motion": f"choose one of: {', '.join(get_args(Motion))}",
    "format": f"choose one of: {', '.join(get_args(Format))}",
    "version": "make the recipe with the same version of VisionFlux",
}


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the values that travel and are hashed: immutable, strict."""


class Scene(Value, frozen=True, kw_only=True):
    """A part of the film: what it shows and for how long (seconds).

    ``motion``: how it follows the scene before it, where that is not the recipe's ``motion``.
    """

    prompt: Prompt
    seconds: Annotated[float, Meta(ge=0.1, le=120)] = 4.0
    motion: Motion | msgspec.UnsetType = msgspec.UNSET


class Retake(Value, frozen=True, kw_only=True):
    """Another take of the keyframe that stands at a time, if one does.

    ``seed``: of its noise, in place of the walk's; ``prompt``: in place of its scene's.
    """

    seconds: Annotated[float, Meta(ge=0, le=MAX_FRAMES)]
    seed: Annotated[int, Meta(ge=0, lt=2**32)] | msgspec.UnsetType = msgspec.UNSET
    prompt: Prompt | msgspec.UnsetType = msgspec.UNSET


class Recipe(Value, frozen=True, kw_only=True):
    """Everything that determines a film, apart from the weights of the model.

    Attributes:
        scenes: in order of time; their durations add up to the film's.
        seed: of the first noise; drawn on the CPU, so it means the same on every device.
        guidance_scale: classifier-free guidance; 1 switches it off.
        interpolation_factor: frames per keyframe interval; 1 paints every frame.
        drift: picture widths a second that the ground moves past; 0 stands still.
        motion: how scenes follow each other unless they say so themselves: ``morph`` melts one
            into the next, ``cut`` cuts.
        fps: frames per second.
        retakes: keyframes that differ from what scenes and seed give; of those of one time, the
            last counts.
    """

    version: Literal[1] = 1
    scenes: Annotated[tuple[Scene, ...], Meta(min_length=1, max_length=MAX_SCENES)]
    negative_prompt: Annotated[str, Meta(max_length=MAX_PROMPT)] = ""
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    width: Side = 256
    height: Side = 256
    num_inference_steps: Annotated[int, Meta(ge=1, le=150)] = 20
    guidance_scale: Annotated[float, Meta(ge=1, le=30)] = 4.0
    scheduler: Scheduler = "dpmsolver++"
    model: Annotated[str, Meta(min_length=1, max_length=200)] = "landscapes"
    fps: Annotated[int, Meta(ge=1, le=60)] = 24
    interpolation_factor: Annotated[int, Meta(ge=1, le=64)] = 8
    drift: Annotated[float, Meta(ge=0, le=1)] = 0.0
    motion: Motion = "morph"
    format: Format = "mp4"
    retakes: Annotated[tuple[Retake, ...], Meta(max_length=MAX_FRAMES)] | msgspec.UnsetType = (
        msgspec.UNSET
    )

    @property
    def takes(self) -> dict[float, Retake]:
        """The retakes by time, rounded to microseconds."""
        retakes = () if self.retakes is msgspec.UNSET else self.retakes
        return {round(retake.seconds, 6): retake for retake in retakes}

    @property
    def seconds(self) -> float:
        """Duration of the film in seconds, before it is rounded to whole frames."""
        return sum(scene.seconds for scene in self.scenes)

    @property
    def frames(self) -> int:
        """Number of frames of the film."""
        return max(1, round(self.seconds * self.fps))

    @property
    def motions(self) -> tuple[Motion, ...]:
        """How each scene follows the one before it; nothing is before the first."""
        own = (scene.motion for scene in self.scenes)
        return tuple(self.motion if motion is msgspec.UNSET else motion for motion in own)


def parse_recipe(data: Any) -> Recipe:
    """Turn decoded JSON into a recipe.

    Raises:
        InvalidParameterError: names the first field that is not acceptable.
        LimitError: the film would have more than ``MAX_FRAMES`` frames.
    """
    try:
        recipe = msgspec.convert(data, Recipe)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    return checked(recipe)


def read_recipe(text: bytes | str | msgspec.Raw) -> Recipe:
    """Turn JSON into a recipe; raises as ``parse_recipe`` does, also for what is no JSON."""
    try:
        recipe = msgspec.json.decode(text, type=Recipe)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameterError("recipe", f"this is no JSON: {error}") from error
    return checked(recipe)


def checked(recipe: Recipe) -> Recipe:
    """Return ``recipe`` if it holds what types cannot say; raise as ``parse_recipe`` does."""
    for index, scene in enumerate(recipe.scenes):
        _check_text(f"scenes[{index}].prompt", scene.prompt, required=True)
    _check_text("negative_prompt", recipe.negative_prompt)
    for index, retake in enumerate(recipe.takes.values()):
        if retake.prompt is not msgspec.UNSET:
            _check_text(f"retakes[{index}].prompt", retake.prompt, required=True)
    if recipe.frames > MAX_FRAMES:
        raise LimitError(
            f"the film would have {recipe.frames} frames; at most {MAX_FRAMES} are possible",
            remedy="shorten its scenes or lower fps",
            field="scenes",
        )
    return recipe


def invalid(error: msgspec.ValidationError, default_field: str = "recipe") -> InvalidParameterError:
    """Translate msgspec's error, whose text ends in ``- at `$.path```, into ours."""
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", str(error), re.DOTALL)
    problem, path = (match[1], match[2]) if match else (str(error), None)
    unknown = re.search(r"unknown field `(.*)`", problem)
    field = path or (unknown[1] if unknown else default_field)
    for theirs, ours in WORDS.items():
        problem = problem.replace(theirs, ours)
    remedy = REMEDIES.get(field.rpartition(".")[2].partition("[")[0], "")
    return InvalidParameterError(field, problem[0].lower() + problem[1:], remedy)


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
