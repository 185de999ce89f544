"""Where a scene's camera is at a moment, and where it takes each point of the picture.

Places are in picture widths from the picture's centre, x to the right and y downwards. Pure
arithmetic that takes numbers and NumPy arrays alike; it knows no pictures.

Depth is assumed, not measured: the ground is a plane that ends at a horizon, and everything above
that is infinitely far. An orbit moves the ground past the sky, near parts more.
"""

import math
from typing import Any

from engine.film.recipe import Camera, Value

HORIZON = 0.45  # share of the height above which nothing is near
GRID = [index / 8 - 0.5 for index in range(9)]  # points at which a move is looked at


class Pose(Value, frozen=True, array_like=True, kw_only=True):
    """A camera at a moment, relative to where its scene began; units as in ``Camera``."""

    zoom: float = 1.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    roll: float = 0.0
    orbit: float = 0.0


class Move(Value, frozen=True, array_like=True, kw_only=True):
    """A camera's way from one pose straight to another."""

    before: Pose
    after: Pose

    def at(self, position: float) -> Pose:
        """Return the pose at a position on the way; 0 is ``before``, 1 is ``after``."""
        return between(self.before, self.after, position)


REST = Pose()
STILL, OWN = "No move", "Custom move"  # what moves are called that are no preset
PRESETS = {
    "Slow push in": Camera(zoom=1.35),
    "Pull back": Camera(zoom=0.75),
    "Drift left": Camera(pan_x=-0.5),
    "Drift right": Camera(pan_x=0.5),
    "Crane up": Camera(pan_y=0.4),
    "Crane down": Camera(pan_y=-0.4),
    "Dutch turn": Camera(roll=10, zoom=1.2),
    "Orbit": Camera(orbit=0.4, pan_x=0.15),
}


def name_of(move: Camera | None) -> str:
    """Return what a camera's move is called: a preset's name, ``STILL`` or ``OWN``."""
    if move is None:
        return STILL
    return next((name for name, preset in PRESETS.items() if preset == move), OWN)


def eased(camera: Camera, progress: float) -> float:
    """Return which share of a scene's way its camera has gone after a share of its time."""
    if camera.easing == "linear":
        return progress
    return progress * progress * (3 - 2 * progress)


def pose_at(camera: Camera, progress: float) -> Pose:
    """Return the pose after a share of the scene's time, rounded so that hashes of it agree."""
    end = Pose(
        zoom=camera.zoom,
        pan_x=camera.pan_x,
        pan_y=camera.pan_y,
        roll=camera.roll,
        orbit=camera.orbit,
    )
    return between(REST, end, eased(camera, min(1.0, max(0.0, progress))))


def between(first: Pose, second: Pose, position: float) -> Pose:
    """Return the pose at a position between two; a zoom grows by equal factors."""

    def mixed(one: float, two: float) -> float:
        return round((1 - position) * one + position * two, 9)

    return Pose(
        zoom=round(first.zoom * math.pow(second.zoom / first.zoom, position), 9),
        pan_x=mixed(first.pan_x, second.pan_x),
        pan_y=mixed(first.pan_y, second.pan_y),
        roll=mixed(first.roll, second.roll),
        orbit=mixed(first.orbit, second.orbit),
    )


def carry(x: Any, y: Any, before: Pose, after: Pose, aspect: float) -> tuple[Any, Any]:
    """Return where points of the picture go when the camera goes from one pose to another.

    Args:
        x: of the points, numbers or arrays.
        y: likewise.
        before: the pose from which the points are seen.
        after: the pose in which they are looked for.
        aspect: height of the picture, in its widths.
    """
    return _seen(*_ground(x, y, before, aspect), after, aspect)


def distance(move: Move, aspect: float) -> float:
    """Return how far a move carries a point of the picture in the mean, in picture widths."""
    points = [(x, y * aspect) for x in GRID for y in GRID]
    gone = [carry(x, y, move.before, move.after, aspect) for x, y in points]
    paths = [math.dist(here, there) for here, there in zip(points, gone, strict=True)]
    return sum(paths) / len(paths)


def overlap(pose: Pose, other: Pose, aspect: float) -> float:
    """Return which share of what is seen in one pose is in view in another."""
    seen = [carry(x, y * aspect, pose, other, aspect) for x in GRID for y in GRID]
    inside = sum(abs(x) <= 0.5 + 1e-9 and abs(y) <= aspect / 2 + 1e-9 for x, y in seen)
    return float(inside / len(seen))


def _ground(x: Any, y: Any, pose: Pose, aspect: float) -> tuple[Any, Any]:
    """Return where in the scene's first picture, continued in thought, points are."""
    cosine, sine = _turn(-pose.roll)
    far_x = (cosine * x - sine * y) / pose.zoom + pose.pan_x
    far_y = (sine * x + cosine * y) / pose.zoom - pose.pan_y * aspect
    return far_x - pose.orbit * _nearness(far_y, aspect), far_y


def _seen(x: Any, y: Any, pose: Pose, aspect: float) -> tuple[Any, Any]:
    cosine, sine = _turn(pose.roll)
    x = (x + pose.orbit * _nearness(y, aspect) - pose.pan_x) * pose.zoom
    y = (y + pose.pan_y * aspect) * pose.zoom
    return cosine * x - sine * y, sine * x + cosine * y


def _nearness(y: Any, aspect: float) -> Any:
    """Return 0 from the horizon up, 1 at the lower border: on a plane, what distance takes away."""
    below = (y / aspect + 0.5 - HORIZON) / (1 - HORIZON)
    return (below + abs(below)) / 2


def _turn(degrees: float) -> tuple[float, float]:
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
