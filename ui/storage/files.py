"""The app's data folder, and how files in it are written and read.

Files that the app writes there are readable by their owner only. It knows folders and files, not
their content.
"""

import logging
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine import local
from engine.files import write_private as write_private

log = logging.getLogger(__name__)

T = TypeVar("T")


def data_folder() -> Path:
    """Return the app's data folder; create it if it is missing, readable by its owner only."""
    folder = local.data_folder().absolute()
    make_private_folder(folder)
    return folder


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may read, unless it exists."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically to a file that only its owner may read."""
    write_private(path, msgspec.json.encode(value))


def read_json(path: Path, kind: type[T]) -> T | None:
    """Return the value that a file holds; None if the file is missing or cannot be decoded.

    A file that cannot be decoded is renamed to ``….damaged`` and logged, so that the next write
    does not destroy its content.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        aside = path.with_name(f"{path.name}.{time.time_ns()}.damaged")
        path.replace(aside)
        log.error("%s cannot be read (%s); it is kept as %s", path, error, aside.name)
        return None
