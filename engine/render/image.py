"""Pictures: the type that painting, warping and comparing share, and its PNG files."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import StorageError

Picture = NDArray[np.uint8]  # RGB (height, width, 3)


def read_png(path: str) -> Picture:
    """Read a keyframe.

    Raises:
        StorageError: it is missing or damaged.
    """
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    if picture is None:
        raise StorageError(f"the keyframe {Path(path).name} cannot be read")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def write_png(path: Path, picture: Picture) -> None:
    """Write a keyframe.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    try:
        path.write_bytes(png.tobytes())  # OpenCV's own function does not report a full disk
    except OSError as error:
        raise StorageError(f"a keyframe cannot be written: {error.strerror}") from error
