"""Settings files of Deforum as recipes: prompts by frame, camera, size, seed, steps, guidance.

Settings that change a film and have no counterpart are named (``NEUTRAL`` lists them); others, such
as those of the interface, are passed over. The names and meanings of the settings
are those of Deforum's documentation: translations in pixels a frame, angles in degrees a frame
counter-clockwise, zoom as a factor a frame; schedules such as "0:(1.02), 60:(1)" are linear between
their frames. It knows no arguments.
"""

import math
import re
from typing import Any, NamedTuple

from engine.errors import InvalidParameterError
from engine.film.fields import fields_of
from engine.film.recipe import SETTINGS, Camera, Scene

KEY = re.compile(r"\s*(\d+)\s*:\s*\(?\s*([^(),]+?)\s*\)?\s*")
SCHEDULERS = {
    "euler": "euler",
    "ddim": "ddim",
    "unipc": "unipc",
    "lcm": "lcm",
    "dpm++ 2m": "dpmsolver++",
    "dpm++ 2m karras": "dpmsolver++karras",
}
PLAIN = {  # settings with a counterpart: its name, and what it is called there
    "W": "width",
    "H": "height",
    "seed": "seed",
    "steps": "num_inference_steps",
    "scale": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "fps": "fps",
    "diffusion_cadence": "interpolation_factor",
}
NEUTRAL: dict[str, tuple[Any, ...]] = {  # without a counterpart: values that change nothing
    "strength_schedule": (0,),
    "translation_z": (0,),
    "rotation_3d_x": (0,),
    "rotation_3d_y": (0,),
    "rotation_3d_z": (0,),
    "perspective_flip_theta": (0,),
    "perspective_flip_phi": (0,),
    "perspective_flip_gamma": (0,),
    "transform_center_x": (0.5,),
    "transform_center_y": (0.5,),
    "noise_schedule": (0,),
    "contrast_schedule": (1,),
    "color_coherence": ("None",),
    "hybrid_motion": ("None",),
    "hybrid_composite": ("None", False),
    "use_init": (False,),
    "use_mask": (False,),
    "enable_steps_scheduling": (False,),
    "enable_sampler_scheduling": (False,),
    "enable_checkpoint_scheduling": (False,),
    "enable_subseed_scheduling": (False,),
    "add_soundtrack": ("None",),
    "soundtrack_path": ("",),
    "seed_behavior": ("iter", "fixed"),
    "init_image": ("", None),
    "sd_model_name": ("", None),
}
DEFAULT_FPS = 15
DEFAULT_FRAMES = 120


class Imported(NamedTuple):
    """Fields of a recipe, and what of the settings is missing there, a sentence each."""

    given: dict[str, Any]
    notes: list[str]


def import_settings(settings: dict[str, Any]) -> Imported:
    """Return what a recipe has of Deforum's settings.

    Raises:
        InvalidParameterError: there are no prompts by frame.
    """
    notes: list[str] = []
    given = _plain(settings, notes)
    fps = given["fps"] = given.get("fps", DEFAULT_FPS)
    prompts = _prompts(settings)
    frames = max(int(_number(settings.get("max_frames")) or DEFAULT_FRAMES), max(prompts) + 1)
    starts = sorted(prompts)
    ends = [*starts[1:], frames]
    starts[0] = 0
    texts = [_split(prompts[start]) for start in sorted(prompts)]
    scenes = [
        {
            "prompt": text,
            "seconds": _limited(Scene, "seconds", (end - start) / fps, notes),
            **_camera(settings, range(start, end), given, notes),
        }
        for (text, _), start, end in zip(texts, starts, ends, strict=True)
    ]
    given["scenes"] = scenes
    _negative(settings, [negative for _, negative in texts], given, notes)
    notes += [
        f"{name} has no counterpart and is left out"
        for name, neutral in NEUTRAL.items()
        if name in settings and not _is_neutral(settings[name], neutral)
    ]
    return Imported(given, list(dict.fromkeys(notes)))


def _plain(settings: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, field in PLAIN.items():
        value = _number(settings.get(name))
        if value is None or (name == "seed" and value < 0):
            continue
        known = SETTINGS[field]
        number = known.bounds.clamp(value)
        if known.multiple_of:
            number -= number % known.multiple_of
        given[field] = int(number) if known.kind is int else number
        if given[field] != value:
            notes.append(f"{name} of {value:g} becomes {given[field]:g}")
    schedule = settings.get("cfg_scale_schedule")
    if schedule and "guidance_scale" not in given:
        given["guidance_scale"] = SETTINGS["guidance_scale"].bounds.clamp(
            _mean(schedule, range(1), 7.0, "cfg_scale_schedule", notes)
        )
    sampler = str(settings.get("sampler") or "")
    if sampler.lower() in SCHEDULERS:
        given["scheduler"] = SCHEDULERS[sampler.lower()]
    elif sampler:
        notes.append(f"the sampler {sampler} has no counterpart; the model's own is used")
    return given


def _prompts(settings: dict[str, Any]) -> dict[int, str]:
    found = settings.get("prompts") or settings.get("animation_prompts")
    if isinstance(found, dict):
        prompts = {int(frame): str(text) for frame, text in found.items() if frame.isdigit()}
        if prompts:
            return prompts
    problem = "the settings have no prompts by frame"
    raise InvalidParameterError("deforum", problem, 'they stand as {"prompts": {"0": "..."}}')


def _split(prompt: str) -> tuple[str, str]:
    """Return a prompt and what stands in it behind ``--neg``."""
    text, _, negative = prompt.partition("--neg")
    return text.strip(), negative.strip()


def _negative(
    settings: dict[str, Any], own: list[str], given: dict[str, Any], notes: list[str]
) -> None:
    """Note one negative prompt for all scenes, as recipes have it."""
    common = str(settings.get("animation_prompts_negative") or "")
    found = list(dict.fromkeys(text for text in own if text))
    given["negative_prompt"] = ", ".join([*found[:1], *filter(None, [common])])
    if len(found) > 1:
        notes.append("negative prompts differ between scenes; the first one is used for all")


def _camera(
    settings: dict[str, Any], frames: range, given: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """Return where the camera of a scene goes; 2D settings alone move it in the picture's plane."""
    mode = str(settings.get("animation_mode", "2D"))
    if mode not in ("2D", "3D"):
        if mode not in ("None", "Interpolation"):
            notes.append(f"animation_mode {mode} has no counterpart; the camera stands still")
        return {}
    count = len(frames)

    def total(name: str, neutral: float) -> float:
        return _mean(settings.get(name), frames, neutral, name, notes) * count

    width = float(settings.get("W") or given.get("width") or 512)
    height = float(settings.get("H") or given.get("height") or 512)
    moves = {
        "pan_x": -total("translation_x", 0.0) / width,
        "pan_y": total("translation_y", 0.0) / height,
    }
    if mode == "2D":
        zooms = _values(settings.get("zoom"), frames, 1.0, "zoom", notes)
        moves["zoom"] = math.prod(max(0.01, zoom) for zoom in zooms)
        moves["roll"] = -total("angle", 0.0)
    fields = fields_of(Camera)
    camera = {
        name: _limited(Camera, name, value, notes)
        for name, value in moves.items()
        if abs(value - fields[name].default) > 1e-9
    }
    return {"camera": {**camera, "easing": "linear"}} if camera else {}


def _limited(struct: type, name: str, value: float, notes: list[str]) -> float:
    """Return the nearest value that a recipe accepts, and note where it is another one."""
    limited = float(fields_of(struct)[name].bounds.clamp(value))
    if limited != value:
        notes.append(f"a scene's {name} of {value:.4g} becomes {limited:g}, which is the limit")
    return round(limited, 6)


def _mean(schedule: Any, frames: range, neutral: float, name: str, notes: list[str]) -> float:
    values = _values(schedule, frames, neutral, name, notes)
    return math.fsum(values) / len(values)


def _values(
    schedule: Any, frames: range, neutral: float, name: str, notes: list[str]
) -> list[float]:
    """Return a schedule's value at each frame; one that is no number leaves the schedule out."""
    keys = _keys(schedule)
    if keys is None:
        if schedule not in (None, ""):
            notes.append(f"{name} is no list of numbers and is left out: {str(schedule)[:60]}")
        keys = [(0, neutral)]
    return [_at(keys, frame) for frame in frames] or [neutral]


def _keys(schedule: Any) -> list[tuple[int, float]] | None:
    if (number := _number(schedule)) is not None:
        return [(0, number)]
    matches = [KEY.fullmatch(part) for part in str(schedule or "").split(",")]
    if not all(matches):
        return None
    values = [(int(match[1]), _number(match[2])) for match in matches if match]
    known = sorted((frame, value) for frame, value in values if value is not None)
    return known if len(known) == len(values) else None


def _at(keys: list[tuple[int, float]], frame: int) -> float:
    before = max((key for key in keys if key[0] <= frame), default=keys[0])
    after = min((key for key in keys if key[0] >= frame), default=keys[-1])
    if before[0] >= after[0]:
        return before[1]
    share = (frame - before[0]) / (after[0] - before[0])
    return before[1] + share * (after[1] - before[1])


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Tell whether a setting changes nothing, whether a value or a schedule."""
    if value in neutral:
        return True
    keys = _keys(value) if isinstance(value, str) else None
    return keys is not None and all(number in neutral for _, number in keys)
