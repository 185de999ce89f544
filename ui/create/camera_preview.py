"""A preview of a scene's camera move, before anything is rendered.

It is a CSS animation along the same path that the engine uses. The area outside the picture is
hatched, because the engine will paint it. Pure: values in, markup out.
"""

import base64
import math

from engine.film import camera
from engine.film.camera import HORIZON, Pose, name_of
from engine.film.recipe import Camera

ANIMATION_STEPS = 12  # between them the browser interpolates
MAX_ANIMATION_SECONDS = 4.5  # a longer one would need a pause button (WCAG 2.2.2)
GRID_IMAGE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='320' height='{height}'%3E"
    "%3Cdefs%3E%3Cpattern id='g' width='32' height='32' patternUnits='userSpaceOnUse'%3E"
    "%3Cpath d='M32 0H0V32' fill='none' stroke='%23ffb36b' stroke-opacity='.55'/%3E%3C/pattern%3E"
    "%3C/defs%3E%3Crect width='320' height='{height}' fill='%23262033'/%3E"
    "%3Crect width='320' height='{height}' fill='url(%23g)'/%3E"
    "%3Crect y='{horizon}' width='320' height='2' fill='%23ff7d86'/%3E%3C/svg%3E"
)


def preview(key: str, move: Camera | None, jpeg: bytes, aspect: float, seconds: float) -> str:
    """Return markup that shows a scene's picture; ``animation_style`` moves it as the camera will.

    Args:
        key: letters and digits that no other scene has.
        move: of the scene; None stands still.
        jpeg: the scene's picture; if empty, a grid is shown.
        aspect: height of the film divided by its width.
        seconds: duration of the scene.
    """
    source = GRID_IMAGE.format(height=round(320 * aspect), horizon=round(320 * aspect * HORIZON))
    if jpeg:
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    layers = "".join(f'<img class="{part}" src="{source}" alt="">' for part in ("sky", "ground"))
    name = f"move-{key}"
    turn = f"animation-duration:{min(seconds, MAX_ANIMATION_SECONDS):.2f}s" if move else ""
    words = f"The scene's camera: {name_of(move).lower()}"
    world = f'<div class="world" style="{turn}">{layers}</div>'
    ratio = f"aspect-ratio:{1 / aspect:.4f};max-width:calc(15rem / {aspect:.4f})"
    return (
        f'<div class="move {name}" role="img" aria-label="{words}" tabindex="0" '
        f'style="{ratio}">{world}</div>'
    )


def animation_style(key: str, move: Camera, aspect: float) -> str:
    """Return the style that animates a preview: the whole picture, and the ground in addition.

    It is separate because Streamlit drops a ``<style>`` that is mixed with other markup.
    """
    name = f"move-{key}"
    poses = [camera.pose_at(move, stop / ANIMATION_STEPS) for stop in range(ANIMATION_STEPS + 1)]
    world = "".join(
        f"{100 * stop / ANIMATION_STEPS:.1f}%{{transform:{_transform(pose)}}}"
        for stop, pose in enumerate(poses)
    )
    ground = "".join(
        f"{100 * stop / ANIMATION_STEPS:.1f}%{{transform:skewX({_skew(pose, aspect):.3f}deg)}}"
        for stop, pose in enumerate(poses)
    )
    duration = "animation-duration:inherit"
    return (
        f"<style>@keyframes {name}{{{world}}}@keyframes {name}-ground{{{ground}}}"
        f".move.{name} .world{{animation-name:{name}}}"
        f".move.{name} .ground{{animation-name:{name}-ground;{duration}}}</style>"
    )


def _transform(pose: Pose) -> str:
    """Return a pose as a CSS transform, whose last function is applied first."""
    return (
        f"scale({pose.zoom:.4f}) rotate({pose.roll:.3f}deg) "
        f"translate({-100 * pose.pan_x:.3f}%,{100 * pose.pan_y:.3f}%)"
    )


def _skew(pose: Pose, aspect: float) -> float:
    """Return the angle by which an orbit skews the ground below the horizon, in degrees."""
    return math.degrees(math.atan2(pose.orbit, (1 - HORIZON) * aspect))
