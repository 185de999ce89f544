"""Where a figure stands in a picture, and how large it is.

Knows figures and subjects' sizes; nothing about how any of it looks.
"""

import numpy as np

from training.scene import Figure, Scene
from training.subjects import SUBJECTS

# The middle of a figure, as a share of the width.
SIDE_RANGES = {"left": (0.17, 0.25), "centre": (0.45, 0.55), "right": (0.75, 0.83)}
FAR_SIZE = 0.52
# Foot of a near and of a far figure, in picture heights; flyers' and floaters' middle.
GROUND_FOOT = {True: 0.945, False: 0.865}
WATER_FOOT = {True: 0.90, False: 0.735}
MIDDLE = {"air": {True: (0.26, 0.40), False: (0.16, 0.34)}}
MIDDLE |= {"under": {True: (0.42, 0.60), False: (0.30, 0.55)}}
MIDDLE |= {"space": {True: (0.50, 0.66), False: (0.45, 0.66)}}
ISLET_HEIGHT = 0.035  # above the water
BESIDE_ANOTHER = 0.8  # the size of one of two figures


def size_of(figure: Figure, reach: float) -> float:
    """Return a figure's longer side in heights, for a picture `reach` heights wide."""
    size = SUBJECTS[figure.subject].size * (1.0 if figure.near else FAR_SIZE)
    return max(size, 0.15) * min(1.0, 0.25 + 0.75 * reach)


def foot_of(figure: Figure) -> float:
    """Return where one that stands or swims touches, in heights from the top."""
    if figure.habitat == "ground":
        return GROUND_FOOT[figure.near]
    return WATER_FOOT[figure.near] - (ISLET_HEIGHT if figure.habitat == "islet" else 0.0)


def box_of(figure: Figure, scene: Scene, reach: float) -> tuple[float, float, float, float]:
    """Return where a figure is, in heights: top, bottom, left, right.

    It is inside wherever the generator's chance sets it, for a picture `reach` heights wide.
    """
    half = size_of(figure, reach) / 2 * (BESIDE_ANOTHER if len(scene.figures) > 1 else 1.0)
    first, last = (share * reach for share in SIDE_RANGES[figure.side])
    if figure.habitat in MIDDLE:
        low, high = MIDDLE[figure.habitat][figure.near]
        return low - half, high + half, first - half, last + half
    return foot_of(figure) - 2 * half, foot_of(figure), first - half, last + half


def weights_of(scene: Scene, height: int, width: int, inside: float) -> np.ndarray:
    """Return how much each latent counts, float32 `(height, width)`: at figures `inside`, or 1."""
    weights = np.ones((height, width), np.float32)
    for figure in scene.figures:
        top, bottom, left, right = (edge * height for edge in box_of(figure, scene, width / height))
        rows = slice(max(0, int(top)), int(np.ceil(bottom)))
        weights[rows, max(0, int(left)) : int(np.ceil(right))] = inside
    return weights


def close_up_of(
    scene: Scene, figure: Figure, height: int, width: int, side: int, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Return the rows and columns of a square of `side` latents around a figure, not quite centred.

    `height` and `width` are those of the whole picture's latents.
    """
    top, bottom, left, right = (edge * height for edge in box_of(figure, scene, width / height))
    places = []
    for middle, whole in (((top + bottom) / 2, height), ((left + right) / 2, width)):
        start = round(middle - side / 2 + rng.uniform(-0.15, 0.15) * side)
        start = min(max(start, 0), whole - side)
        places.append(slice(start, start + side))
    return places[0], places[1]
