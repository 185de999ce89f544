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
BAND_PIXELS = 1 << 20  # of what is computed at once, so that large pictures take little memory
MIN_CHANNEL_SPREAD = 1.0  # of a LAB channel, L in [0, 100]: flatter ones are only shifted


def moved(picture: Picture, move: Move) -> Picture:
    """Return a picture as it looks after a move; what comes into view mirrors the rim.

    Args:
        picture: uint8 RGB ``(height, width, 3)``, seen from ``move.before``.
        move: of the camera.
    """
    return _fetched(picture, *sources(move, *picture.shape[:2]))


def _fetched(picture: Picture, x: Floats, y: Floats) -> Picture:
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
    here, (height, width) = move.at(position), first.shape[:2]
    ways = Move(before=move.before, after=here), Move(before=move.after, after=here)
    pixels, tall = np.empty_like(first), max(1, BAND_PIXELS // width)
    for top in range(0, height, tall):
        rows = slice(top, top + tall)
        places = [sources(way, height, width, rows) for way in ways]
        weights = [
            share * (_inside(*place, height, width) + 1e-6)
            for share, place in zip((1 - position, position), places, strict=True)
        ]
        share = (weights[0] / (weights[0] + weights[1]))[..., None]  # of the first, (h, w, 1)
        mixed = _fetched(first, *places[0]) * share + _fetched(second, *places[1]) * (1 - share)
        pixels[rows] = (mixed + 0.5).astype(np.uint8)
    return pixels


def _inside(x: Floats, y: Floats, height: int, width: int) -> Floats:
    """Return for positions of pixels how far inside the rim they are, 0 (outside) to 1."""
    rim = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    inside: Floats = np.clip((rim + 0.5) / (FEATHER_SHARE * width), 0, 1)
    return inside


def sources(
    move: Move, height: int, width: int, rows: slice = slice(None)
) -> tuple[Floats, Floats]:
    """Return the position of each pixel before a move, in pixels, ``(height, width)`` each.

    Integers are the centres of pixels, as OpenCV has it.

    Args:
        move: of the camera.
        height: of the picture, in pixels.
        width: likewise.
        rows: of the picture, to which the answer is limited.
    """
    aspect = height / width
    columns = (np.arange(width) + 0.5) / width - 0.5
    lines = ((np.arange(height)[rows] + 0.5) / height - 0.5) * aspect
    x, y = carry(*np.meshgrid(columns, lines), move.after, move.before, aspect)
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
