"""How smooth a film is: temporal scores by well-known definitions, found on small frames.

It holds two frames and three numbers for each, however long the film. It knows no recipes: a cut
that was wanted is a jump like any other, a sunset that was wanted is a drift.

- Flicker: warping error, Lai et al. 2018 (arXiv:1808.00449), its root: the next frame is carried
  back along the optical flow (DIS, Kroeger et al. 2016) and compared where the flow is to be
  trusted (occlusions and motion boundaries after Ruder et al. 2016, arXiv:1604.08610).
- Speed: mean CIE 1976 L*a*b* distance of neighbouring frames; unevenness is its coefficient of
  variation. Cuts, jumps of a single step, are left out of it and of flicker.
- Jumps: steps that can be seen (2.3, Mahy et al. 1994, "Evaluation of uniform color spaces") and
  are more than three times the median of a sliding window, as in Yeo & Liu 1995 ("Rapid scene
  analysis on compressed video") and PySceneDetect's AdaptiveDetector. Neighbours are one jump.
- Drift: mean colour of the last half second against that of the first, lightness and chroma apart.
- Duplicates: mean absolute difference below 0.001, as in ffmpeg's freezedetect.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.film.events import Scores
from engine.render.video.ffmpeg import Frame, Probe, probe, read_frames

# Pixels of a small frame's longer side, and of its shorter one at least.
MAX_SIDE, MIN_SIDE = 128, 48
# L*a*b* distance that can just be seen; a codec alone makes 1 where segments meet.
VISIBLE_DISTANCE = 2.3
JUMP_RATIO = 3.0  # times the median around it is a jump
WINDOW_SECONDS = 1.0  # seconds before and after a step that it is compared with
DUPLICATE_DIFFERENCE = 0.001  # mean absolute difference, of 1, below which a frame repeats the last
MIN_SPEED = 0.02  # mean L*a*b* distance below which nothing does: no speed, no unevenness
END_SECONDS = 0.5  # seconds whose colours are compared

Floats = NDArray[np.floating[Any]]


def measure(path: Path, film: Probe | None = None, check: Callable[[], object] = int) -> Scores:
    """Return the scores of a film file.

    Args:
        path: any film.
        film: what it holds, if that is known.
        check: called before each frame; may raise.

    Raises:
        AssemblyError: this is no film.
    """
    film = film or probe(path)
    frames = read_frames(path, small(film.width, film.height))
    return score(_checked(frames, check), float(film.frame_rate))


def small(width: int, height: int) -> tuple[int, int]:
    """Return the size, width first, at which films of a size are measured."""
    scale = min(1.0, max(MAX_SIDE / max(width, height), MIN_SIDE / min(width, height)))
    return round(width * scale), round(height * scale)


def score(frames: Iterable[Frame], frame_rate: float) -> Scores:
    """Return the scores of small frames, uint8 RGB ``(height, width, 3)``."""
    steps: list[tuple[float, float, float]] = []  # speed, warping error, plain difference
    colours = []
    before: _Seen | None = None
    for frame in frames:
        seen = _Seen(frame)
        colours.append(seen.lab.mean(axis=(0, 1)))
        if before:
            steps.append(_step(before, seen))
        before = seen
    speeds, errors, differences = np.array(steps).reshape(-1, 3).T
    jumps = find_jumps(speeds, frame_rate)
    ends = max(1, round(END_SECONDS * frame_rate))
    drift = (np.mean(colours[-ends:], axis=0) - np.mean(colours[:ends], axis=0)) / 100
    cuts = [jump[0] for jump in jumps if len(jump) == 1]
    speeds, errors = np.delete(speeds, cuts), np.delete(errors, cuts)
    return Scores(
        flicker=round(float(np.sqrt(errors.mean())), 5) if errors.size else 0.0,
        jumps=len(jumps),
        unevenness=round(_variation(speeds), 4),
        brightness=round(float(drift[0]), 4),
        colour=round(float(np.hypot(*drift[1:])), 4),
        duplicates=round(float((differences < DUPLICATE_DIFFERENCE).sum()) / len(colours), 4),
    )


def find_jumps(speeds: Floats, frame_rate: float) -> list[range]:
    """Return the runs of steps, ``(steps,)`` in all, that are far faster than those around."""
    if not speeds.size:
        return []
    reach = max(2, round(WINDOW_SECONDS * frame_rate))
    near = np.pad(speeds, 1)  # a frame that is shown twice is no rest
    near = np.maximum(np.maximum(near[:-2], near[1:-1]), near[2:])
    padded = np.pad(near, reach, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    fast = speeds > np.maximum(VISIBLE_DISTANCE, JUMP_RATIO * np.nanmedian(around, axis=1))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], fast, [False]])))
    return [range(start, end) for start, end in edges.reshape(-1, 2).tolist()]


def _checked(frames: Iterable[Frame], check: Callable[[], object]) -> Iterator[Frame]:
    for frame in frames:
        check()
        yield frame


class _Seen:
    """One small frame in the forms that are compared."""

    def __init__(self, frame: Frame) -> None:
        self.rgb = frame.astype(np.float32) / 255
        self.lab = cv2.cvtColor(self.rgb, cv2.COLOR_RGB2LAB)
        self.grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _step(first: _Seen, second: _Seen) -> tuple[float, float, float]:
    speed = float(np.linalg.norm(second.lab - first.lab, axis=2).mean())
    difference = float(np.abs(second.rgb - first.rgb).mean())
    return speed, _warping_error(first, second), difference


def _warping_error(first: _Seen, second: _Seen) -> float:
    """Return the mean squared difference of the first frame and the second carried back to it."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    forward = dis.calc(first.grey, second.grey, None)  # type: ignore[call-overload]
    backward = dis.calc(second.grey, first.grey, None)  # type: ignore[call-overload]
    height, width = first.grey.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    target = columns + forward[..., 0], rows + forward[..., 1]
    inside = (abs(target[0] / (width - 1) - 0.5) <= 0.5) & (
        abs(target[1] / (height - 1) - 0.5) <= 0.5
    )
    met, carried = (cv2.remap(one, *target, cv2.INTER_LINEAR) for one in (backward, second.rgb))
    trusted = inside & _trusted(forward, met)
    squared = np.square(first.rgb - carried)
    return float(squared[trusted].mean()) if trusted.any() else 0.0


def _trusted(forward: Any, backward: Any) -> Any:
    """Return where two flows agree and the first does not tear; thresholds of Ruder et al. 2016.

    Both are ``(height, width, 2)``, in pixels, at the places where ``forward`` begins.
    """
    length = np.square(forward).sum(axis=2)
    apart = np.square(forward + backward).sum(axis=2)
    slopes = sum(np.square(slope).sum(axis=2) for slope in np.gradient(forward, axis=(0, 1)))
    agree = apart <= 0.01 * (length + np.square(backward).sum(axis=2)) + 0.5
    return agree & (slopes <= 0.01 * length + 0.002)


def _variation(speeds: Floats) -> float:
    """Return the coefficient of variation; 0 where nothing moves."""
    mean = float(speeds.mean()) if speeds.size else 0.0
    return float(speeds.std()) / mean if mean > MIN_SPEED else 0.0
