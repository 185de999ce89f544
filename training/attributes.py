"""Recognises time of day, place and the side of the disc from simple pixel statistics.

Time and place are linear in band statistics, fitted on the generator's pictures; the disc is
where a disc-shaped filter answers most. Knows nothing about models or prompts.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.scene import PLACES, SIDES, TIMES, Scene, random_scene
from training.world import draw

BANDS = 16
PENALTY = 1e-3  # Ridge regression, as a share of the features' variance.


def bands(values: np.ndarray) -> np.ndarray:
    """Return the mean of `(height, width, ...)` over `BANDS` bands of rows, flattened."""
    parts = np.array_split(values, BANDS)
    return np.stack([part.mean(axis=(0, 1)) for part in parts]).reshape(-1)


def colours(picture: np.ndarray) -> np.ndarray:
    """Return the mean colour of each band and its square: what tells the time of day."""
    means = bands(picture.astype(np.float32) / 255)
    return np.concatenate([means, means**2])


def texture(picture: np.ndarray) -> np.ndarray:
    """Return colours, and edge strength per band and direction: what tells the place."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    grey = cv2.GaussianBlur(grey, (0, 0), 3.0)
    scale = grey.std() + 0.03
    across, down = np.gradient(grey, axis=1), np.gradient(grey, axis=0)
    edges = [bands(np.abs(across)), bands(np.abs(down)), bands(down), bands(grey**2)]
    fine = bands(np.abs(cv2.Laplacian(grey, cv2.CV_32F)))
    mirror = np.abs(grey[140:170] - grey[109:139][::-1]).mean(keepdims=True).reshape(-1)
    columns = grey[200:].mean(axis=0)
    steps = np.abs(np.diff(columns)).mean(keepdims=True)
    stats = np.concatenate([*edges, fine, mirror, steps]) / scale
    return np.concatenate([colours(picture), stats, np.sqrt(np.abs(stats))])


def disc_column(picture: np.ndarray) -> float:
    """Return where the sun or moon is, as a share 0..1 of the width.

    A disc brighter than the ring around it, at the heights where the world has one. The
    twelfth power of brightness leaves little but the brightest thing in the sky.
    """
    height, width = picture.shape[:2]
    scale = height / 128
    small = cv2.resize(picture, (round(width / scale), 128), interpolation=cv2.INTER_AREA)
    light = small.astype(np.float32).mean(axis=2)
    light = (light / light[:70].max()) ** 12
    distance = np.hypot(*np.mgrid[-16:17, -16:17])
    answer = np.full(light.shape, -1.0, np.float32)
    for radius in (7.0, 8.5, 10.0, 12.0):
        inside, ring = distance < radius - 0.5, (distance > radius + 1) & (distance < radius + 5)
        kernel = (inside / inside.sum() - ring / ring.sum()).astype(np.float32)
        contrast = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        spread = cv2.blur(light**2, (9, 9)) - cv2.blur(light, (9, 9)) ** 2
        answer = np.maximum(answer, contrast - 0.8 * np.sqrt(np.maximum(spread, 0)))
    answer[:18] = answer[58:] = -1
    return (int(answer.argmax()) % light.shape[1] + 0.5) / light.shape[1]


def side_of(picture: np.ndarray) -> str:
    """Return the third of the picture in which the disc is."""
    return SIDES[min(int(disc_column(picture) * 3), 2)]


@dataclass(frozen=True)
class Linear:
    """A linear classifier: least squares towards one-of-many, on standardised features."""

    labels: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, truth: list[str], labels: tuple[str, ...]) -> "Linear":
        """Fit to features `(count, size)` and their true labels."""
        mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-4
        inputs = cls._standard(features, mean, spread)
        targets = np.array([[label == other for other in labels] for label in truth], float)
        gram = inputs.T @ inputs + PENALTY * len(inputs) * np.eye(inputs.shape[1])
        return cls(labels, mean, spread, np.linalg.solve(gram, inputs.T @ targets))

    @staticmethod
    def _standard(features: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
        scaled = np.clip((features - mean) / spread, -4, 4)
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)

    def __call__(self, features: np.ndarray) -> str:
        """Return the most likely label of one feature vector."""
        scores = self._standard(features[None], self.mean, self.spread) @ self.weights
        return self.labels[int(scores.argmax())]


@dataclass(frozen=True)
class Recogniser:
    """Reads a scene's attributes back from a picture."""

    time: Linear
    place: Linear

    @classmethod
    def fit(cls, pictures: list[np.ndarray], scenes: list[Scene]) -> "Recogniser":
        """Fit to the generator's own pictures; to softened ones too, for the place.

        Else soft edges alone would look like another place, whatever is painted.
        """
        time = np.stack([colours(picture) for picture in pictures])
        soft = [cv2.GaussianBlur(one, (0, 0), 1 + at % 5) for at, one in enumerate(pictures)]
        place = np.stack([texture(picture) for picture in pictures + soft])
        return cls(
            Linear.fit(time, [scene.time for scene in scenes], TIMES),
            Linear.fit(place, [scene.place for scene in scenes] * 2, PLACES),
        )

    def __call__(self, picture: np.ndarray) -> dict[str, str]:
        """Return the time, place and side that a picture shows."""
        return {
            "time": self.time(colours(picture)),
            "place": self.place(texture(picture)),
            "side": side_of(picture),
        }


def examples(count: int, seed: int) -> tuple[list[np.ndarray], list[Scene]]:
    """Return fresh pictures of the generator, 256x256, and their scenes."""
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(count)]
    return [draw(scene, rng) for scene in scenes], scenes


def agreement(
    recognise: Recogniser, pictures: list[np.ndarray], scenes: list[Scene]
) -> dict[str, float]:
    """Return the share of pictures, per attribute, that show what their scene says."""
    found = [recognise(picture) for picture in pictures]
    pairs = list(zip(found, scenes, strict=True))
    return {
        name: sum(seen[name] == getattr(scene, name) for seen, scene in pairs) / len(pairs)
        for name in ("time", "place", "side")
    }
