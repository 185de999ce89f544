"""Draws the world that the offline model knows: flat, poster-like pictures.

Everything comes from a seed: a scene says what is seen, the generator says how it looks
this time. Layers move exactly with `time`. Knows nothing about words, models or files.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from training import beyond, country, places, weather
from training.canvas import Canvas
from training.grading import grade
from training.scene import Scene

PAINTERS = {**places.PAINTERS, **country.PAINTERS, **beyond.PAINTERS}


def paint_sky(canvas: Canvas) -> None:
    """Paint the gradient, the glow and the disc."""
    palette = canvas.palette
    stops = np.array([0.0, 0.34, 0.64, 1.0])
    colours = np.stack([palette.top, palette.middle, palette.horizon, palette.horizon])
    gradient = np.stack(
        [np.interp(canvas.rows[:, 0], stops, colours[:, channel]) for channel in range(3)], -1
    )
    canvas.picture[:] = canvas.glow(gradient[:, None].astype(np.float32), palette.halo)


def paint_disc(canvas: Canvas) -> None:
    """Paint the sun or the moon with a crisp edge and a thin corona."""
    outside = canvas.disc_distance - canvas.disc_radius
    corona = 0.35 * np.exp(-np.maximum(outside, 0) / 0.03)
    canvas.paint(corona, canvas.palette.light)
    canvas.paint(np.clip(0.5 - outside * canvas.height, 0, 1), canvas.palette.disc)


def draw(
    scene: Scene,
    rng: np.random.Generator,
    width: int = 256,
    height: int = 256,
    *,
    time: float = 0.0,
) -> np.ndarray:
    """Return one picture of a scene: uint8 RGB `(height, width, 3)`.

    Two generators with one seed give one world; `time`, in seconds, then moves the camera,
    the clouds, the water and whatever falls or flies.
    """
    canvas = Canvas(scene, rng, width, height, time)
    paint_sky(canvas)
    weather.paint_behind(canvas)
    if scene.disc in ("sun", "moon"):
        paint_disc(canvas)
    weather.paint_clouds(canvas)
    PAINTERS[scene.place](canvas)
    if scene.weather == "fog":  # it would hide the figures
        weather.paint_fog(canvas)
    if scene.figures:
        from training.figures import paint_figures  # fetches the art of the subjects

        paint_figures(canvas)
    weather.paint_before(canvas)
    picture = grade(canvas.picture, scene.palette)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def frames(
    scene: Scene, seed: int, times: Iterable[float], width: int = 256, height: int = 256
) -> Iterator[np.ndarray]:
    """Yield one world at several times, in seconds: uint8 RGB `(height, width, 3)` each."""
    for time in times:
        yield draw(scene, np.random.default_rng(seed), width, height, time=time)
