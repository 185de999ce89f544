"""Where this laptop keeps its films, links and engine. It knows folders, not what is in them."""

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine import local

T = TypeVar("T")


def data_folder() -> Path:
    """Return the app's data folder, made if missing, readable by its owner only."""
    folder = local.data_folder().absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def keep(path: Path, value: Any) -> None:
    """Replace ``path`` at once by JSON that only its owner may read."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(value))
    part.replace(path)


def recall(path: Path, kind: type[T]) -> T | None:
    """Return what was kept; a file that is missing or damaged counts as none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
