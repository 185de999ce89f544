"""What hangs, shines, falls or flies in the sky. Knows nothing about the ground."""

import cv2
import numpy as np

from training.canvas import CELL, Canvas, fractal
from training.palettes import mix


def paint_behind(canvas: Canvas) -> None:
    """Paint what lies behind the sun or moon: stars and aurora."""
    weather = canvas.scene.weather
    if canvas.scene.place in ("space", "under water"):
        return
    if weather == "stars" or (weather in ("clear", "aurora") and canvas.scene.time == "night"):
        paint_stars(canvas, 110 if weather == "stars" else 22)
    if weather == "aurora":
        paint_aurora(canvas)
    if weather == "rainbow":
        paint_rainbow(canvas)


def paint_clouds(canvas: Canvas) -> None:
    """Paint clouds, where the scene has them."""
    if canvas.scene.weather == "clouds":
        paint_cumulus(canvas)
    if canvas.scene.weather in ("rain", "storm"):
        paint_overcast(canvas)
    if canvas.scene.weather == "storm":
        paint_lightning(canvas)


def paint_before(canvas: Canvas) -> None:
    """Paint what is in front of everything: snow, birds and rain."""
    if canvas.scene.weather == "snow":
        paint_snow(canvas)
    if canvas.scene.weather == "birds":
        paint_birds(canvas)
    if canvas.scene.weather in ("rain", "storm"):
        paint_rain(canvas)


def dots(canvas: Canvas, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return the mask of round dots: centres `(count, 2)` and radii `(count,)` in heights."""
    mask = np.zeros((canvas.height, canvas.width), np.uint8)
    for (x, y), radius in zip(centres * canvas.height - 0.5, radii * canvas.height, strict=True):
        at = (round(x * 256), round(y * 256))
        cv2.circle(mask, at, round(radius * 256), 255, -1, cv2.LINE_AA, 8)
    return mask.astype(np.float32) / 255


def cells(centres: np.ndarray) -> np.ndarray:
    """Move points `(count, 2)` to the middle of their cell."""
    return (np.floor(centres / CELL) + 0.5) * CELL


def paint_stars(canvas: Canvas, count: int) -> None:
    """Paint stars of mixed sizes, fewer toward the horizon and around the disc."""
    spots = canvas.rng.random((count, 3))
    reach = canvas.width / canvas.height
    centres = cells(np.stack([spots[:, 0] * reach, spots[:, 1] ** 1.4 * 0.56], -1))
    away = np.hypot(centres[:, 0] - canvas.disc_x, centres[:, 1] - canvas.disc_y) > 0.15
    radii = np.choose((spots[:, 2] > 0.6) + 0 + (spots[:, 2] > 0.9), (0.0034, 0.0052, 0.0080))
    canvas.paint(dots(canvas, centres[away], radii[away]) * 0.9, np.float32((250, 248, 240)))


def paint_aurora(canvas: Canvas) -> None:
    """Paint green and violet curtains that wander with time."""
    rng = canvas.rng
    for colour in ((70, 240, 170), (150, 110, 240)):
        base = 0.26 + 0.20 * fractal(canvas.columns + 0.04 * canvas.time, rng, 1.5, 2, True)
        folds = fractal(canvas.columns - 0.03 * canvas.time, rng, 9.0, 2, True)
        up = (base - canvas.rows) / (0.12 + 0.18 * folds)
        curtain = np.where(up > 0, np.exp(-np.maximum(up, 0) * 1.3), np.exp(up * 9))
        strength = curtain * (0.35 + 0.65 * folds) * 0.92
        canvas.paint(strength.astype(np.float32), np.float32(colour))


def paint_cumulus(canvas: Canvas) -> None:
    """Paint long flat-based clouds that drift, brighter where the disc shines on them."""
    rng, palette = canvas.rng, canvas.palette
    reach = canvas.width / canvas.height
    for index in range(5):
        x, y = rng.uniform(-0.1, reach + 0.1), 0.08 + 0.085 * index + rng.uniform(-0.02, 0.02)
        half, speed = rng.uniform(0.13, 0.26), rng.uniform(0.01, 0.03)
        puffs = rng.random((5, 2))
        x += speed * canvas.time
        along = (puffs[:, 0] - 0.5) * 1.3
        radii = half * (0.10 + 0.16 * puffs[:, 1]) * (1.15 - np.abs(along))
        centres = np.stack([x + along * half, np.full(5, y)], -1)
        mask = dots(canvas, centres, radii)
        base = np.clip((y - canvas.rows) * canvas.height + 0.5, 0, 1)
        mask = np.maximum(mask * base, canvas.shapes([streak(x, y, half)]))
        clear = np.clip((canvas.disc_distance - canvas.disc_radius) * 40, 0.25, 1)
        colour = mix(palette.horizon, palette.white, 0.45)
        canvas.paint(mask * clear * 0.72, canvas.glow(colour, 0.5))


def streak(x: float, y: float, half: float) -> np.ndarray:
    """Return a cloud's flat base: a long thin rounded bar `(points, 2)`."""
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    wave = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.6
    return np.stack([x + half * np.cos(turn), y + 0.011 * wave], -1).astype(np.float32)


def paint_snow(canvas: Canvas) -> None:
    """Paint falling flakes; near ones are larger and fall faster."""
    flakes = canvas.rng.random((130, 4))
    reach, near = canvas.width / canvas.height, flakes[:, 2] ** 2
    phase = 2 * np.pi * flakes[:, 3]
    sway = 0.02 * (np.sin(phase + 0.5 * np.pi * canvas.time) - np.sin(phase))
    home = cells(flakes[:, :2] * np.float32((reach + 0.2, 1.1)))
    x = home[:, 0] - 3 * CELL + sway
    y = (home[:, 1] + (0.06 + 0.12 * near) * canvas.time) % 1.1 - 2 * CELL
    white = mix(canvas.palette.white, np.float32(255), 0.4)
    radii = np.choose((near > 0.25) + 0 + (near > 0.7), (0.0062, 0.0095, 0.0145))
    canvas.paint(dots(canvas, np.stack([x, y], -1), radii) * 0.92, white)


def paint_fog(canvas: Canvas) -> None:
    """Paint long banks of fog that drift over the ground, the nearer the lower."""
    rng, palette = canvas.rng, canvas.palette
    colour = canvas.glow(mix(palette.horizon, palette.white, 0.25), 0.35)
    for base, thick, speed in ((0.58, 0.10, 0.01), (0.72, 0.08, 0.02), (0.88, 0.07, 0.03)):
        along = canvas.columns + speed * canvas.time
        line = base + 0.05 * (fractal(along, rng, 1.3, 2, True) - 0.5)
        density = 0.35 + 0.65 * fractal(along, rng, 0.9, 2, True)
        bank = np.exp(-np.square((canvas.rows - line) / thick)) * density
        canvas.paint((0.92 * bank).astype(np.float32), colour)


def paint_overcast(canvas: Canvas) -> None:
    """Paint dark rain clouds with scalloped edges along the top of the sky."""
    rng, palette = canvas.rng, canvas.palette
    layers = ((0.07, 0.86), (0.01, 0.70))
    if canvas.scene.weather == "storm":
        layers = ((0.34, 0.92), (0.22, 0.74), (0.10, 0.56))
    for base, shade in layers:
        along = canvas.columns + 0.02 * canvas.time
        edge = base + 0.07 * (np.abs(np.sin(5 * along + rng.uniform(0, 3))) - 0.5)
        edge = edge + 0.05 * fractal(along, rng, 2.0, 2, True)
        cloud = 1 - canvas.below(edge.astype(np.float32))
        clear = np.clip((canvas.disc_distance - canvas.disc_radius) * 40, 0.1, 1)
        if not canvas.scene.disc:
            clear = np.float32(1)
        canvas.paint(cloud * clear * 0.9, mix(palette.top, palette.middle, 0.4) * np.float32(shade))


def paint_lightning(canvas: Canvas) -> None:
    """Paint one forked bolt and its glow, at the scene's side."""
    rng = canvas.rng
    y, steps = np.linspace(0.16, 0.62, 9), rng.uniform(-0.055, 0.055, 9)
    x = canvas.disc_x + np.cumsum(steps) - steps[0]
    near = np.min(
        np.hypot(canvas.columns - x[:, None, None], canvas.rows - y[:, None, None]), axis=0
    )
    canvas.paint((0.45 * np.exp(-near / 0.06)).astype(np.float32), np.float32((206, 200, 255)))
    half = np.linspace(0.011, 0.002, 9)
    bolt = np.concatenate([np.stack([x - half, y], -1), np.stack([x + half, y], -1)[::-1]])
    turn = np.sign(rng.normal())
    fork = [(x[4], y[4]), (x[4] + 0.05 * turn, y[5]), (x[4] + 0.045 * turn, y[6]),
            (x[4] + 0.10 * turn, y[7]), (x[4] + 0.035 * turn, y[6]), (x[4] + 0.04 * turn, y[5]),
            (x[4], y[4] + 0.02)]  # fmt: skip
    shapes = canvas.shapes([bolt.astype(np.float32), np.float32(fork)])
    canvas.paint(shapes, np.float32((255, 250, 220)))


def paint_rainbow(canvas: Canvas) -> None:
    """Paint a wide bow that rises away from the disc and ends behind the ground."""
    reach = canvas.width / canvas.height
    middle = reach - canvas.disc_x if abs(canvas.disc_x - reach / 2) > 0.1 * reach else 0.2 * reach
    radius = 0.46 + 0.06 * canvas.rng.random()
    distance = np.hypot(canvas.columns - middle, canvas.rows - 0.68)
    colours = ((238, 84, 88), (250, 160, 70), (252, 226, 96), (110, 206, 120), (86, 160, 236),
               (150, 110, 220))  # fmt: skip
    for index, colour in enumerate(colours):
        band = np.abs(distance - (radius - 0.016 * (index + 0.5)))
        mask = np.clip(0.5 - (band - 0.008) * canvas.height, 0, 1)
        canvas.paint((mask * 0.72).astype(np.float32), np.float32(colour))


def paint_rain(canvas: Canvas) -> None:
    """Paint slanting streaks; near ones are longer and fall faster."""
    reach = canvas.width / canvas.height
    streaks = []
    for x, y, near in canvas.rng.random((90, 3)):
        fall = (y * 1.2 + (0.5 + 0.5 * near) * canvas.time) % 1.2 - 0.1
        long, half = 0.05 + 0.07 * near, 0.0021 + 0.0023 * near
        left = x * (reach + 0.2) - 0.1 - 0.22 * fall
        corners = ((0, 0), (2 * half, 0), (2 * half - 0.22 * long, long), (-0.22 * long, long))
        streaks.append(np.float32(corners) + np.float32((left, fall)))
    pale = mix(canvas.palette.white, canvas.palette.horizon, 0.3)
    canvas.paint(canvas.shapes(streaks) * 0.62, pale)


def paint_birds(canvas: Canvas) -> None:
    """Paint a loose flock of birds on slow wings."""
    rng = canvas.rng
    middle = (rng.uniform(0.25, 0.75) * canvas.width / canvas.height, rng.uniform(0.16, 0.40))
    dark = mix(canvas.palette.near, canvas.palette.top, 0.3) * np.float32(0.4)
    wings = []
    for x, y, size, phase in rng.uniform((-1, -1, 0.6, 0), (1, 1, 1, 1), (8, 4)):
        lift = 0.55 + 0.35 * np.sin(2 * np.pi * (phase + 0.9 * canvas.time))
        at = np.float32((middle[0] + 0.24 * x + 0.05 * canvas.time, middle[1] + 0.10 * y))
        half, low = 0.030 * size, 0.030 * size * lift
        wings.append(bird(half, low) + at)
    canvas.paint(canvas.shapes(wings), dark)


def bird(half: float, low: float) -> np.ndarray:
    """Return two bent wings `(points, 2)` around the body at (0, 0)."""
    upper = [(-half, -low * 0.4), (-half * 0.5, -low), (0, 0), (half * 0.5, -low)]
    lower = [(half, -low * 0.4), (half * 0.5, -low * 0.62), (0, 0.010), (-half * 0.5, -low * 0.62)]
    return np.array(upper + lower, np.float32)
