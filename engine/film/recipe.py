"""A recipe: what the user asked for, as a validated, versioned value.

It knows the limits that hold everywhere; it does not know models, devices or files.
"""

import re
import unicodedata
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import msgspec.inspect
from msgspec import Meta

from engine.errors import InvalidParameterError, LimitError

MAX_PROMPT = 2_000  # characters
MAX_SCENES = 64
MAX_FRAMES = 3_000

Prompt = Annotated[str, Meta(min_length=1, max_length=MAX_PROMPT)]
Scheduler = Literal["dpmsolver++", "dpmsolver++karras", "ddim", "euler", "unipc", "lcm"]
Format = Literal["mp4", "gif"]
Motion = Literal["morph", "cut", "fade"]
Spacing = Literal["adaptive", "even"]
Easing = Literal["linear", "smooth"]
Side = Annotated[int, Meta(ge=64, le=1024, multiple_of=8)]  # pixels

WORDS = {  # msgspec's words for JSON's kinds
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "a text",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "an object",
}


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the values that travel and are hashed: immutable, strict."""


class Camera(Value, frozen=True, kw_only=True):
    """Where a scene's camera goes from the scene's beginning to its end.

    Attributes:
        zoom: how much larger things are at the end; below 1 the camera draws back.
        pan_x: picture widths to the right.
        pan_y: picture heights upwards.
        roll: degrees by which the picture turns clockwise.
        orbit: picture widths by which the nearest ground passes the horizon, to the right.
        easing: ``smooth`` starts and stops gently.
        strength: how far each keyframe goes from the one before it, at least; the further the
            camera moves between them, the further it goes by itself.
    """

    zoom: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    pan_x: Annotated[float, Meta(ge=-4, le=4)] = 0.0
    pan_y: Annotated[float, Meta(ge=-4, le=4)] = 0.0
    roll: Annotated[float, Meta(ge=-180, le=180)] = 0.0
    orbit: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    easing: Easing = "smooth"
    strength: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Scene(Value, frozen=True, kw_only=True):
    """A part of the film: what it shows and for how long (seconds).

    Attributes:
        motion: how it follows the scene before it, where that is not the recipe's ``motion``.
        camera: where its camera goes; without one, noise and prompts alone change the picture.
        start_image: SHA-256 of the picture that it begins from, which the engine was brought.
        strength: how far its first keyframe goes from that picture: 0 keeps it, 1 ignores it.
    """

    prompt: Prompt
    seconds: Annotated[float, Meta(ge=0.1, le=120)] = 4.0
    motion: Motion | msgspec.UnsetType = msgspec.UNSET
    camera: Camera | msgspec.UnsetType = msgspec.UNSET
    start_image: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    strength: Annotated[float, Meta(ge=0, le=1)] = 0.5


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
            into the next, ``cut`` cuts, ``fade`` lays one over the other.
        spacing: ``adaptive`` puts keyframes where the picture changes, ``even`` on the beat.
        loop: whether the film ends where it began.
        shared_noise: whether scenes after a cut or a fade begin with the first one's noise, so
            that what is where stays.
        anchor_attention: whether each keyframe looks at the first one while it is painted, so that
            who is seen there stays recognisable; not every model can.
        fps: frames per second.
        animatic: whether keyframes stand still up to the next, with nothing drawn in between.
        keyframes: seconds at which they stand; left out, that is found while they are painted.
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
    spacing: Spacing = "adaptive"
    loop: bool = False
    shared_noise: bool = False
    anchor_attention: bool = False
    format: Format = "mp4"
    animatic: bool = False
    keyframes: (
        Annotated[
            tuple[Annotated[float, Meta(ge=0, le=MAX_FRAMES)], ...], Meta(max_length=MAX_FRAMES)
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    retakes: Annotated[tuple[Retake, ...], Meta(max_length=MAX_FRAMES)] | msgspec.UnsetType = (
        msgspec.UNSET
    )

    @property
    def takes(self) -> dict[float, Retake]:
        """The retakes by time, rounded to microseconds."""
        retakes = () if self.retakes is msgspec.UNSET else self.retakes
        return {round(retake.seconds, 6): retake for retake in retakes}

    @property
    def start_images(self) -> tuple[str, ...]:
        """SHA-256 of each picture that a scene begins from, in order and once."""
        images = (scene.start_image for scene in self.scenes)
        return tuple(dict.fromkeys(image for image in images if image is not msgspec.UNSET))

    @property
    def seconds(self) -> float:
        """Duration of the film in seconds, before it is rounded to whole frames."""
        return sum(scene.seconds for scene in self.scenes)

    @property
    def frames(self) -> int:
        """Number of frames of the film."""
        return max(1, round(self.seconds * self.fps))

    @property
    def comes_round(self) -> bool:
        """Whether the last frame is followed by the first."""
        return self.loop and self.frames > 1

    @property
    def motions(self) -> tuple[Motion, ...]:
        """How each scene follows the one before it; nothing is before the first."""
        own = (scene.motion for scene in self.scenes)
        return tuple(self.motion if motion is msgspec.UNSET else motion for motion in own)


class Bounds(NamedTuple):
    """The limits of a field; of a text or a list they are those of its length.

    Attributes:
        least: the smallest that is accepted.
        most: the largest that is accepted.
    """

    least: float
    most: float


def bounds(field: str, of: type[msgspec.Struct] | None = None) -> Bounds:
    """Return the limits of a field, as the ``Meta`` of its type states them.

    Args:
        field: its name.
        of: the struct that has the field; the recipe if it is left out.

    Raises:
        KeyError: there is no such field, or its type states no limits.
    """
    described = msgspec.inspect.type_info(of or Recipe)
    assert isinstance(described, msgspec.inspect.StructType)
    found = next((each.type for each in described.fields if each.name == field), None)
    options = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    for option in options:
        match option:
            case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
                most = option.le if option.le is not None else option.lt
                if option.ge is not None and most is not None:
                    return Bounds(option.ge, most if option.le is not None else most - 1)
            case msgspec.inspect.StrType() | msgspec.inspect.VarTupleType():
                if option.max_length is not None:
                    return Bounds(option.min_length or 0, option.max_length)
    raise KeyError(field)


def _span(field: str, of: type[msgspec.Struct] | None = None) -> str:
    """Return the limits of a field in words: ``1 to 150``."""
    least, most = bounds(field, of)
    return f"{_digits(least)} to {_digits(most)}"


def _digits(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


REMEDIES = {
    "scenes": f"give {_span('scenes')} scenes, each with a prompt",
    "prompt": f"describe the scene in {_span('prompt', Scene)} characters",
    "negative_prompt": f"use at most {MAX_PROMPT} characters",
    "seconds": f"let each scene last {_span('seconds', Scene)} seconds",
    "seed": f"give a whole number from {_span('seed')}",
    "width": f"give a multiple of 8 from {_span('width')} pixels",
    "height": f"give a multiple of 8 from {_span('height')} pixels",
    "num_inference_steps": f"give {_span('num_inference_steps')} steps",
    "guidance_scale": f"give a number from {_span('guidance_scale')}; 1 switches it off",
    "scheduler": f"choose one of: {', '.join(get_args(Scheduler))}",
    "fps": f"give {_span('fps')} frames per second",
    "interpolation_factor": f"give {_span('interpolation_factor')} frames per keyframe interval",
    "drift": "give a number from 0 (still) to 1 (a picture width a second)",
    "retakes": f"give at most {MAX_FRAMES}, each with its time in seconds",
    "motion": f"choose one of: {', '.join(get_args(Motion))}",
    "spacing": f"choose one of: {', '.join(get_args(Spacing))}",
    "loop": "give true or false",
    "shared_noise": "give true or false",
    "anchor_attention": "give true or false",
    "animatic": "give true or false",
    "keyframes": f"give at most {MAX_FRAMES} times in seconds",
    "easing": f"choose one of: {', '.join(get_args(Easing))}",
    "zoom": f"give a factor from {_span('zoom', Camera)}; 1 stays",
    "pan_x": f"give picture widths from {_span('pan_x', Camera)}",
    "pan_y": f"give picture heights from {_span('pan_y', Camera)}",
    "roll": f"give degrees from {_span('roll', Camera)}",
    "orbit": f"give picture widths from {_span('orbit', Camera)}",
    "start_image": "drop the picture in again",
    "strength": "give a number from 0 (keep the picture) to 1 (ignore it)",
    "format": f"choose one of: {', '.join(get_args(Format))}",
    "version": "make the recipe with the same version of VisionFlux",
}


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
