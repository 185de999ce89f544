"""A recipe: what the user asked for, as a validated, versioned value.

It knows the limits that hold everywhere; it does not know models, devices, files or JSON.
"""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from engine.film.fields import fields_of

MAX_PROMPT = 2_000  # characters
MAX_SCENES = 64
MAX_FRAMES = 3_000
MAX_FILM_SIDE = 3_840  # pixels
MAX_FILM_PIXELS = 36_864 * 16 * 16  # of a frame, up to H.264's level 5.2

Prompt = Annotated[str, Meta(min_length=1, max_length=MAX_PROMPT)]
Scheduler = Literal["dpmsolver++", "dpmsolver++karras", "ddim", "euler", "unipc", "lcm"]
Format = Literal["mp4", "gif"]
Motion = Literal["morph", "cut", "fade"]
Spacing = Literal["adaptive", "even"]
Easing = Literal["linear", "smooth"]
Upscale = Literal[1, 2, 3, 4]
Music = Literal["none", "composed"]
CHANGES_NOTHING = {  # values of fields that mean the same as leaving them out
    **{"upscale": 1, "music": "none", "music_prompt": "", "music_seed": None},
    **{"music_volume": 1.0, "music_fade_in": 0.0, "music_fade_out": 0.0},
}
Side = Annotated[int, Meta(ge=64, le=2048, multiple_of=8)]  # pixels; models may take less


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the values that travel and are hashed: immutable, strict."""


class Camera(Value, frozen=True, kw_only=True):
    """Where a scene's camera goes from the scene's beginning to its end."""

    zoom: Annotated[
        float,
        Meta(
            ge=0.25,
            le=4,
            title="Zoom",
            description="How many times as large things are at the end. Below 1, the camera moves "
            "back.",
            extra={"step": 0.05},
        ),
    ] = 1.0
    pan_x: Annotated[
        float,
        Meta(
            ge=-4,
            le=4,
            title="Pan right",
            description="In picture widths. Below 0, the camera pans left.",
            extra={"step": 0.05},
        ),
    ] = 0.0
    pan_y: Annotated[
        float,
        Meta(
            ge=-4,
            le=4,
            title="Pan up",
            description="In picture heights. Below 0, the camera pans down.",
            extra={"step": 0.05},
        ),
    ] = 0.0
    roll: Annotated[
        float,
        Meta(
            ge=-180,
            le=180,
            title="Roll",
            description="In degrees, clockwise.",
            extra={"step": 1.0},
        ),
    ] = 0.0
    orbit: Annotated[
        float,
        Meta(
            ge=-2,
            le=2,
            title="Orbit",
            description="How far the foreground moves past the horizon, in picture widths to the "
            "right.",
            extra={"step": 0.05},
        ),
    ] = 0.0
    easing: Annotated[
        Easing,
        Meta(
            title="Speed",
            extra={"names": {"smooth": "Gentle start and stop", "linear": "Constant"}},
        ),
    ] = "smooth"
    strength: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="Repaint",
            description="The smallest share of each keyframe that is painted again. More is "
            "painted where the camera moves far between two keyframes.",
            extra={"step": 0.05},
        ),
    ] = 0.0


class Scene(Value, frozen=True, kw_only=True):
    """A part of the film: what it shows and for how long (seconds).

    Attributes:
        motion: how it follows the scene before it; left out, the recipe's ``motion`` says that.
        camera: where its camera goes; left out, only noise and prompts change the picture.
        start_image: SHA-256 of the picture that it begins from, which a client has uploaded.
        strength: of 0 keeps that picture in the first keyframe, 1 ignores it.
    """

    prompt: Prompt
    seconds: Annotated[float, Meta(ge=0.1, le=120, title="Seconds", extra={"step": 0.5})] = 4.0
    motion: (
        Annotated[
            Motion,
            Meta(
                title="Transition",
                extra={"names": {"morph": "Melt", "fade": "Fade", "cut": "Cut"}},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    camera: Camera | msgspec.UnsetType = msgspec.UNSET
    start_image: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    strength: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="How much of the picture may change",
            description="0 keeps the picture in the first keyframe; 1 ignores it.",
            extra={"step": 0.05},
        ),
    ] = 0.5


class Retake(Value, frozen=True, kw_only=True):
    """Another take of the keyframe that stands at a time, if one does.

    ``seed``: of its noise, in place of the walk's; ``prompt``: in place of its scene's.
    """

    seconds: Annotated[float, Meta(ge=0, le=MAX_FRAMES)]
    seed: Annotated[int, Meta(ge=0, lt=2**32)] | msgspec.UnsetType = msgspec.UNSET
    prompt: Prompt | msgspec.UnsetType = msgspec.UNSET


class Recipe(Value, frozen=True, kw_only=True):
    """Everything that determines a film, apart from the weights of the model.

    A field with a title is a setting: the command line has a flag for it, the app a widget.

    Attributes:
        scenes: in order of time; their durations add up to the film's.
        seed: of the first noise, which is drawn on the CPU: it means the same on every device.
        drift: what moves is the picture below the horizon.
        upscale: how many times as long as painted the film's sides are; left out, 1.
        music: what is heard; left out, nothing. Without it, what else says music is left out.
        anchor_attention: only some models can do this (``Card.anchor_attention``).
        animatic: whether each keyframe is shown until the next one, without in-betweens.
        keyframes: seconds at which they stand; left out, that is found while they are painted.
        retakes: keyframes that differ from what scenes and seed give; of those of one time, the
            last counts.
    """

    version: Literal[1] = 1
    scenes: Annotated[tuple[Scene, ...], Meta(min_length=1, max_length=MAX_SCENES)]
    negative_prompt: Annotated[
        str,
        Meta(
            max_length=MAX_PROMPT,
            title="Negative prompt",
            description="What the pictures should not show.",
        ),
    ] = ""
    seed: Annotated[
        int,
        Meta(
            ge=0,
            lt=2**32,
            title="Seed",
            description="Picks one of many possible films. The same seed and settings give the "
            "same film again.",
        ),
    ] = 0
    width: Annotated[Side, Meta(title="Width", description="In pixels, a multiple of 8.")] = 256
    height: Annotated[Side, Meta(title="Height", description="In pixels, a multiple of 8.")] = 256
    upscale: (
        Annotated[
            Upscale,
            Meta(
                title="Enlarge",
                description="Keyframes are enlarged after they are painted, and the frames between "
                "them are drawn from the enlarged ones.",
                extra={
                    "names": {1: "As painted", 2: "2 times", 3: "3 times", 4: "4 times"},
                    "unset": 1,
                },
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET  # no 1: older names must stay as they are
    num_inference_steps: Annotated[
        int,
        Meta(
            ge=1,
            le=150,
            title="Steps",
            description="The number of steps in which each keyframe is painted. More steps take "
            "longer and are not always better.",
        ),
    ] = 20
    guidance_scale: Annotated[
        float,
        Meta(
            ge=1,
            le=30,
            title="Guidance scale",
            description="How closely the picture follows the prompt; 1 switches guidance off.",
            extra={"step": 0.5},
        ),
    ] = 4.0
    scheduler: Annotated[
        Scheduler,
        Meta(
            title="Scheduler",
            description="The method that turns noise into a picture. DPM-Solver++ needs the "
            "fewest steps.",
            extra={
                "names": {
                    "dpmsolver++": "DPM-Solver++",
                    "dpmsolver++karras": "DPM-Solver++ (Karras)",
                    "ddim": "DDIM",
                    "euler": "Euler",
                    "unipc": "UniPC",
                    "lcm": "LCM",
                }
            },
        ),
    ] = "dpmsolver++"
    model: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            title="Model",
            description="The model that paints the keyframes. Each has its own defaults.",
        ),
    ] = "landscapes"
    fps: Annotated[
        int,
        Meta(
            ge=1,
            le=60,
            title="Frames per second",
            description="24 looks like cinema; more is smoother and takes longer.",
        ),
    ] = 24
    interpolation_factor: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            title="Frames per keyframe",
            description="With 8, every eighth frame is painted, and the seven between are drawn "
            "from their neighbours. With 1, every frame is painted.",
        ),
    ] = 8
    drift: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="Drift",
            description="The speed at which the ground moves past, in picture widths per second. "
            "At 0 it does not move.",
            extra={"step": 1 / 32},
        ),
    ] = 0.0
    motion: Annotated[
        Motion,
        Meta(
            title="Transition",
            description="How scenes follow each other, unless a scene has its own transition.",
            extra={"names": {"morph": "Melt", "cut": "Cut", "fade": "Fade"}},
        ),
    ] = "morph"
    spacing: Annotated[
        Spacing,
        Meta(
            title="Keyframe spacing",
            description="Adaptive: more keyframes where the picture changes more, for an even "
            "pace. Even: keyframes at equal distances.",
            extra={"names": {"adaptive": "Adaptive", "even": "Even"}},
        ),
    ] = "adaptive"
    loop: Annotated[
        bool,
        Meta(
            title="Loop",
            description="The film ends where it began, so that it can repeat without a seam.",
        ),
    ] = False
    shared_noise: Annotated[
        bool,
        Meta(
            title="Keep the layout",
            description="After a cut or a fade, things stay where they were in the first scene: "
            "the sun, the horizon, a person.",
        ),
    ] = False
    anchor_attention: Annotated[
        bool,
        Meta(
            title="Keep the subject",
            description="Every keyframe is painted after the first one, so that its subject stays "
            "recognisable. Painting takes about twice as long.",
        ),
    ] = False
    format: Annotated[
        Format,
        Meta(
            title="Format",
            description="MP4 is sharp and small. A GIF plays anywhere, with fewer colours and "
            "frames.",
            extra={"names": {"mp4": "MP4 video", "gif": "GIF"}},
        ),
    ] = "mp4"
    music: (
        Annotated[
            Music,
            Meta(
                title="Music",
                description="Composed: music whose mood follows the prompts, and whose sections "
                "begin with the scenes. A GIF has no sound.",
                extra={"names": {"none": "None", "composed": "Composed"}, "unset": "none"},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET  # no "none": older names must stay as they are
    music_prompt: (
        Annotated[
            str,
            Meta(
                max_length=MAX_PROMPT,
                title="Music prompt",
                description="The mood of the music. Left out, it follows the scenes.",
                extra={"unset": ""},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    music_seed: (
        Annotated[
            int,
            Meta(
                ge=0,
                lt=2**32,
                title="Music seed",
                description="Picks one of many pieces. Left out, it is the film's seed.",
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    music_volume: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=1,
                title="Music volume",
                description="1 is as loud as streaming services play music; 0.5 is 6 dB quieter.",
                extra={"step": 0.05, "unset": 1.0},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    music_fade_in: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=30,
                title="Music fades in",
                description="Seconds in which the music rises from silence.",
                extra={"step": 0.5, "unset": 0.0},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    music_fade_out: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=30,
                title="Music fades out",
                description="Seconds in which the music falls to silence before the film ends.",
                extra={"step": 0.5, "unset": 0.0},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
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

    def __post_init__(self) -> None:
        """Leave out what changes nothing, so that equal films have equal recipes."""
        for name, nothing in CHANGES_NOTHING.items():
            silent = name.startswith("music_") and not self.music
            if silent or getattr(self, name) == nothing:
                msgspec.structs.force_setattr(self, name, msgspec.UNSET)

    @property
    def enlargement(self) -> int:
        """How many times as long as painted the sides of the frames are."""
        return 1 if self.animatic else self.upscale or 1

    @property
    def film_size(self) -> tuple[int, int]:
        """Width and height of the frames, in pixels."""
        return self.width * self.enlargement, self.height * self.enlargement

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
    def guided(self) -> bool:
        """Whether keyframes are painted with classifier-free guidance."""
        return self.guidance_scale > 1

    @property
    def comes_round(self) -> bool:
        """Whether the last frame is followed by the first."""
        return self.loop and self.frames > 1

    @property
    def has_music(self) -> bool:
        """Whether the film has a soundtrack."""
        return self.music is not msgspec.UNSET and self.format != "gif"

    @property
    def motions(self) -> tuple[Motion, ...]:
        """How each scene follows the one before it; nothing is before the first."""
        own = (scene.motion for scene in self.scenes)
        return tuple(self.motion if motion is msgspec.UNSET else motion for motion in own)


SETTINGS = {name: field for name, field in fields_of(Recipe).items() if field.title}


def largest_upscale(width: int, height: int) -> int:
    """Return how many times pictures of a size, in pixels, can be enlarged; 1 for not at all."""
    factors: tuple[int, ...] = get_args(Upscale)
    return max(
        factor
        for factor in factors
        if max(width, height) * factor <= MAX_FILM_SIDE
        and width * height * factor**2 <= MAX_FILM_PIXELS
    )
