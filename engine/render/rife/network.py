"""The interface of every interpolating network: the same steps for all.

``prepare`` is done once per keyframe, ``relate`` once per pair, ``draw`` for each batch of
positions; ``interpolate`` is the three in a row. Knows nothing about files, 8-bit frames or
when to interpolate.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.errors import InvalidParameterError

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)


def check_pair(image0: Tensor, image1: Tensor, positions: Sequence[float]) -> list[float]:
    """Return the positions as floats, or raise InvalidParameterError naming what is wrong."""
    for field, image in (("image0", image0), ("image1", image1)):
        check_image(field, image)
    if image0.shape != image1.shape:
        sizes = " and ".join(f"{image.shape[3]}x{image.shape[2]}" for image in (image0, image1))
        raise InvalidParameterError(
            "image1", f"the two pictures differ in size: {sizes}", "scale one to the other's size"
        )
    return check_positions(positions)


def check_image(field: str, image: Tensor) -> None:
    """Raise InvalidParameterError unless ``image`` is a finite float32 (1, 3, H, W)."""
    if not isinstance(image, Tensor):
        problem = f"it is a {type(image).__name__}, not a tensor"
        raise InvalidParameterError(field, problem, "use torch.from_numpy or torch.tensor")
    shape = tuple(image.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or 0 in shape:
        raise InvalidParameterError(
            field, f"the shape is {shape}, not (1, 3, height, width)", "pass one RGB picture"
        )
    if image.dtype != torch.float32:
        raise InvalidParameterError(
            field, f"the type is {image.dtype}, not float32", "convert it to float32 in [0, 1]"
        )
    if not bool(image.isfinite().all()):
        count = int((~image.isfinite()).sum())
        problem = f"{count} of its {image.numel()} values are not finite"
        raise InvalidParameterError(field, problem, "replace them with values in [0, 1]")


def check_positions(positions: Sequence[float]) -> list[float]:
    """Return the positions as floats, or raise InvalidParameterError naming the bad one."""
    try:
        found = list(positions)
    except TypeError as error:
        problem = f"{positions!r} is no sequence"
        raise InvalidParameterError("positions", problem, "pass a list such as [0.5]") from error
    return [check_position(position) for position in found]


def check_position(position: float) -> float:
    """Return the position as a float, or raise InvalidParameterError if it is not in [0, 1]."""
    try:
        value = float(position)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise InvalidParameterError(
            "positions",
            f"{position!r} is not between 0 and 1",
            "0 is the first picture, 1 the second",
        )
    return value


def check_scale(scale: float) -> float:
    """Return the scale, or raise InvalidParameterError unless it is one of SCALES."""
    if scale not in SCALES:
        offered = ", ".join(str(value) for value in SCALES)
        raise InvalidParameterError("scale", f"{scale} is not offered", f"use one of {offered}")
    return scale


@dataclass(frozen=True)
class Prepared:
    """A keyframe and everything that is computed from it alone.

    Attributes:
        image: float32 (1, 3, H, W) in [0, 1], as given.
        padded: the same, enlarged to what the network can divide, maybe reduced in scale.
        encoded: the network's encodings of ``padded``.
        scale: of the flow estimate.
    """

    image: Tensor
    padded: Tensor
    encoded: tuple[Tensor, ...]
    scale: float


@dataclass(frozen=True)
class Pair:
    """Two keyframes and everything that is computed without a position.

    Attributes:
        flows: from the first to the second and back, where the network finds them at once.
    """

    first: Prepared
    second: Prepared
    flows: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Drawn:
    """Frames at some positions.

    Attributes:
        frames: float32 (N, 3, H, W) in the size of the keyframes, roughly in [0, 1].
        sides: the two warped pictures that were blended into the last frame, (1, 3, H, W)
            each, for a judgement of how well they agree.
    """

    frames: Tensor
    sides: tuple[Tensor, Tensor]


class Network(nn.Module):
    """Base of IFNet and of DIS."""

    name: str
    batch_pixels = 1 << 21  # over all positions of a batch, before memory is found short

    @abstractmethod
    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """Pad and encode a keyframe, float32 (1, 3, H, W) in [0, 1]."""

    @abstractmethod
    def relate(self, first: Prepared, second: Prepared) -> Pair:
        """Compute what all positions between two keyframes share."""

    @abstractmethod
    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames at one or more positions in [0, 1], all in one batch."""

    @abstractmethod
    def track(self, pair: Pair, positions: Sequence[float]) -> Tensor:
        """Find what moves two pictures to one or more positions in [0, 1].

        Returns:
            float32 (N, 5, H, W): the flows to the first and to the second picture, x and y in
            pixels, and the share of the first one in [0, 1]. What ``draw`` draws is both pictures,
            fetched at each pixel plus its flow, in these shares.
        """

    @torch.inference_mode()
    def interpolate(
        self, image0: Tensor, image1: Tensor, positions: Sequence[float], scale: float = 1.0
    ) -> Tensor:
        """Draw the frames at some positions between two pictures.

        Args:
            image0: float32 (1, 3, H, W) in [0, 1], of any size.
            image1: likewise, of the same size.
            positions: each in [0, 1]; 0 is ``image0``.
            scale: of the flow estimate; 0.5 suits pictures far larger than full HD.

        Returns:
            float32 (len(positions), 3, H, W).

        Raises:
            InvalidParameterError: shapes, types, a position or the scale are not as above.
        """
        moments = check_pair(image0, image1, positions)
        check_scale(scale)
        if not moments:
            return image0.new_empty((0, *image0.shape[1:]))
        pair = self.relate(self.prepare(image0, scale), self.prepare(image1, scale))
        return self.draw(pair, moments).frames
