"""Sets subjects into a painted place: on its ground or water, in its air, with light and shadow.

Knows the canvas and the subjects' pictures; nothing about how places or weathers look.
"""

import cv2
import numpy as np

from training.art import sprite
from training.canvas import Canvas, fractal
from training.palettes import mix
from training.positions import BESIDE_ANOTHER, MIDDLE, SIDE_RANGES, foot_of, size_of
from training.scene import Figure

# How much of the horizon's light a figure takes on, and what is left of its brightness.
TINTS = {"dawn": (0.40, 1.0), "noon": (0.10, 1.0), "sunset": (0.42, 0.95)}
TINTS |= {"dusk": (0.45, 0.92), "night": (0.42, 0.86)}
# Places whose own foreground is no floor to stand on get one.
FLOORLESS = ("mountains", "forest", "desert", "city", "lake")


def paint_figures(canvas: Canvas) -> None:
    """Paint the figures of the canvas's scene, far ones first."""
    figures = canvas.scene.figures
    if any(figure.habitat == "ground" for figure in figures):
        paint_floor(canvas)
    for figure in sorted(figures, key=lambda one: (one.near, one.habitat != "air")):
        paint_figure(canvas, figure)


def paint_floor(canvas: Canvas) -> None:
    """Paint a gentle rise, or a pavement, across the foreground of places without one."""
    place, palette = canvas.scene.place, canvas.palette
    if place not in FLOORLESS:
        return
    line = 0.815 + 0.02 * fractal(canvas.along(1.0), canvas.rng, 1.1, 2, True)
    colour = mix(palette.layer(0.86), palette.horizon, 0.06)
    if place == "city":
        line = np.full(canvas.width, 0.80, np.float32)
        colour = mix(palette.near, palette.layer(0.3), 0.35)
    deep = np.clip((canvas.rows - 0.8) / 0.2, 0, 1)[..., None]
    shaded = np.broadcast_to(mix(colour, colour * np.float32(0.8), deep), canvas.picture.shape)
    canvas.paint(canvas.below(line.astype(np.float32)), canvas.glow(shaded, 0.18))
    if place == "city":
        for top, high, shade in ((0.80, 0.012, 1.25), (0.885, 0.008, 1.18)):
            band = canvas.below(np.full(canvas.width, top, np.float32))
            band = band - canvas.below(np.full(canvas.width, top + high, np.float32))
            canvas.paint(band * 0.8, np.clip(colour * np.float32(shade), 0, 255))


def paint_figure(canvas: Canvas, figure: Figure) -> None:
    """Paint one figure with what seats it in its place."""
    rng, reach = canvas.rng, canvas.width / canvas.height
    x = float(rng.uniform(*SIDE_RANGES[figure.side])) * reach
    sideways, phase = bool(rng.random() < 0.5), float(rng.uniform(0, 2 * np.pi))
    turn = float(rng.uniform(-18, 18)) if figure.habitat == "space" else 0.0
    rise = float(rng.random())
    alone = 1.0 if len(canvas.scene.figures) == 1 else BESIDE_ANOTHER
    size = alone * size_of(figure, reach) * float(rng.uniform(0.92, 1.08))
    picture = dressed(canvas, figure, sprite(figure.subject)[:, :: -1 if sideways else 1], x)
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    high, wide = height * scale, width * scale
    edge = wide / 2 + 0.03
    x = float(np.clip(x, edge, max(reach - edge, edge)))
    if figure.habitat in MIDDLE:
        low, lowest = MIDDLE[figure.habitat][figure.near]
        middle = low + (lowest - low) * rise
        if abs(x - canvas.disc_x) < wide / 2 + canvas.disc_radius + 0.02:  # below the disc
            middle = max(middle, canvas.disc_y + 1.5 * canvas.disc_radius + high / 2)
        middle += 0.008 * np.sin(1.3 * canvas.time + phase)
        paste(canvas, picture, x, middle + high / 2, scale, turn=turn)
        return
    if figure.habitat == "water":
        foot = foot_of(figure) + 0.004 * np.sin(1.7 * canvas.time + phase)
        reflect(canvas, picture, x, foot, scale)
        paste(canvas, picture, x, foot, scale)
        ripples(canvas, x, foot, wide)
        return
    foot = foot_of(figure)
    if figure.habitat == "islet":
        islet(canvas, picture, x, foot, scale, wide)
    shadow(canvas, x, foot, wide)
    paste(canvas, picture, x, foot, scale)


def dressed(canvas: Canvas, figure: Figure, picture: np.ndarray, x: float) -> np.ndarray:
    """Return a subject's picture in the light of the scene: RGBA, colours times alpha."""
    palette = canvas.palette
    amount, bright = TINTS[canvas.scene.time]
    light = mix(np.float32(255), mix(palette.horizon, palette.light, 0.5), amount) / 255
    colour, alpha = picture[..., :3] * light * np.float32(bright), picture[..., 3:]
    if canvas.scene.place == "space":
        colour = picture[..., :3] * np.float32(0.96)
    across = np.linspace(-1, 1, picture.shape[1], dtype=np.float32)[None, :, None]
    toward = np.sign(canvas.disc_x - x)
    side = np.clip(across * toward, 0, 1) ** 2  # the edge that faces the disc
    colour = mix(colour, palette.light * alpha, 0.22 * side * (0.4 + 0.6 * alpha))
    haze = {"under water": (0.06, 0.18), "space": (0.0, 0.1)}.get(canvas.scene.place, (0.0, 0.28))
    colour = mix(colour, palette.layer(0.15) * alpha, haze[0 if figure.near else 1])
    return np.concatenate([colour, alpha], axis=2).astype(np.float32)


def paste(
    canvas: Canvas,
    picture: np.ndarray,
    x: float,
    foot: float,
    scale: float,
    *,
    turn: float = 0.0,
    flip: float = 1.0,
    share: np.ndarray | float = 1.0,
) -> None:
    """Blend a picture in, its lowest middle at (x, foot), exactly to a part of a pixel.

    `flip` of -1 hangs it upside down below the foot; `share` of each row's alpha is used.
    """
    height, factor = picture.shape[0], scale * canvas.height
    small = cv2.resize(picture, None, fx=min(1, 2 * factor), fy=min(1, 2 * factor),
                       interpolation=cv2.INTER_AREA) if factor < 0.5 else picture  # fmt: skip
    factor *= height / small.shape[0]
    middle = (small.shape[1] / 2, small.shape[0] / 2)
    move = cv2.getRotationMatrix2D(middle, turn, factor)
    move[1] *= flip
    move[0, 2] += x * canvas.height - middle[0]
    half = small.shape[0] / 2 * factor
    move[1, 2] = (
        foot * canvas.height - flip * half - move[1, 0] * middle[0] - move[1, 1] * middle[1]
    )
    drawn = cv2.warpAffine(small, move, (canvas.width, canvas.height), flags=cv2.INTER_AREA)
    drawn = drawn * share
    canvas.picture *= 1 - drawn[..., 3:]
    canvas.picture += drawn[..., :3]


def shadow(canvas: Canvas, x: float, foot: float, wide: float) -> None:
    """Paint a flat shadow under a foot, longer on the side that turns away from the disc."""
    away = -np.sign(canvas.disc_x - x) * min(abs(canvas.disc_x - x), 0.6)
    long = 0.10 if canvas.scene.time == "noon" else 0.24
    middle = x + away * long * wide
    across = (canvas.columns - middle) / (wide * 0.54)
    down = (canvas.rows - foot) / (0.018 + 0.05 * wide)
    edge = np.clip((1 - np.hypot(across, down)) * 5, 0, 1)
    canvas.paint((edge * 0.42).astype(np.float32), canvas.palette.near * np.float32(0.25))


def reflect(canvas: Canvas, picture: np.ndarray, x: float, foot: float, scale: float) -> None:
    """Paint a figure's mirror image in the water, fading downward, broken by waves."""
    before = canvas.picture.copy()
    fade = 0.42 * np.exp(-np.maximum(canvas.rows - foot, 0) / 0.09)[..., None]
    paste(canvas, picture, x, foot - 0.008, scale, flip=-1.0, share=fade.astype(np.float32))
    first = int(np.clip(foot * canvas.height, 0, canvas.height - 1))
    rows = np.arange(first, canvas.height)
    sway = 1.5 * np.sin(rows / canvas.height * 190 + 2.2 * canvas.time) * canvas.height / 256
    columns = np.arange(canvas.width)[None] + np.round(sway)[:, None].astype(int)
    columns = np.clip(columns, 0, canvas.width - 1)
    change = canvas.picture[first:] - before[first:]
    canvas.picture[:first] = before[:first]
    canvas.picture[first:] = before[first:] + change[np.arange(len(rows))[:, None], columns]


def ripples(canvas: Canvas, x: float, foot: float, wide: float) -> None:
    """Paint the water's light edge where a figure lies in it."""
    reach, bands = wide * 0.56, []
    for row, (lower, share) in enumerate(((-0.004, 1.0), (0.014, 0.72), (0.030, 0.45))):
        sway = 0.012 * np.sin(1.4 * canvas.time + row)
        half = reach * share
        turn = np.linspace(0, 2 * np.pi, 25)[:-1]
        oval = np.stack([x + sway + half * np.cos(turn), foot + lower + 0.0045 * np.sin(turn)], -1)
        bands.append(oval.astype(np.float32))
    pale = mix(canvas.palette.horizon, canvas.palette.white, 0.35)
    canvas.paint(canvas.shapes(bands) * 0.6, pale)


def islet(
    canvas: Canvas, picture: np.ndarray, x: float, foot: float, scale: float, wide: float
) -> None:
    """Paint a small island for what does not swim, and both mirrored."""
    half = max(wide * 0.78, 0.12)
    lower = foot + 0.038
    reflect(canvas, picture, x, lower + 0.02, scale)
    turn = np.linspace(0, np.pi, 40)
    dome = np.stack([x + half * np.cos(turn), lower - 0.052 * np.sin(turn) ** 0.7], -1)
    mirror = np.stack([x + half * np.cos(turn), lower + 0.022 * np.sin(turn) ** 0.7], -1)
    palette = canvas.palette
    ground = mix(palette.layer(0.9), np.float32((96, 148, 84)), 0.30)
    tint = mix(np.float32(1), palette.horizon / 255, TINTS[canvas.scene.time][0])
    ground = ground * tint * np.float32(TINTS[canvas.scene.time][1])
    canvas.paint(canvas.shapes([mirror.astype(np.float32)]) * 0.45, ground * np.float32(0.5))
    canvas.paint(canvas.shapes([dome.astype(np.float32)]), canvas.glow(ground, 0.15))
    ripples(canvas, x, lower + 0.006, half * 1.9)
