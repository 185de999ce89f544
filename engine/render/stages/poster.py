"""Chooses the film's best still: crisp, rich in contrast and colour, and no half-way of a morph.

Pictures half-way between two prompts are soft and pale, so crispness, contrast and colourfulness
together find a scene's own. Each is taken against the best of the film.
"""

import shutil
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.render.image import Picture, read_png
from engine.render.stages.context import Context, Piece

SIDE = 256  # pixels of the longer side at which pictures are judged
STRONGEST = 0.02  # share of the gradients by which crispness is measured


def make(pieces: Sequence[Piece], context: Context) -> list[str]:
    """Copy the best keyframe of one film into its poster."""
    (piece,) = pieces
    names, merits = piece.node.keyframes, []
    for name in names:
        context.check()
        merits.append(merit(read_png(context.inputs[name])))
    shown = piece.node.enlarged or names
    shutil.copyfile(context.inputs[shown[best(merits)]], piece.target)
    return [""]


def best(merits: Sequence[NDArray[np.float64]]) -> int:
    """Return the index of the best picture, the first one of equals."""
    table = np.array(merits)
    highest = np.maximum(table.max(axis=0), 1e-9)
    return int((table / highest).sum(axis=1).argmax())


def merit(picture: Picture) -> NDArray[np.float64]:
    """Return crispness, contrast and colourfulness, each at least 0.

    Crispness is the mean of the strongest gradients; contrast the standard deviation of CIE 1976
    lightness; colourfulness as in Hasler and Suesstrunk 2003, "Measuring colourfulness in natural
    images".
    """
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rgb = small.astype(np.float32) / 255
    lightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 0]
    slopes = np.sort(np.hypot(*np.gradient(lightness)), axis=None)
    crispness = slopes[-max(1, round(STRONGEST * slopes.size)) :].mean()
    red, green, blue = np.moveaxis(rgb, -1, 0)
    opponents = red - green, (red + green) / 2 - blue
    spread = np.hypot(*(each.std() for each in opponents))
    mean = np.hypot(*(each.mean() for each in opponents))
    return np.array([crispness, lightness.std(), spread + 0.3 * mean], np.float64)
