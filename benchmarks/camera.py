"""Does a film's camera go where it was told, and do its colours stay?

    python -m benchmarks.camera

Makes a ten-second film for each of some paths with the offline model, looks at the MP4, and
prints how far the motion that is seen in it is from the path that was asked for (tracked features,
RANSAC similarity; the largest distance at any time, as a share of the whole way), and how far the
mean colour of what the first frame shows has gone by the end of its being in view (of full scale).
Whole frames change their mean as well, since a camera shows other things; beside that stands how
much of it the move alone brings, in a film of the first frame, moved without being painted over.
Grain is the spread of what a Gaussian of 1.5 pixels takes away, of 255, in the calmer half of what
the first frame shows and the last one still does; it stands beside that of the first frame, moved.
Fails if a path is missed by more than 10 %, or colours drift by 2 %.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks.clients import Watcher, watching
from engine import daemon
from engine.film import camera
from engine.film.camera import REST, Move, Pose
from engine.film.events import Finished
from engine.film.recipe import Camera, Recipe
from engine.film.recipe_json import parse_recipe
from engine.models import catalogue
from engine.render.image import Picture
from engine.render.painting.warp import in_view, moved

STRIDE = 4  # frames between those that are compared: slow motion is small against a pixel
ENOUGH = 0.25  # share of the first frame that must still be in view to compare colours
MOST_OFF, MOST_DRIFT = 0.10, 0.02
SCENES: dict[str, tuple[str, dict[str, float]]] = {
    "slow push in": ("a still lake at sunset, the sun on the right", {"zoom": 1.5}),
    "drift left": ("snowy mountains at noon, white clouds", {"pan_x": -0.8}),
    "crane up": ("a city at night, the moon on the right", {"pan_y": 0.5}),
    "turn": ("dawn over the sea, sun on the left", {"roll": 15, "zoom": 1.25}),
}


class Finding(NamedTuple):
    """What a film shows.

    Attributes:
        off: largest distance from the path at any time, as a share of the whole way.
        drift: largest change of the mean colour of what the first frame shows, of full scale.
        whole_drift: likewise of whole frames, where what comes into view counts.
        moved_drift: likewise of the first frame, only moved; it mirrors what comes into view.
        grain: spread of details in calm places of the last frame, of 255.
        moved_grain: likewise of the first frame, only moved.
    """

    off: float
    drift: float
    whole_drift: float
    moved_drift: float
    grain: float
    moved_grain: float


def a_recipe(prompt: str, path: dict[str, float], seconds: float = 10.0, **facts: Any) -> Recipe:
    """Return the recipe of a film of one scene whose camera moves."""
    scene = {"prompt": prompt, "seconds": seconds, "camera": path}
    return parse_recipe({"scenes": [scene], "seed": 5, **facts})


def frames_of(film: Path) -> list[Picture]:
    """Return a film's frames, RGB."""
    video, frames = cv2.VideoCapture(str(film)), []
    while (read := video.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames  # type: ignore[return-value]


def look(frames: list[Picture], path: Camera) -> Finding:
    """Compare a film of one scene with its camera's path."""
    aspect = frames[0].shape[0] / frames[0].shape[1]
    poses = [camera.pose_at(path, index / len(frames)) for index in range(len(frames))]
    seen, off = np.eye(3), 0.0
    whole = _apart(_similarity(poses[-1], aspect), np.eye(3), aspect)
    for index in range(STRIDE, len(frames), STRIDE):
        seen = tracked(frames[index - STRIDE], frames[index]) @ seen
        off = max(off, _apart(seen, _similarity(poses[index], aspect), aspect))
    return Finding(off / whole, *_drifts(frames, poses, aspect), *_grains(frames, poses[-1]))


def tracked(first: Picture, second: Picture) -> np.ndarray:
    """Return the similarity by which features move, 3 x 3, in widths from the picture's centre."""
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    corners = cv2.goodFeaturesToTrack(greys[0], 400, 0.005, 5)
    there, found, _ = cv2.calcOpticalFlowPyrLK(*greys, corners, None)  # type: ignore[call-overload]
    back, _, _ = cv2.calcOpticalFlowPyrLK(*reversed(greys), there, None)  # type: ignore[call-overload]
    good = (found[:, 0] == 1) & (np.abs(back - corners).max((1, 2)) < 0.3)
    height, width = greys[0].shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    points = [(places[good, 0] - centre) / width for places in (corners, there)]
    fit, _ = cv2.estimateAffinePartial2D(*points, ransacReprojThreshold=0.5 / width)
    return np.vstack((fit, (0, 0, 1)))


def _similarity(pose: Pose, aspect: float) -> np.ndarray:
    """Return what a pose without an orbit does to the first picture, 3 x 3."""
    columns = [camera.carry(x, y, REST, pose, aspect) for x, y in ((0, 0), (1, 0), (0, 1))]
    (x, y), right, down = columns
    return np.array(
        [[right[0] - x, down[0] - x, x], [right[1] - y, down[1] - y, y], [0, 0, 1]], float
    )


def _apart(one: np.ndarray, two: np.ndarray, aspect: float) -> float:
    """Return how far apart two similarities bring a picture's corners and centre, in the mean."""
    places = [(0, 0), *((x, y * aspect) for x in (-0.5, 0.5) for y in (-0.5, 0.5))]
    points = np.array([(*place, 1.0) for place in places]).T
    return float(np.linalg.norm((one @ points - two @ points)[:2], axis=0).mean())


def _drifts(frames: list[Picture], poses: list[Pose], aspect: float) -> tuple[float, float, float]:
    height, width = frames[0].shape[:2]
    drift = whole = alone = 0.0
    for index in range(0, len(frames), STRIDE):
        move = Move(before=REST, after=poses[index])
        still = moved(frames[0], move)
        whole = max(whole, _difference(frames[index], frames[0]))
        alone = max(alone, _difference(still, frames[0]))
        if camera.overlap(poses[index], REST, aspect) >= ENOUGH:
            shared = in_view(move, height, width)
            drift = max(drift, _difference(frames[index][shared], still[shared]))
    return drift, whole, alone


def _grains(frames: list[Picture], pose: Pose) -> tuple[float, float]:
    move = Move(before=REST, after=pose)
    last, still = (_details(picture) for picture in (frames[-1], moved(frames[0], move)))
    shared = in_view(move, *still.shape)
    calm = shared & (still <= np.median(still[shared]))
    return float(np.sqrt(last[calm].mean())), float(np.sqrt(still[calm].mean()))


def _details(picture: Picture) -> np.ndarray:
    """Return the square of what a Gaussian takes away, around each pixel, ``(height, width)``."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.blur((grey - cv2.GaussianBlur(grey, (0, 0), 1.5)) ** 2, (15, 15))


def _difference(one: np.ndarray, two: np.ndarray) -> float:
    """Return how far the mean colours of two pictures' pixels are apart, of full scale."""
    means = [pixels.reshape(-1, 3).mean(0) for pixels in (one, two)]
    return float(np.abs(means[0] - means[1]).max()) / 255


async def made(watcher: Watcher, recipe: Recipe, job: str, target: Path) -> list[Picture]:
    """Have a running engine make a film; return its frames."""
    await watcher.film(job, recipe, previews=True)
    finished = watcher.events[-1].event
    assert isinstance(finished, Finished), finished
    await watcher.connection.fetch(finished.object, target)
    return frames_of(target)


async def run(seconds: float, keep: Path | None) -> bool:
    """Measure and print; return whether every film is as it should be."""
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        options = daemon.Options(data=Path(folder), models=catalogue())
        async with daemon.running(options) as engine, watching(engine) as watcher:
            for name, (prompt, path) in SCENES.items():
                recipe = a_recipe(prompt, path, seconds)
                film = (keep or Path(folder)) / f"{name.replace(' ', '-')}.mp4"
                frames = await made(watcher, recipe, f"camera-{name.replace(' ', '-')}", film)
                path_asked = recipe.scenes[0].camera
                assert isinstance(path_asked, Camera)
                found = look(frames, path_asked)
                fine &= found.off <= MOST_OFF and found.drift < MOST_DRIFT
                print(
                    f"{name}: {len(frames)} frames, {100 * found.off:.1f} % off the path, colours "
                    f"drift {100 * found.drift:.2f} % ({100 * found.whole_drift:.2f} % of whole "
                    f"frames, the move alone {100 * found.moved_drift:.2f} %), "
                    f"grain {found.grain:.2f} ({found.moved_grain:.2f})",
                    flush=True,
                )
    return fine


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each film (%(default)s)")
    parser.add_argument("--keep", type=Path, help="a folder for the films")
    options = parser.parse_args()
    sys.exit(not asyncio.run(run(options.seconds, options.keep)))
