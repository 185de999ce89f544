"""Warps pictures by moves of the camera, and keeps their colours meanwhile.

It works on uint8 RGB pictures with NumPy and OpenCV, on the CPU, so that every device gets the
same. It knows poses, not where they come from.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.film.camera import Move, carry
from engine.render.image import Picture

Floats = NDArray[np.float32]
FEATHER_SHARE = 1 / 16  # picture widths inside a rim over which the other picture takes over
MIN_CHANNEL_SPREAD = 1.0  # of a LAB channel, L in [0, 100]: flatter ones are only shifted


def moved(picture: Picture, move: Move) -> Picture:
    """Return a picture as it looks after a move; what comes into view mirrors the rim.

    Args:
        picture: uint8 RGB ``(height, width, 3)``, seen from ``move.before``.
        move: of the camera.
    """
    x, y = sources(move, *picture.shape[:2])
    return cv2.remap(  # type: ignore[return-value]
        picture, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101
    )


def in_view(move: Move, height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels after a move were in view before it, ``(height, width)``."""
    x, y = sources(move, height, width)
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def between(first: Picture, second: Picture, move: Move, position: float) -> Picture:
    """Return the view from a position between the poses of two pictures.

    Both are warped there by the known motion, so that they coincide, and blended by position;
    towards the rim of one picture's view the other one takes over.

    Args:
        first: uint8 RGB ``(height, width, 3)``, seen from ``move.before``.
        second: likewise, seen from ``move.after``.
        move: of the camera.
        position: in (0, 1); 0 is the first one's.
    """
    here, size = move.at(position), first.shape[:2]
    ways = Move(before=move.before, after=here), Move(before=move.after, after=here)
    weights = [
        share * (_inside(way, *size) + 1e-6)
        for share, way in zip((1 - position, position), ways, strict=True)
    ]
    share = (weights[0] / (weights[0] + weights[1]))[..., None]  # of the first, (height, width, 1)
    mixed = moved(first, ways[0]) * share + moved(second, ways[1]) * (1 - share)
    pixels: Picture = (mixed + 0.5).astype(np.uint8)
    return pixels


def _inside(move: Move, height: int, width: int) -> Floats:
    """Return for each pixel after a move how far inside the rim it was before, 0 (outside) to 1."""
    x, y = sources(move, height, width)
    rim = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    inside: Floats = np.clip((rim + 0.5) / (FEATHER_SHARE * width), 0, 1)
    return inside


def sources(move: Move, height: int, width: int) -> tuple[Floats, Floats]:
    """Return the position of each pixel before a move, in pixels, ``(height, width)`` each.

    Integers are the centres of pixels, as OpenCV has it.
    """
    aspect = height / width
    columns = (np.arange(width) + 0.5) / width - 0.5
    rows = ((np.arange(height) + 0.5) / height - 0.5) * aspect
    x, y = carry(*np.meshgrid(columns, rows), move.after, move.before, aspect)
    left, top = (x + 0.5) * width - 0.5, (y / aspect + 0.5) * height - 0.5
    return left.astype(np.float32), top.astype(np.float32)


def with_colours_of(picture: Picture, anchor: Picture, move: Move) -> Picture:
    """Return a picture in the colours that the same content has in an earlier one.

    Mean and spread of each LAB channel are matched, over what both of them show.

    Args:
        picture: uint8 RGB ``(height, width, 3)``, seen from ``move.after``.
        anchor: likewise, seen from ``move.before``.
        move: from the anchor's pose to the picture's; they show some of the same.

    Source: Reinhard et al., "Color transfer between images", 2001; there in another space and over
    whole pictures.
    """
    shared = in_view(move, *picture.shape[:2])
    lab, wanted = _lab(picture), _lab(moved(anchor, move))[shared]
    mean, spread = lab[shared].mean(0), lab[shared].std(0)
    gain = np.where(spread > MIN_CHANNEL_SPREAD, wanted.std(0) / np.maximum(spread, 1e-6), 1.0)
    matched = ((lab - mean) * gain + wanted.mean(0)).astype(np.float32)
    colours = cv2.cvtColor(matched, cv2.COLOR_LAB2RGB)
    pixels: Picture = (np.clip(colours, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


def _lab(picture: Picture) -> Floats:
    """Return L in [0, 100], a and b, not rounded."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab.astype(np.float32)


def fitted(picture: Picture, height: int, width: int) -> Picture:
    """Return the middle of a picture in another size, without distortion."""
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = picture if scale == 1 else cv2.resize(picture, size, interpolation=way)
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width].copy()  # type: ignore[return-value]
