"""The colours of the world, by time of day and place. Knows nothing about shapes."""

from dataclasses import dataclass

import numpy as np

# top, middle and horizon of the sky, RGB; several moods of each time of day.
SKIES = {
    "dawn": (
        ((128, 164, 208), (236, 192, 196), (255, 222, 184)),
        ((150, 152, 208), (244, 184, 192), (255, 226, 198)),
        ((138, 182, 204), (246, 206, 190), (255, 234, 200)),
    ),
    "noon": (
        ((36, 128, 212), (108, 188, 238), (222, 242, 246)),
        ((24, 146, 204), (104, 206, 226), (236, 248, 232)),
        ((58, 118, 206), (134, 186, 240), (230, 240, 250)),
    ),
    "sunset": (
        ((84, 36, 104), (220, 74, 88), (255, 184, 84)),
        ((118, 38, 84), (240, 98, 62), (255, 206, 98)),
        ((62, 44, 118), (224, 84, 112), (255, 170, 92)),
    ),
    "dusk": (
        ((34, 36, 92), (96, 78, 148), (216, 134, 158)),
        ((28, 46, 98), (92, 92, 158), (206, 142, 172)),
        ((46, 34, 96), (122, 76, 150), (226, 128, 150)),
    ),
    "night": (
        ((6, 10, 32), (14, 32, 70), (38, 82, 116)),
        ((8, 8, 36), (24, 26, 76), (56, 62, 124)),
        ((4, 16, 34), (10, 42, 68), (28, 92, 108)),
    ),
}
DISCS = {
    "dawn": (255, 248, 224),
    "noon": (255, 253, 232),
    "sunset": (255, 240, 178),
    "dusk": (255, 238, 214),
    "night": (242, 246, 255),
}
LIGHTS = {
    "dawn": (255, 240, 206),
    "noon": (255, 252, 236),
    "sunset": (255, 214, 120),
    "dusk": (250, 190, 190),
    "night": (132, 176, 214),
}
HALOS = {"dawn": 0.75, "noon": 0.70, "sunset": 0.85, "dusk": 0.62, "night": 0.58}
# What is left of a thing's own colour at each time of day, per channel.
AMBIENT = {
    "dawn": (0.86, 0.74, 0.86),
    "noon": (1.00, 1.00, 1.00),
    "sunset": (0.62, 0.32, 0.44),
    "dusk": (0.34, 0.32, 0.58),
    "night": (0.15, 0.20, 0.33),
}
# The colour of the nearest ground at noon.
GROUNDS = {
    "sea": ((30, 96, 122), (22, 84, 128)),
    "mountains": ((52, 88, 104), (70, 82, 120), (58, 98, 92)),
    "lake": ((40, 88, 92), (56, 82, 112)),
    "forest": ((22, 80, 66), (34, 92, 62), (20, 76, 84)),
    "desert": ((222, 142, 74), (230, 160, 92), (208, 124, 78)),
    "city": ((62, 78, 110), (84, 84, 116), (56, 88, 104)),
    "beach": ((28, 112, 136), (30, 124, 138)),
    "meadow": ((86, 158, 72), (110, 166, 66), (78, 148, 82)),
    "hills": ((70, 138, 74), (98, 146, 70), (64, 130, 92)),
    "snowfield": ((206, 222, 240), (214, 222, 238), (200, 220, 234)),
    "village": ((104, 118, 112), (120, 118, 128), (96, 112, 120)),
    "space": ((58, 50, 92), (40, 58, 96)),
    "under water": ((16, 74, 104), (20, 66, 112), (14, 84, 100)),
}
# The same three colours where there is no sky.
DEPTHS = {
    "dawn": ((206, 236, 226), (104, 192, 206), (40, 124, 160)),
    "noon": ((150, 234, 236), (56, 178, 208), (22, 116, 164)),
    "sunset": ((240, 206, 170), (126, 150, 176), (52, 88, 136)),
    "dusk": ((142, 158, 214), (72, 96, 172), (40, 58, 124)),
    "night": ((62, 130, 160), (24, 70, 118), (12, 36, 78)),
}
VOIDS = (
    ((10, 8, 30), (24, 16, 58), (58, 30, 92)),
    ((6, 10, 30), (12, 24, 60), (22, 58, 96)),
    ((12, 6, 26), (38, 14, 56), (96, 34, 84)),
)
# How grey a weather makes everything, and what it leaves of the light.
GREYNESS = {"fog": (0.30, 1.0), "rain": (0.42, 0.80), "storm": (0.55, 0.52)}


@dataclass(frozen=True)
class Palette:
    """The colours of one picture; each is float32 RGB `(3,)` in 0..255."""

    top: np.ndarray
    middle: np.ndarray
    horizon: np.ndarray
    disc: np.ndarray
    light: np.ndarray
    halo: float
    near: np.ndarray
    white: np.ndarray

    def layer(self, depth: float) -> np.ndarray:
        """Return the colour of a layer at a depth: 0 is lost in haze, 1 is nearest."""
        haze = mix(self.horizon, self.middle, 0.35)
        return mix(haze, self.near, depth**0.8)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Return the blend of two values: `first` at share 0, `second` at share 1."""
    if np.ndim(share) == 3 and share.shape[2] == 1:  # a loop over 3 colours inside is slow
        return np.stack(
            [
                first[..., at] + (second[..., at] - first[..., at]) * share[..., 0]
                for at in range(max(first.shape[-1], second.shape[-1]))
            ],
            -1,
        )
    return first + (second - first) * share


def skies_of(time: str, place: str) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """Return the moods of a sky, or of what a place has in its stead."""
    if place == "under water":
        return (DEPTHS[time],)
    return VOIDS if place == "space" else SKIES[time]


def palette_for(time: str, place: str, weather: str, rng: np.random.Generator) -> Palette:
    """Return colours for a scene, a little different each time."""
    skies, grounds = skies_of(time, place), GROUNDS[place]
    one, two = rng.integers(len(skies), size=2)
    sky = mix(np.float32(skies[one]), np.float32(skies[two]), np.float32(rng.random()))
    sky = np.clip(sky + rng.normal(0, 3, (3, 3)), 0, 255).astype(np.float32)
    ground = np.float32(grounds[rng.integers(len(grounds))]) + np.float32(rng.normal(0, 4, 3))
    ambient = np.float32(AMBIENT[time])
    white = np.float32((244, 247, 252)) * mix(ambient, np.float32(1), 0.30)
    near = ground * ambient
    if time == "sunset" or time in ("dusk", "night"):
        near = mix(near, sky[0] * 0.5, 0.35)
    if weather == "snow":
        near = mix(near, white, 0.42)
        sky = mix(sky, sky.mean(axis=1, keepdims=True), 0.12)
    if weather in GREYNESS:
        grey, dimmed = GREYNESS[weather]
        sky = mix(sky, sky.mean(axis=1, keepdims=True), grey) * np.float32(dimmed)
        near = mix(near, near.mean(), grey) * np.float32(dimmed)
    return Palette(
        *sky,
        disc=np.float32(DISCS[time]),
        light=np.float32(LIGHTS[time]),
        halo=HALOS[time] * float(rng.uniform(0.9, 1.1)) * (0.2 if place == "space" else 1.0),
        near=near.astype(np.float32),
        white=white,
    )
