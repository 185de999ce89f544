"""Where this laptop keeps its films, links and engine. It knows folders, not what is in them."""

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """Return the app's data folder, made if missing, readable by its owner only.

    ``VISIONFLUX_DATA`` overrides the place that the operating system suggests.
    """
    given = os.environ.get("VISIONFLUX_DATA")
    folder = Path(given) if given else platformdirs.user_data_path("VisionFlux", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder.absolute()


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` at once by a file that only its owner may read."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)
