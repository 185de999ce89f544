"""Draws contact sheets of the world to look at: random scenes of each shape, and the subjects.

python -m training.sheets docs/world    # writes scenes.jpg and subjects.jpg
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from training.scene import DARK, HABITATS_OF, ON_LAND, TIMES, Figure, Scene, rich_scene
from training.subjects import SUBJECTS
from training.world import draw

# Rows of a sheet: how many pictures side by side, their width and height.
ROWS = {"wide": (6, 448, 256), "tall": (12, 256, 448), "square": (12, 256, 256)}
HOMES = {
    "ground": ("meadow", "hills", "beach", "snowfield", "village", "forest", "desert", "city"),
    "water": ("sea", "lake"),
    "air": ("hills", "mountains", "sea", "city", "beach"),
    "under": ("under water",),
    "space": ("space",),
}


def random_scenes(seed: int, counts: dict[str, int]) -> np.ndarray:
    """Return rows of random scenes, `counts` of each shape, as one RGB picture."""
    rows = []
    for shape, count in counts.items():
        across, width, height = ROWS[shape]
        for first in range(0, count, across):
            pictures = []
            for index in range(first, first + across):
                rng = np.random.default_rng([seed, list(ROWS).index(shape), index])
                pictures.append(draw(rich_scene(rng), rng, width, height))
            rows.append(np.hstack(pictures))
    wide = min(row.shape[1] for row in rows)
    sizes = [(wide, round(row.shape[0] * wide / row.shape[1])) for row in rows]
    return np.vstack(
        [
            cv2.resize(row, size, interpolation=cv2.INTER_AREA)
            for row, size in zip(rows, sizes, strict=True)
        ]
    )


def subject_scene(name: str, rng: np.random.Generator) -> Scene:
    """Return a clear or cloudy scene with one near subject where it is usually at home."""
    habitat = SUBJECTS[name].habitats[0]
    place, time = str(rng.choice(HOMES[habitat])), str(rng.choice(TIMES))
    assert habitat in HABITATS_OF.get(place, ON_LAND)
    time = "night" if place == "space" else time
    weather = "clear" if time in DARK or rng.random() < 0.5 else "clouds"
    side = str(rng.choice(("left", "right")))
    figure = Figure(name, habitat, "centre", near=True)
    return Scene(time, place, side, weather, figures=(figure,))


def all_subjects(seed: int, across: int = 12) -> np.ndarray:
    """Return every subject in a scene of its own, in rows, as one RGB picture."""
    pictures = []
    for index, name in enumerate(SUBJECTS):
        rng = np.random.default_rng([seed, index])
        pictures.append(draw(subject_scene(name, rng), rng))
    rows = [pictures[at : at + across] for at in range(0, len(pictures), across)]
    return np.vstack([np.hstack(row) for row in rows if len(row) == across])


def save(picture: np.ndarray, path: Path, width: int, quality: int = 82) -> None:
    """Write a picture as a JPEG of some width."""
    size = (width, round(picture.shape[0] * width / picture.shape[1]))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    counts = {"wide": 24, "tall": 12, "square": 12}
    save(random_scenes(arguments.seed, counts), arguments.folder / "scenes.jpg", 1344)
    save(all_subjects(arguments.seed), arguments.folder / "subjects.jpg", 1344, 76)
