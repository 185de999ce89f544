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


def weights_of(scene: Scene, height: int, width: int, inside: float) -> np.ndarray:
    """Return how much each latent counts, float32 `(height, width)`: `inside` at figures, else 1.

    Figures are within their boxes wherever the generator's chance sets them.
    """
    weights, reach = np.ones((height, width), np.float32), width / height
    for figure in scene.figures:
        half = size_of(figure, reach) / 2 * (BESIDE_ANOTHER if len(scene.figures) > 1 else 1.0)
        if figure.habitat in MIDDLE:
            low, high = MIDDLE[figure.habitat][figure.near]
            top, bottom = low - half, high + half
        else:
            top, bottom = foot_of(figure) - 2 * half, foot_of(figure)
        first, last = (share * width for share in SIDE_RANGES[figure.side])
        rows = slice(max(0, int(top * height)), int(np.ceil(bottom * height)))
        columns = slice(max(0, int(first - half * height)), int(np.ceil(last + half * height)))
        weights[rows, columns] = inside
    return weights
