"""Textures and shapes that synthetic scenes are made of.

A bank is drawn from a seed and a list of families, so that the pictures of a held-out
test can share neither their seeds nor their kinds with the training set. Knows nothing
about motion.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Picture = np.ndarray  # uint8 (height, width, 3)
Matte = np.ndarray  # uint8 (height, width); 255 inside

TEXTURE_SIZE = 640
SHAPE_SIZE = 320


@dataclass(frozen=True)
class Bank:
    """Pictures for backgrounds and fillings, and mattes for outlines."""

    textures: list[Picture]
    shapes: list[Matte]


def make_bank(seed: int, textures: int, shapes: int, *, held_out: bool) -> Bank:
    """Draw a bank; ``held_out`` adds the families that training never sees."""
    rng = np.random.default_rng(seed)
    fills = TRAINING_TEXTURES + (HELD_OUT_TEXTURES * 2 if held_out else [])
    outlines = TRAINING_SHAPES + (HELD_OUT_SHAPES * 2 if held_out else [])
    return Bank(
        [fills[index % len(fills)](rng) for index in range(textures)],
        [outlines[index % len(outlines)](rng) for index in range(shapes)],
    )


def _noise(rng: np.random.Generator, channels: int, octaves: int) -> np.ndarray:
    """Smooth noise in [0, 1], (TEXTURE_SIZE, TEXTURE_SIZE, channels), 1/f spectrum."""
    total = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE, channels), np.float32)
    base = int(rng.integers(3, 8))
    for octave in range(octaves):
        cells = min(base << octave, TEXTURE_SIZE)
        grid = rng.random((cells, cells, channels), np.float32)
        big = cv2.resize(grid, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_CUBIC)
        total += big.reshape(total.shape) * 0.62**octave
    low, high = np.percentile(total, (1, 99))
    return np.clip((total - low) / max(high - low, 1e-6), 0, 1)


def _palette(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.random((count, 3), np.float32) * rng.uniform(0.5, 1) + rng.uniform(0, 0.3)


def _to_picture(values: np.ndarray) -> Picture:
    return np.clip(values * 255, 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator) -> Picture:
    """Coloured noise between two colours, with detail down to a few pixels."""
    first, second = _palette(rng, 2)
    weight = _noise(rng, 1, int(rng.integers(3, 8)))
    tint = _noise(rng, 3, 4) * rng.uniform(0, 0.4)
    return _to_picture(first * weight + second * (1 - weight) + tint - 0.15)


def _posterised(rng: np.random.Generator) -> Picture:
    """Flat colours with sharp, wandering borders, as in a printed poster."""
    steps = int(rng.integers(3, 8))
    levels = np.minimum(_noise(rng, 1, 5)[..., 0] * steps, steps - 1).astype(int)
    flat = _palette(rng, steps)[levels]
    return _to_picture(cv2.GaussianBlur(flat, (0, 0), 0.7))


def _gradient(rng: np.random.Generator) -> Picture:
    """A sky: a vertical gradient through a few colours, a little noise on top."""
    stops = _palette(rng, int(rng.integers(2, 5)))[:, None]
    sky = cv2.resize(stops, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_LINEAR)
    return _to_picture(sky + (_noise(rng, 1, 5) - 0.5) * rng.uniform(0, 0.25))


def _stripes(rng: np.random.Generator) -> Picture:
    """Parallel bands bent by noise: the aperture problem, and repeating matches."""
    rows, columns = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 60)
    phase = (columns * np.cos(angle) + rows * np.sin(angle)) / period
    phase += _noise(rng, 1, 3)[..., 0] * rng.uniform(0, 4)
    weight = np.clip(np.sin(phase * 2 * np.pi) * rng.uniform(1, 6) * 0.5 + 0.5, 0, 1)[..., None]
    first, second = _palette(rng, 2)
    return _to_picture(first * weight + second * (1 - weight))


def _collage(rng: np.random.Generator) -> Picture:
    """Many flat shapes on top of each other."""
    canvas = _gradient(rng) if rng.random() < 0.5 else _clouds(rng)
    for _ in range(int(rng.integers(30, 150))):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        centre = tuple(int(value) for value in rng.integers(0, TEXTURE_SIZE, 2))
        radius = int(rng.integers(3, 70))
        corners = rng.integers(-radius, radius + 1, (int(rng.integers(3, 6)), 2)) + centre
        match int(rng.integers(0, 3)):
            case 0:
                cv2.circle(canvas, centre, radius, colour, -1, cv2.LINE_AA)
            case 1:
                cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_AA)
            case _:
                width = int(rng.integers(1, 6))
                cv2.polylines(canvas, [corners.astype(np.int32)], False, colour, width, cv2.LINE_AA)
    return canvas


def _cells(rng: np.random.Generator) -> Picture:
    """Voronoi cells with shaded rims. Held out."""
    count = int(rng.integers(40, 300))
    seeds = np.full((TEXTURE_SIZE, TEXTURE_SIZE), 255, np.uint8)
    points = rng.integers(0, TEXTURE_SIZE, (count, 2))
    seeds[points[:, 0], points[:, 1]] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)
    shade = np.exp(-distance / rng.uniform(5, 40))[..., None]
    return _to_picture(_palette(rng, int(labels.max()) + 1)[labels] * (0.6 + 0.4 * shade))


def _bricks(rng: np.random.Generator) -> Picture:
    """Rows of bricks, each with its own colour and grain. Held out."""
    canvas = _to_picture(np.broadcast_to(_palette(rng, 1)[0], (TEXTURE_SIZE, TEXTURE_SIZE, 3)))
    height, width = int(rng.integers(12, 50)), int(rng.integers(24, 110))
    for row, top in enumerate(range(0, TEXTURE_SIZE, height)):
        for left in range(-(row % 2) * width // 2, TEXTURE_SIZE, width):
            colour = tuple(int(value) for value in _palette(rng, 1)[0] * 255)
            corner = (left + width - 3, top + height - 3)
            cv2.rectangle(canvas, (left, top), corner, colour, -1)
    grain = rng.normal(0, rng.uniform(0, 12), (TEXTURE_SIZE, TEXTURE_SIZE))
    rough = canvas + cv2.GaussianBlur(grain, (0, 0), 1.2)[..., None]
    return np.clip(rough, 0, 255).astype(np.uint8)


def _polygon(rng: np.random.Generator) -> Matte:
    matte = np.zeros((SHAPE_SIZE, SHAPE_SIZE), np.uint8)
    corners = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.35, 0.95, corners) * SHAPE_SIZE / 2
    points = np.stack((np.cos(angles), np.sin(angles)), 1) * radii[:, None] + SHAPE_SIZE / 2
    cv2.fillPoly(matte, [points.astype(np.int32)], 255, cv2.LINE_AA)
    return matte


def _ellipse(rng: np.random.Generator) -> Matte:
    matte = np.zeros((SHAPE_SIZE, SHAPE_SIZE), np.uint8)
    axes = tuple(int(value) for value in rng.uniform(0.3, 0.95, 2) * SHAPE_SIZE / 2)
    centre = (SHAPE_SIZE // 2, SHAPE_SIZE // 2)
    cv2.ellipse(matte, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return matte


def _blob(rng: np.random.Generator) -> Matte:
    noise = _noise(rng, 1, 4)[:SHAPE_SIZE, :SHAPE_SIZE, 0]
    rows, columns = np.mgrid[-1 : 1 : SHAPE_SIZE * 1j, -1 : 1 : SHAPE_SIZE * 1j]
    field = noise * 1.3 - (rows**2 + columns**2)
    return _to_picture(np.clip(field * rng.uniform(15, 60) + 0.5, 0, 1))


def _wire(rng: np.random.Generator) -> Matte:
    """Thin lines: branches, wires, wings of birds."""
    matte = np.zeros((SHAPE_SIZE, SHAPE_SIZE), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        points = rng.uniform(0.06, 0.94, (int(rng.integers(2, 5)), 2)) * SHAPE_SIZE
        width = int(rng.integers(3, 16))
        cv2.polylines(matte, [points.astype(np.int32)], False, 255, width, cv2.LINE_AA)
    return matte


def _letters(rng: np.random.Generator) -> Matte:
    """A few characters. Held out."""
    matte = np.zeros((SHAPE_SIZE, SHAPE_SIZE), np.uint8)
    text = "".join(rng.choice(list("ABCEFGHKRSXZ2358&%"), int(rng.integers(1, 4))))
    size = (rng.uniform(2.5, 5), int(rng.integers(10, 30)))
    place = (20, int(SHAPE_SIZE * 0.7))
    cv2.putText(matte, text, place, cv2.FONT_HERSHEY_SIMPLEX, size[0], 255, size[1], cv2.LINE_AA)
    return matte


def _gear(rng: np.random.Generator) -> Matte:
    """A toothed wheel with a hole. Held out."""
    rows, columns = np.mgrid[-1 : 1 : SHAPE_SIZE * 1j, -1 : 1 : SHAPE_SIZE * 1j]
    angle, radius = np.arctan2(rows, columns), np.hypot(rows, columns)
    teeth = np.cos(angle * int(rng.integers(4, 14))) * rng.uniform(0.05, 0.15)
    inside = np.minimum(0.75 + teeth - radius, radius - rng.uniform(0, 0.4))
    return _to_picture(np.clip(inside * 80 + 0.5, 0, 1))


Texture = Callable[[np.random.Generator], Picture]
TRAINING_TEXTURES: list[Texture] = [_clouds, _posterised, _gradient, _stripes, _collage]
HELD_OUT_TEXTURES: list[Texture] = [_cells, _bricks]
Shape = Callable[[np.random.Generator], Matte]
TRAINING_SHAPES: list[Shape] = [_polygon, _ellipse, _blob, _wire]
HELD_OUT_SHAPES: list[Shape] = [_letters, _gear]
