"""What every interpolating network asks of its inputs, checked in one place.

Knows nothing about networks.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

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
