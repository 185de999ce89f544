"""A picture of a scene while it is painted, and the noise that its shapes are made of.

Lengths are in picture heights, so that any aspect works. Knows the palette and where the sun or
moon stands; nothing about the shapes of places and weathers.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from training.palettes import Palette, mix, palette_for
from training.scene import Scene

# Where the disc's middle may lie, as a share of the width: well inside the three thirds.
SIDE_RANGES = {"left": (0.13, 0.27), "centre": (0.44, 0.56), "right": (0.73, 0.87)}
DISC_RADIUS = {"dawn": 0.072, "noon": 0.060, "sunset": 0.085, "dusk": 0.070, "night": 0.066}

# One cell of the model's latents in a picture 256 high, in picture heights. What is small and
# has to be crisp lies on this grid.
CELL = 8 / 256


class Canvas:
    """A picture being painted, far layers first.

    `picture` is float32 RGB `(height, width, 3)` in 0..255; `light` is the glow of the disc
    at each pixel, `(height, width)` in 0..1.
    """

    def __init__(
        self, scene: Scene, rng: np.random.Generator, width: int, height: int, time: float
    ):
        self.scene, self.rng, self.time = scene, rng, time
        self.width, self.height = width, height
        self.palette: Palette = palette_for(scene.time, scene.place, scene.weather, rng)
        self.rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
        self.columns = (np.arange(width, dtype=np.float32) + 0.5) / height
        self.speed = float(rng.choice((-1, 1)) * rng.uniform(0.02, 0.05))
        self.disc_x = float(rng.uniform(*SIDE_RANGES[scene.side])) * width / height
        low = scene.time in ("dawn", "sunset") and scene.place in ("sea", "desert")
        self.disc_y = float(rng.uniform(0.30, 0.42) if low else rng.uniform(0.17, 0.30))
        if scene.place == "under water":
            self.disc_y = -0.06  # the light comes from above
        self.disc_radius = DISC_RADIUS[scene.time] * float(rng.uniform(0.9, 1.15))
        edge = 0.02 + self.disc_radius * (2 if scene.place == "space" else 1)
        self.disc_x = min(max(self.disc_x, edge), max(width / height - edge, edge))
        distance = np.hypot(self.columns - self.disc_x, self.rows - self.disc_y)
        self.disc_distance = distance.astype(np.float32)
        self.light = 0.62 * np.exp(-distance / 0.16) + 0.38 * np.exp(-distance / 0.5)
        self.picture = np.empty((height, width, 3), np.float32)

    def along(self, depth: float) -> np.ndarray:
        """Return the world position of each column at a depth (0 far, 1 near), `(width,)`."""
        return self.columns + self.shift(depth)

    def shift(self, depth: float) -> float:
        """Return how far the camera has moved past a depth, in heights."""
        return self.speed * depth * self.time

    def below(self, line: np.ndarray) -> np.ndarray:
        """Return an antialiased mask of what lies below a line of heights `(width,)`."""
        return np.clip((self.rows - line) * self.height + 0.5, 0, 1)

    def paint(self, mask: np.ndarray, colour: np.ndarray) -> None:
        """Blend a colour in where the mask `(height, width)` is above 0."""
        inked = np.flatnonzero(mask.max(axis=1) > 0)
        if inked.size:
            rows = slice(inked[0], inked[-1] + 1)
            colour = colour[rows] if colour.ndim == 3 and len(colour) > 1 else colour
            for at in range(3):
                plane = self.picture[rows, :, at]
                plane += mask[rows] * (colour[..., at] - plane)

    def shapes(self, polygons: Iterable[np.ndarray]) -> np.ndarray:
        """Return the antialiased mask of polygons `(points, 2)` given in heights."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for polygon in polygons:
            points = np.round((polygon * self.height - 0.5) * 256).astype(np.int32)
            cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, 8)
        return mask.astype(np.float32) / 255

    def glow(self, colour: np.ndarray, amount: float) -> np.ndarray:
        """Return a colour `(..., 3)` lit by the disc."""
        return mix(colour, self.palette.light, (amount * self.light)[..., None])


def fractal(
    along: np.ndarray, rng: np.random.Generator, frequency: float, octaves: int, smooth: bool
) -> np.ndarray:
    """Return layered value noise in about 0..1 at positions `(width,)`."""
    total, amplitude, weight = np.zeros_like(along), 1.0, 0.0
    for _ in range(octaves):
        table, offset = rng.random(64).astype(np.float32), rng.uniform(0, 64)
        position = along * frequency + offset
        first = np.floor(position).astype(int)
        share = position - first
        if smooth:
            share = share * share * (3 - 2 * share)
        total += amplitude * mix(table[first % 64], table[(first + 1) % 64], share)
        weight += amplitude
        frequency, amplitude = frequency * 2.1, amplitude * 0.45
    return total / weight
