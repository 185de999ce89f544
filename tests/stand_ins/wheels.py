"""Wheels in a folder that pip takes for its only index."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.render.weights.wheel import Wheel

INFO = "box-1.0.dist-info"
PLAIN = {
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: box\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/RECORD": b"",
}


def make_wheel(folder: Path, files: Mapping[str, bytes]) -> Wheel:
    """Write the wheel of a package named box that carries some files."""
    path = folder / "box-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**PLAIN, **files}.items():
            archive.writestr(name, content)
    data = path.read_bytes()
    return Wheel("box==1.0", hashlib.sha256(data).hexdigest(), len(data))


def use_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pip look into a folder, and nowhere else, by its user's configuration."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
