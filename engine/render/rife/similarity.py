"""Whether to interpolate between two frames at all, decided from thumbnails.

Identical frames are copied; frames that share nothing are cross-faded, since a flow network
has no way to say "no match" and would smear one into the other. Knows nothing about networks.

The test for "shares nothing" lets motion explain what it can: the difference that remains
after warping with flow found on the thumbnail, relative to the difference before.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.render.image import Picture
from engine.render.rife.optical_flow import SMALLEST_SIDE, dis_flow, fetch

Mode = Literal["copy", "interpolate", "crossfade"]

THUMBNAIL_SIDE = 96  # pixels on the longer side
# Of 255: how far the means of 4 x 4 pixels may differ in frames that count as identical. Encoders
# let single ones stray further: in held frames, H.264 at crf 18, up to 8, and 0.4 % beyond it
# (crf 23: 13 and 1.3 %). Motion by a quarter of a pixel put 1 to 7 % beyond it.
SAME_DIFFERENCE, STRAY_DIFFERENCE, STRAY_SHARE = 2, 14, 0.009
# Product of lost paths and lost structure above which two frames share nothing. On held-out
# scenes 0.14 fades 95 % of unrelated pairs and none that move up to 16 of 256 pixels; of
# those that move 48 pixels 2 %, and 90 pixels (where flow fails anyway) 16 %.
UNRELATED_LOSS = 0.14


@dataclass(frozen=True)
class Judgement:
    """What to do between two frames, and why.

    Attributes:
        mode: ``copy`` repeats the first frame, ``crossfade`` blends, ``interpolate`` asks
            the network.
        difference: mean absolute difference of the thumbnails, of 255.
        unexplained: what motion cannot connect, 0 to 1; above UNRELATED_LOSS the frames share
            nothing.
    """

    mode: Mode
    difference: float
    unexplained: float


def judge(first: np.ndarray, second: np.ndarray) -> Judgement:
    """Compare two frames, uint8 RGB (H, W, 3) of one size, in about two milliseconds."""
    small = _thumbnail(first), _thumbnail(second)
    distance = np.abs(small[0].astype(np.int16) - small[1])
    difference = float(distance.mean())
    if distance.mean() <= SAME_DIFFERENCE and _nearly_equal(first, second):
        return Judgement("copy", difference, 0.0)
    lost = unexplained(*small)
    return Judgement("crossfade" if lost > UNRELATED_LOSS else "interpolate", difference, lost)


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _nearly_equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two frames differ by no more than an encoder's noise, which 4 x 4 pixels average."""
    height, width = first.shape[:2]
    size = -(-width // 4), -(-height // 4)
    means = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in (first, second)]
    distance = cv2.absdiff(means[0], means[1])
    strays = distance.max(axis=-1) > SAME_DIFFERENCE
    return bool(distance.max() <= STRAY_DIFFERENCE and strays.mean() <= STRAY_SHARE)


def unexplained(first: np.ndarray, second: np.ndarray) -> float:
    """How much of two small pictures motion cannot connect, from 0 to 1.

    The share of pixels that do not come back when flow is followed there and back, times
    the structure (SSIM's contrast term, blind to brightness) lost although flow was followed.
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    if min(grey[0].shape) < SMALLEST_SIDE:
        return 0.0
    there, back = dis_flow(*grey), dis_flow(*reversed(grey))
    returned = there + fetch(back, there)
    limit = 1 + 0.1 * np.linalg.norm(there, axis=-1)
    lost = float((np.linalg.norm(returned, axis=-1) > limit).mean())
    return lost * (1 - structure(grey[0], fetch(grey[1], there)))


def structure(first: np.ndarray, second: np.ndarray) -> float:
    """Mean contrast-structure term of SSIM, Wang et al. 2004, with a Gaussian of 1.5 pixels."""
    x, y = first.astype(np.float32), second.astype(np.float32)

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (0, 0), 1.5)

    mean_x, mean_y = blur(x), blur(y)
    shared = blur(x * y) - mean_x * mean_y
    spread = blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2
    constant = (0.03 * 255) ** 2
    return float(((2 * shared + constant) / (spread + constant)).mean())


DISTANCE_SIDE = 64  # pixels of a thumbnail's longer side


def distance(first: Picture, second: Picture) -> float:
    """Return how much two pictures of one size differ: 0 not at all, about 1 altogether."""
    small = [_lab_thumbnail(picture) for picture in (first, second)]
    labs = [cv2.cvtColor(one.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for one in small]
    colours = float(np.linalg.norm(labs[0] - labs[1], axis=-1).mean()) / 100
    greys = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in small]
    return (colours + 1 - structure(*greys)) / 2


def _lab_thumbnail(picture: Picture) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = min(1.0, DISTANCE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
