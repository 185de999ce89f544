"""Frames between keyframes, as a render needs them: 8-bit in, 8-bit out, in order.

Chooses between copying, fading and interpolating, keeps what belongs to one keyframe for both
of its gaps, and draws as many positions at once as memory allows. Knows nothing about
pictures on disk, films or jobs.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceMemoryError, InvalidParameterError, VisionFluxError
from engine.models import interpolators
from engine.render.device import bfloat16_is_faster, room_errors
from engine.render.rife.allocator import keep_large_blocks
from engine.render.rife.checkpoint import load_ifnet
from engine.render.rife.dis import DIS
from engine.render.rife.ifnet import IFNet
from engine.render.rife.moving import MovingPair
from engine.render.rife.network import Drawn, Network, Pair, Prepared, check_positions, check_scale
from engine.render.rife.similarity import Judgement, judge
from engine.render.weights.hub import OnBytes
from engine.render.weights.rife import fetch_official

ALGORITHM_VERSION = 6  # raise it when the same weights begin to give other pixels
# Networks whose version no source states truly, by the digest of their tensors: wherever the same
# tensors come from, they are one network.
NAMES_BY_WEIGHTS = {"61ea30f794880cc5": "rife-4.25/4.26"}
CACHED_KEYFRAMES = 3  # keyframes: the two of this gap, and the one they may share with the last
# Pixels above which flow is found at 1/2 and 1/4 scale.
HALF_SCALE_PIXELS, QUARTER_SCALE_PIXELS = 2_500_000, 10_000_000
# The warped sides may disagree by this share of the keyframes' difference; beyond it the
# motion explains nothing and a fade looks better. 1 is what no motion at all gives. With RIFE
# 4.25/4.26, 73 pairs of real footage that the judge leaves to the network reached 0.91, those from
# 0.8 on drawn 1.6 dB better than faded; of 68 pairs of painted keyframes those from 0.8 to 0.95
# came out 0.6 dB worse than a fade, those above 1.6 dB better. 15 unrelated pairs reached 0.88 to
# 1.02, all of them faded by the judge already. Nothing better than 0.95 was found.
MAX_DISAGREEMENT = 0.95
FADED_ROWS = 256  # of a cross-fade, at once
Shown = tuple[np.ndarray, np.ndarray]


def load_interpolator(
    device: str = "cpu",
    weights: Path | None = None,
    version: str | None = None,
    scale: float | None = None,
) -> "Interpolator":
    """Load a network onto a device, with convolutions in the precision that it is fast in.

    Args:
        device: a torch device, "cpu" or "cuda".
        weights: an official RIFE 4.x file; None takes DIS, which needs none.
        version: of the file, where it is known.
        scale: of the flow estimate; None reduces it for large frames only.

    Raises:
        InvalidParameterError: the scale is not offered.
        ModelLoadError: the file is missing, damaged, not RIFE 4.x or not that version.
    """
    network: Network = DIS().eval() if weights is None else load_ifnet(weights, version)
    keep_large_blocks()
    if isinstance(network, IFNet):
        network.precision = precision_for(torch.device(device))
    digest = weights_digest(network)[:16]
    network.name = NAMES_BY_WEIGHTS.get(digest, network.name)
    return Interpolator(network.to(device), digest, torch.device(device), scale)


def precision_for(device: torch.device) -> torch.dtype:
    """What an IFNet's convolutions are fast in; flows and warps are float32 always.

    bfloat16 on CPUs where it is measured faster, float16 on NVIDIA GPUs since Volta (bfloat16
    there loses 16 dB more for no gain; float16 on CPUs is slower than float32), else float32.
    """
    if device.type == "cuda":
        half = torch.cuda.get_device_capability(device) >= (7, 0)
        return torch.float16 if half else torch.float32
    quick = device.type == "cpu" and bfloat16_is_faster()
    return torch.bfloat16 if quick else torch.float32


def weights_digest(network: Network) -> str:
    """SHA-256 over names, shapes and values: the same for a pickle and its repack."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.float().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


class Interpolator:
    """Draws frames between RGB keyframes, uint8 or uint16.

    Attributes:
        identity: names the network, its weights and this algorithm; equal identities give
            equal frames.
    """

    def __init__(
        self, network: Network, digest: str, device: torch.device, scale: float | None = None
    ) -> None:
        self.scale = None if scale is None else check_scale(scale)
        self.identity = f"{network.name}@{digest}+{ALGORITHM_VERSION}" + (
            f"*{scale:g}" if scale else ""
        )
        self.network = network
        self.device = device
        self._prepared: list[tuple[np.ndarray, Prepared]] = []
        self._batch_pixels = network.batch_pixels

    def judge(self, first: np.ndarray, second: np.ndarray) -> Judgement:
        """Return what ``between`` will do with two frames, without running the network."""
        _check_frames(first, second)
        return judge(to_eight_bits(first), to_eight_bits(second))

    def between(
        self,
        first: np.ndarray,
        second: np.ndarray,
        positions: Sequence[float],
        enlarged: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the frames at some positions between two keyframes, in order.

        Args:
            first: uint8 or uint16 RGB (H, W, 3).
            second: likewise, of the same size and type.
            positions: in [0, 1], as a rule strictly inside and ascending.
            enlarged: both frames, a whole number of times as large, to be shown instead; how to get
                from the one to the other is found on the small ones.

        Yields:
            RGB of that type, as large as what is shown, one for each position, as soon as its batch
            is drawn.

        Raises:
            InvalidParameterError: sizes or types differ, or a position is out of range.
            DeviceMemoryError: not even a single frame fits.
        """
        _check_frames(first, second)
        moments = check_positions(positions)
        if enlarged:
            _check_enlarged(first, enlarged)
        return self._draw_all(first, second, moments, enlarged)

    def _draw_all(
        self, first: np.ndarray, second: np.ndarray, moments: list[float], enlarged: Shown | None
    ) -> Iterator[np.ndarray]:
        mode, shown = self.judge(first, second).mode, enlarged or (first, second)
        if mode == "interpolate" and moments:
            yield from self._interpolate(first, second, moments, enlarged)
            return
        for moment in moments:
            yield shown[0].copy() if mode == "copy" else fade(*shown, moment)

    @torch.inference_mode()
    def _interpolate(
        self, first: np.ndarray, second: np.ndarray, moments: list[float], enlarged: Shown | None
    ) -> Iterator[np.ndarray]:
        """Draw the middle first, to see whether the two sides agree; then all in order."""
        with self._memory_errors(f"two keyframes of {first.shape[1]}x{first.shape[0]}"):
            pair = self.network.relate(self._prepare(first), self._prepare(second))
        middle = min(range(len(moments)), key=lambda index: abs(moments[index] - 0.5))
        drawn = self._draw(pair, [moments[middle]])
        if disagreement(pair, drawn) > MAX_DISAGREEMENT:
            shown = enlarged or (first, second)
            yield from (fade(*shown, moment) for moment in moments)
            return
        if enlarged:
            moving = MovingPair(*enlarged, self.device)
            tracks = self._batches(pair, moments, self._track)
            yield from (moving.frame(track) for track in tracks)
            return
        for images in (
            self._batches(pair, moments[:middle], self._frames),
            drawn.frames[:1],
            self._batches(pair, moments[middle + 1 :], self._frames),
        ):
            yield from (to_frame(image, first.dtype) for image in images)

    def _batches(
        self, pair: Pair, moments: list[float], draw: Callable[[Pair, list[float]], Tensor]
    ) -> Iterator[Tensor]:
        """Yield what is drawn for each moment, as many at once as memory allows."""
        pixels = pair.first.padded.shape[-1] * pair.first.padded.shape[-2]
        while moments:
            count = max(1, self._batch_pixels // pixels)
            try:
                found = draw(pair, moments[:count])
            except DeviceMemoryError:
                if count == 1:
                    raise
                self._batch_pixels = count // 2 * pixels
                continue
            moments = moments[count:]
            yield from found

    def _frames(self, pair: Pair, moments: list[float]) -> Tensor:
        return self._draw(pair, moments).frames

    def _track(self, pair: Pair, moments: list[float]) -> Tensor:
        height, width = pair.first.image.shape[-2:]
        with self._memory_errors(f"the motion of {len(moments)} frames of {width}x{height}"):
            return self.network.track(pair, moments)

    def _draw(self, pair: Pair, moments: list[float]) -> Drawn:
        height, width = pair.first.image.shape[-2:]
        with self._memory_errors(f"{len(moments)} frames of {width}x{height}"):
            return self.network.draw(pair, moments)

    def _memory_errors(self, what: str) -> AbstractContextManager[None]:
        return room_errors(self.device, f"{what} do not fit")

    def _prepare(self, frame: np.ndarray) -> Prepared:
        """What belongs to this keyframe alone, from memory if it was seen just before."""
        for known, prepared in self._prepared:
            if known.shape == frame.shape and np.array_equal(known, frame):
                return prepared
        frame = frame.copy()
        values = frame if frame.dtype == np.uint8 else frame.astype(np.int32)  # as torch has it
        image = torch.from_numpy(values).to(self.device)
        image = image.permute(2, 0, 1)[None].float() / np.iinfo(frame.dtype).max
        prepared = self.network.prepare(image, self.scale or scale_for(frame))
        self._prepared = [*self._prepared[1 - CACHED_KEYFRAMES :], (frame, prepared)]
        return prepared


def scale_for(frame: np.ndarray) -> float:
    """The flow scale that keeps time and memory in bounds for large frames."""
    pixels = frame.shape[0] * frame.shape[1]
    return 1.0 if pixels <= HALF_SCALE_PIXELS else 0.5 if pixels <= QUARTER_SCALE_PIXELS else 0.25


def disagreement(pair: Pair, drawn: Drawn) -> float:
    """Difference of the two warped sides, relative to that of the keyframes; 1 is no better."""
    sides = drawn.sides[0] - drawn.sides[1]
    raw = (pair.first.image - pair.second.image).abs().mean()
    return float(sides.abs().mean() / raw.clamp(min=1 / 255))


def fade(first: np.ndarray, second: np.ndarray, position: float) -> np.ndarray:
    """The cross-fade of two frames of one type."""
    mixed = np.empty_like(first)
    for top in range(0, len(first), FADED_ROWS):  # so that large frames take little memory
        rows = slice(top, top + FADED_ROWS)
        sum_ = first[rows] * np.float32(1 - position) + second[rows] * np.float32(position)
        mixed[rows] = (sum_ + 0.5).astype(first.dtype)
    return mixed


def to_frame(image: Tensor, depth: Any = np.uint8) -> np.ndarray:
    """float32 (3, H, W), clamped to [0, 1] → uint8 or uint16 (H, W, 3)."""
    if depth == np.uint8:
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().cpu().numpy()
    values = (image.clamp(0, 1) * np.iinfo(depth).max).round().to(torch.int32)
    return values.permute(1, 2, 0).contiguous().cpu().numpy().astype(depth)


def to_eight_bits(frame: np.ndarray) -> np.ndarray:
    """The upper bits of a uint16 frame; a uint8 frame as it is."""
    return frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8)


def _check_frames(first: np.ndarray, second: np.ndarray) -> None:
    for field, frame in (("first", first), ("second", second)):
        known = frame.dtype in (np.uint8, np.uint16) and frame.ndim == 3
        if not known or frame.shape[2] != 3 or 0 in frame.shape:
            problem = f"it is {frame.dtype} {frame.shape}, not uint8 (height, width, 3)"
            raise InvalidParameterError(field, problem, "pass an RGB frame")
    if first.dtype != second.dtype:
        problem = f"the two frames differ in type: {first.dtype} and {second.dtype}"
        raise InvalidParameterError("second", problem, "convert one to the other's type")
    if first.shape != second.shape:
        sizes = " and ".join(f"{frame.shape[1]}x{frame.shape[0]}" for frame in (first, second))
        problem = f"the two frames differ in size: {sizes}"
        raise InvalidParameterError("second", problem, "scale one to the other's size")


def _check_enlarged(first: np.ndarray, enlarged: Shown) -> None:
    _check_frames(*enlarged)
    factor = len(enlarged[0]) // len(first)
    if enlarged[0].shape[:2] != (len(first) * factor, first.shape[1] * factor):
        sizes = " and ".join(f"{each.shape[1]}x{each.shape[0]}" for each in (first, enlarged[0]))
        problem = f"one size is no whole multiple of the other: {sizes}"
        raise InvalidParameterError("enlarged", problem, "enlarge both sides by the same factor")


log = logging.getLogger(__name__)


def open_interpolator(
    choice: str,
    device: str,
    on_bytes: OnBytes,
    *,
    insist: bool = False,
    scale: float | None = None,
) -> tuple[Interpolator, str]:
    """Load the network of a choice; if its weights are not available, DIS.

    Args:
        choice: as ``engine.models.interpolators.check_choice`` returned it.
        device: a torch device.
        on_bytes: called with bytes done and in total while weights are downloaded.
        insist: raise instead of serving another network.
        scale: of the flow estimate; None reduces it for large frames only.

    Returns:
        The interpolator, and why it is not what was chosen; "" if it is.

    Raises:
        ModelLoadError: a file of the operator's own cannot be used, or ``insist``.
        StorageError: ``insist``, and the disk is full.
    """
    if choice == interpolators.DIS:
        return load_interpolator(device, scale=scale), ""
    if choice not in (interpolators.AUTO, *interpolators.FETCHABLE):
        return load_interpolator(device, Path(choice), scale=scale), ""
    version = None if choice == interpolators.AUTO else choice
    try:
        weights = fetch_official(choice, on_bytes)
        return load_interpolator(device, weights, version, scale), ""
    except VisionFluxError as error:
        if insist:
            raise
        log.warning("DIS optical flow draws instead: %s", error)
        return load_interpolator(device, scale=scale), str(error)
