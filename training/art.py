"""Fetches the flat art of the subjects once, and draws it as pixels.

The pictures are Microsoft's Fluent Emoji, MIT licence, as the npm package
`@iconify-json/fluent-emoji-flat` has them. `npm pack` downloads it into the user's cache; it is
used only if its hash is the pinned one. Knows nothing about scenes.
"""

import base64
import functools
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np
import platformdirs
import resvg_py

from training.drawings import picture_of
from training.subjects import SUBJECTS

PACKAGE = "@iconify-json/fluent-emoji-flat@1.2.6"
SHA512 = "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw=="
CACHE = Path(platformdirs.user_cache_dir("visionflux")) / "training"
PIXELS = 256  # the longer side of a drawn picture


class ArtError(RuntimeError):
    """The art package could not be fetched, or is not the pinned one."""


def package() -> Path:
    """Return the package's file; the first call downloads it.

    Raises:
        ArtError: npm is missing, the download failed, or its hash is another.
    """
    file = CACHE / "fluent-emoji-flat-1.2.6.tgz"
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = ["npm", "pack", "--silent", "--pack-destination", folder, PACKAGE]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=300)
            except (OSError, subprocess.SubprocessError) as error:
                raise ArtError(f"npm could not download {PACKAGE}: {error}") from error
            (fetched,) = Path(folder).iterdir()
            _check(fetched)
            fetched.replace(file)
    return file


def _check(file: Path) -> None:
    found = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if found != SHA512:
        raise ArtError(f"{PACKAGE} has the hash {found}; {SHA512} is expected. Nothing was kept")


@functools.cache
def _bodies() -> dict[str, dict[str, str]]:
    _check(package())
    with tarfile.open(package()) as archive:
        member = archive.extractfile("package/icons.json")
        assert member is not None
        return json.load(member)["icons"]


@functools.cache
def sprite(name: str) -> np.ndarray:
    """Return a subject's picture, cropped: float32 RGBA `(h, w, 4)`, 0..255, alpha 0..1.

    Colours are multiplied by alpha. The longer side is near `PIXELS`.

    Raises:
        ArtError: see `package`.
    """
    text = picture_of(SUBJECTS[name].art, lambda art: _bodies()[art]["body"])
    png = bytes(resvg_py.svg_to_bytes(svg_string=text, height=PIXELS))
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    rows, columns = (np.flatnonzero(pixels[..., 3].max(axis=axis) > 8) for axis in (1, 0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    alpha = pixels[..., 3:] / 255
    return np.concatenate([pixels[..., 2::-1] * alpha, alpha], axis=2)
