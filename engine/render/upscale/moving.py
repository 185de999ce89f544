"""Enlarges a stream of frames: some by the network, whose detail then moves to the others.

The network draws keyframes only. What lies between two of them is warped from both, along the
optical flow (DIS, Kroeger et al. 2016, arXiv:1603.03590) from the small frame to the small
keyframes, and blended where each explains the frame better. What neither explains is added from the
small frame itself, enlarged by cubic interpolation. So every frame stays true to its original, and
detail moves with the matter instead of being drawn anew for each frame.

A frame becomes a keyframe where the last one leaves too much of it unexplained, as after a cut, and
after ``MAX_GAP`` frames. At most that many small frames and two enlarged ones are held. On a
GPU a small network enlarges every frame: by its number of operations that takes less time than
moving (not measured). Knows nothing about files, films or jobs.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.render.image import Picture
from engine.render.upscale.upscaler import Upscaler

ALGORITHM_VERSION = 1  # raise it when the same frames begin to give other pixels
MAX_GAP = 8  # frames from one keyframe to the next
MAX_UNEXPLAINED = 0.5  # share of a frame that its keyframe may leave unexplained
# Differences of 255: up to NOISE nothing is corrected, from NOISE + CORRECTION_RANGE on all of it;
# at TRUST_RANGE a keyframe has lost most of its say.
NOISE, CORRECTION_RANGE, TRUST_RANGE = 2.0, 4.0, 4.0
# Pixels of the longer side up to which motion is sought at twice the size: 0.5 to 1 dB better.
SMALL_SIDE = 640
# Of DIS: the smallest scale at which it seeks, as a power of two, and iterations for each patch. As
# good as OpenCV's preset "medium", which refines the flow afterwards, in 0.4 of its time.
FINEST_SCALE, ITERATIONS = 1, 16
STRIP_ROWS = 64  # rows of a small frame that are moved at once
CONTEXT_ROWS = 3  # rows beside a strip that interpolation reads

Floats = NDArray[np.float32]


class _Keyframe(NamedTuple):
    small: Picture
    enlarged: Picture


class _Side(NamedTuple):
    """A keyframe as seen from a frame.

    Attributes:
        flow: from the frame's pixels to the keyframe's, (height, width, 2).
        warped: the small keyframe, moved to the frame.
        apart: the smoothed mean difference of the two, (height, width).
    """

    flow: Floats
    warped: Picture
    apart: Floats


class _Pending(NamedTuple):
    """A frame that waits for the keyframe behind it, with its view of the one before it."""

    small: Picture
    side: _Side


def enlarge_frames(frames: Iterable[Picture], upscaler: Upscaler) -> Iterator[Picture]:
    """Enlarge frames in order, all of one size.

    Args:
        frames: uint8 RGB (H, W, 3).
        upscaler: draws the keyframes.

    Yields:
        uint8 RGB (factor * H, factor * W, 3), at most ``MAX_GAP`` frames after it was read.

    Raises:
        InvalidParameterError: frames are of another kind, or become too large.
        DeviceMemoryError: not even a small tile fits.
    """
    if upscaler.quick:
        yield from map(upscaler.enlarge, frames)
        return
    last: _Keyframe | None = None
    pending: list[_Pending] = []
    for frame in frames:
        if last is None:
            last = _Keyframe(frame.copy(), upscaler.enlarge(frame))
            yield last.enlarged
            continue
        side = _look(frame, last.small)
        pending.append(_Pending(frame.copy(), side))
        if len(pending) == MAX_GAP or unexplained(side.apart) > MAX_UNEXPLAINED:
            last = yield from _close(last, pending, upscaler)
            pending = []
    if last and pending:
        yield from _close(last, pending, upscaler)


def _close(
    first: _Keyframe, pending: list[_Pending], upscaler: Upscaler
) -> Generator[Picture, None, _Keyframe]:
    """Make the last pending frame a keyframe, yield all in order, and return the keyframe."""
    *between, end = pending
    still = not end.side.apart.any()
    last = _Keyframe(end.small, first.enlarged if still else upscaler.enlarge(end.small))
    for index, (small, side) in enumerate(between, 1):
        if not side.apart.any():
            yield first.enlarged
            continue
        other = _look(small, last.small)
        yield _move(small, first, side, last, other, index / len(pending), upscaler.factor)
    yield last.enlarged
    return last


def unexplained(apart: Floats) -> float:
    """Return the share of a frame, 0 to 1, that differs visibly from its moved keyframe."""
    return float(_correction(apart).mean())


def _correction(apart: Floats) -> Any:
    """Return how much of a difference is corrected, 0 to 1, (height, width)."""
    return np.clip((apart - NOISE) / CORRECTION_RANGE, 0, 1)


def _look(small: Picture, keyframe: Picture) -> _Side:
    if np.array_equal(small, keyframe):
        return _Side(
            np.zeros((*small.shape[:2], 2), np.float32), keyframe, _difference(small, small)
        )
    flow = find_flow(small, keyframe)
    warped = _warp(keyframe, flow, 0)
    return _Side(flow, warped, _difference(small, warped))


def find_flow(first: Picture, second: Picture) -> Floats:
    """Return where each pixel of the first picture lies in the second, relative to its place.

    Returns:
        float32 (height, width, 2), columns before rows, in pixels.
    """
    height, width = first.shape[:2]
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    twice = max(height, width) <= SMALL_SIDE
    if twice:
        double = (2 * width, 2 * height)
        greys = [cv2.resize(grey, double, interpolation=cv2.INTER_CUBIC) for grey in greys]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(FINEST_SCALE)
    dis.setGradientDescentIterations(ITERATIONS)
    flow: Any = dis.calc(greys[0], greys[1], None)  # type: ignore[call-overload]
    if twice:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / 2
    return np.asarray(flow, np.float32)


def _difference(first: Picture, second: Picture) -> Floats:
    mean = cv2.absdiff(first, second).astype(np.float32).mean(axis=2)
    return np.asarray(cv2.GaussianBlur(mean, (0, 0), 1.0), np.float32)


def _warp(picture: Picture, flow: Floats, first_row: int) -> Picture:
    """Sample a picture at the places to which a flow points from the rows below ``first_row``."""
    height, width = flow.shape[:2]
    columns = flow[..., 0] + np.arange(width, dtype=np.float32)
    rows = flow[..., 1] + np.arange(first_row, first_row + height, dtype=np.float32)[:, None]
    warped = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _move(
    small: Picture,
    first: _Keyframe,
    side: _Side,
    last: _Keyframe,
    other: _Side,
    position: float,
    factor: int,
) -> Picture:
    """Draw a frame from two enlarged keyframes, strip by strip."""
    shares = _shares(side, other, position)
    correction = _missing(small, side, other, shares)
    height, width = small.shape[:2]
    moved = np.empty((height * factor, width * factor, 3), np.uint8)
    sides = [(first.enlarged, side.flow * factor), (last.enlarged, other.flow * factor)]
    for start in range(0, height, STRIP_ROWS):
        rows = slice(start, min(start + STRIP_ROWS, height))
        warped = [
            _warp(picture, _enlarge_rows(flow, rows, factor), start * factor)
            for picture, flow in sides
        ]
        share = np.clip(_enlarge_rows(shares, rows, factor), 0, 1)
        strip = cv2.blendLinear(warped[0], warped[1], share, 1 - share)
        if correction[rows].any():
            added = _enlarge_rows(correction, rows, factor, cv2.INTER_CUBIC)
            strip = cv2.add(strip, added, dtype=cv2.CV_8U)
        moved[start * factor : rows.stop * factor] = strip
    return moved


def _shares(side: _Side, other: _Side, position: float) -> Floats:
    """Return what the first keyframe adds to each pixel, 0 to 1, (height, width)."""
    before = (1 - position) * np.exp(-np.square(side.apart / TRUST_RANGE)) + 1e-6
    behind = position * np.exp(-np.square(other.apart / TRUST_RANGE)) + 1e-6
    return np.asarray(before / (before + behind), np.float32)


def _missing(small: Picture, side: _Side, other: _Side, shares: Floats) -> NDArray[np.int16]:
    """Return what the two moved small keyframes lack of the frame, beyond noise."""
    found = cv2.blendLinear(side.warped, other.warped, shares, 1 - shares)
    lack = small.astype(np.float32) - found
    apart = cv2.GaussianBlur(np.abs(lack).mean(axis=2), (0, 0), 1.0)
    share = _correction(np.asarray(apart, np.float32))[..., None]
    return np.asarray(np.rint(lack * share), np.int16)


def _enlarge_rows(
    values: NDArray[Any], rows: slice, factor: int, interpolation: int = cv2.INTER_LINEAR
) -> Any:
    """Enlarge some rows of a map as they come out when all of it is enlarged."""
    first = max(0, rows.start - CONTEXT_ROWS)
    part = values[first : rows.stop + CONTEXT_ROWS]
    size = (part.shape[1] * factor, part.shape[0] * factor)
    enlarged = cv2.resize(part, size, interpolation=interpolation)
    start = (rows.start - first) * factor
    return enlarged[start : start + (rows.stop - rows.start) * factor]
