"""Where this laptop keeps its films, links and engine. It knows folders, not what is in them."""

import os
from pathlib import Path

from engine import local


def data_folder() -> Path:
    """Return the app's data folder, made if missing, readable by its owner only."""
    folder = local.data_folder().absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` at once by a file that only its owner may read."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)
