"""How much two keyframes differ, as far as somebody watching would say so.

The mean of what colours and what shapes lose, found on thumbnails on the CPU in fixed arithmetic:
the same two files have the same distance wherever they are. It knows no films.

Sources: CIE 1976 L*a*b* distance, of 100; SSIM's contrast-structure term, Wang et al. 2004.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.render.image import Picture
from engine.render.rife.similarity import structure

SIDE = 64  # pixels of a thumbnail's longer side


def distance(first: Picture, second: Picture) -> float:
    """Return how much two pictures of one size differ: 0 not at all, about 1 altogether."""
    small = [_thumbnail(picture) for picture in (first, second)]
    labs = [cv2.cvtColor(one.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for one in small]
    colours = float(np.linalg.norm(labs[0] - labs[1], axis=-1).mean()) / 100
    greys = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in small]
    return (colours + 1 - structure(*greys)) / 2


def _thumbnail(picture: Picture) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
