"""Pictures that move, and whose frame at any moment is known: a panning ground, a disc before it.

Drawn from a seed. Knows nothing about networks.
"""

import math

import cv2
import numpy as np

SUPERSAMPLING = 2  # frames are drawn this much larger and averaged, so that edges are exact


class Scene:
    """A textured ground and a textured disc, each moving evenly.

    Args:
        seed: scenes of different seeds share nothing.
        size: width and height of a frame in pixels.
        speed: pixels that the disc moves from moment 0 to 1; the ground moves half as far.

    Attributes:
        centre: of the disc at moment 0, (x, y) in pixels.
        velocity: of the disc, (x, y) in pixels.
    """

    def __init__(self, seed: int, size: int, speed: float) -> None:
        rng = np.random.default_rng(seed)
        self._size = size
        side = SUPERSAMPLING * (size + 2 * math.ceil(speed))
        self._textures = [_texture(rng, side) for _ in range(2)]
        angles = rng.uniform(0, 2 * np.pi, 2)
        lengths = np.array([speed / 2, speed])
        self._velocities = np.stack((np.cos(angles), np.sin(angles)), 1) * lengths[:, None]
        self.velocity: np.ndarray = self._velocities[1]
        self.centre: np.ndarray = rng.uniform(0.35, 0.65, 2) * size - self.velocity / 2
        self._radius = rng.uniform(0.15, 0.25) * size

    def at(self, moment: float) -> np.ndarray:
        """Return the frame at a moment in [0, 1], uint8 RGB (size, size, 3)."""
        ground, disc = (
            self._shifted(texture, velocity * moment)
            for texture, velocity in zip(self._textures, self._velocities, strict=True)
        )
        large = self._size * SUPERSAMPLING
        rows, columns = np.mgrid[:large, :large] / SUPERSAMPLING
        x, y = self.centre + self.velocity * moment
        inside = np.hypot(columns - x, rows - y)[..., None] < self._radius
        frame = np.where(inside, disc, ground)
        frame = cv2.resize(frame, (self._size, self._size), interpolation=cv2.INTER_AREA)
        return (frame + 0.5).astype(np.uint8)

    def _shifted(self, texture: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Cut a large frame out of the texture's middle, moved by ``shift`` pixels of a frame."""
        large = self._size * SUPERSAMPLING
        margin = (texture.shape[0] - large) / 2
        x, y = shift * SUPERSAMPLING - margin
        matrix = np.array([[1, 0, x], [0, 1, y]])
        return cv2.warpAffine(texture, matrix, (large, large), borderMode=cv2.BORDER_REFLECT_101)


def _texture(rng: np.random.Generator, side: int) -> np.ndarray:
    """Smooth coloured noise with detail down to a few pixels; float32, of 255."""
    total = np.zeros((side, side, 3), np.float32)
    for octave in range(5):
        cells = 8 << octave
        grid = rng.random((cells, cells, 3), np.float32)
        total += cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC) * 0.65**octave
    low, high = np.percentile(total[::4, ::4], (1, 99))
    colour = rng.uniform(120, 255, 3).astype(np.float32)
    return np.clip((total - low) / (high - low), 0, 1) * colour
