"""Palettes by word: what is done to a finished picture's colours. Knows nothing about scenes."""

import numpy as np

from training.palettes import mix

LUMINANCE = np.float32((0.299, 0.587, 0.114))
# Colours from dark to light, at even steps of luminance, and how much they count.
RAMPS = {
    "teal and gold": (
        ((6, 26, 38), (14, 92, 104), (112, 148, 130), (236, 178, 84), (255, 240, 200)),
        0.80,
    ),
    "neon": (
        ((16, 6, 44), (86, 22, 140), (232, 40, 160), (255, 122, 150), (150, 250, 255)),
        0.74,
    ),
    "sepia": (
        ((38, 22, 14), (104, 68, 42), (170, 124, 82), (222, 186, 138), (252, 238, 212)),
        0.90,
    ),
    "noir": (((4, 5, 8), (38, 40, 46), (104, 107, 114), (186, 189, 194), (252, 252, 250)), 1.0),
}


def grade(picture: np.ndarray, palette: str) -> np.ndarray:
    """Return a picture, float32 RGB 0..255, in the colours of a palette's word."""
    if palette == "natural":
        return picture
    grey = (picture @ LUMINANCE)[..., None]
    if palette == "pastel":
        lively = 1.25 - 0.5 * grey / 255  # dark colours keep more of their hue
        return 138 + 0.43 * grey + lively * (picture - grey) + np.float32((6, -1, 3))
    colours, share = RAMPS[palette]
    steps = np.linspace(0, 255, len(colours))
    toned = [np.interp(grey[..., 0], steps, channel) for channel in np.transpose(colours)]
    return mix(picture, np.stack(toned, -1), share).astype(np.float32)
