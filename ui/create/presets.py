"""Named ways of making a film, each a few settings in relation to a model's own. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.models import Defaults

Settings = dict[str, Any]


class Preset(NamedTuple):
    """A way of making a film; ``fill`` returns its settings for a model."""

    name: str
    help: str
    fill: Callable[[Defaults], Settings]


def _settings(defaults: Defaults, steps: float, fps: int, factor: int, pace: float) -> Settings:
    return {
        "num_inference_steps": max(4, min(150, round(defaults.num_inference_steps * steps))),
        "guidance_scale": defaults.guidance_scale,
        "scheduler": defaults.scheduler,
        "fps": fps,
        "interpolation_factor": factor,
        "drift": round(defaults.drift * pace * 32) / 32,
    }


PRESETS = (
    Preset(
        "Balanced",
        "What this model does well: its own steps and 24 frames a second.",
        lambda defaults: _settings(defaults, 1, 24, 8, 1),
    ),
    Preset(
        "Quick look",
        "A rough version in a third of the time, to see whether the words work.",
        lambda defaults: _settings(defaults, 0.5, 12, 6, 1),
    ),
    Preset(
        "Fine",
        "Half as many steps again and twice as many painted keyframes; slow, and rich in detail.",
        lambda defaults: _settings(defaults, 1.5, 24, 4, 1),
    ),
    Preset(
        "Still life",
        "The ground rests; only light and weather change.",
        lambda defaults: _settings(defaults, 1, 24, 12, 0),
    ),
    Preset(
        "Travelling",
        "The land passes by twice as fast, in 30 smooth frames a second.",
        lambda defaults: _settings(defaults, 1, 30, 6, 2),
    ),
)


def chosen(settings: Settings, defaults: Defaults) -> str:
    """Return the name of the preset that the settings are; empty if they are none."""
    for preset in PRESETS:
        if preset.fill(defaults).items() <= settings.items():
            return preset.name
    return ""
