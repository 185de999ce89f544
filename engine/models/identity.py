"""Identities of a model's weights, and checks whether a file is intact.

It reads files and compares hashes; it never loads weights and knows nothing of torch.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.files import file_sha256
from engine.models.card import Model

SUMS = "SHA256SUMS"  # beside the weights that come with VisionFlux
# The files of a pipeline that determine its pictures.
IDENTITY_SUFFIXES = (".safetensors", ".json", ".txt")
DESCRIPTION_FILES = ("card.json", "preview.json")  # files that change no picture


class Places(NamedTuple):
    """The local paths of a model's parts, downloaded or not.

    Attributes:
        base: a folder in diffusers layout, or a checkpoint in one file.
        configuration, vae: folders; None where the model has none of its own.
        loras: files, in the model's order.
    """

    base: Path
    configuration: Path | None = None
    vae: Path | None = None
    loras: tuple[Path, ...] = ()


def identity(model: Model, places: Places, *, bfloat16: bool = False) -> str:
    """Return ``name@hash``, where the hash covers everything that determines the pictures.

    ``bfloat16``: whether the network paints in it on a CPU.
    """
    digest = hashlib.sha256(_tree(places.base))
    for kind, folder in (("configuration", places.configuration), ("vae", places.vae)):
        if folder:
            digest.update(f"\0{kind}\0".encode() + hashlib.sha256(_tree(folder)).digest())
    for lora, path in zip(model.loras, places.loras, strict=True):
        digest.update(f"\0lora\0{lora.weight!r}\0".encode() + _tree(path))
    if model.scheduler_config:
        digest.update(b"\0scheduler\0")
        digest.update(msgspec.json.encode(model.scheduler_config, order="deterministic"))
    if bfloat16:
        digest.update(b"\0bfloat16\0")
    return f"{model.name}@{digest.hexdigest()[:16]}"


def weight_files(places: Places) -> list[Path]:
    """Return every file that determines the pictures."""
    parts = (places.base, places.configuration, places.vae, *places.loras)
    return [path for part in parts if part for path in _inside(part)]


def expected_sha256(path: Path) -> str | None:
    """Return the SHA-256 that a file of weights should have; None if it is unknown.

    The models that come with VisionFlux have a ``SHA256SUMS``, as ``sha256sum`` writes and checks
    it; a hub's cache names large files by their hash.
    """
    stored = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", stored):
        return stored
    for folder in (path.parent, path.parent.parent):
        sums = folder / SUMS
        if sums.is_file():
            lines = (line.split(maxsplit=1) for line in sums.read_text().splitlines())
            hashes = {name: sha256 for sha256, name in lines}
            return hashes.get(path.relative_to(folder).as_posix())
    return None


def is_damaged(path: Path) -> bool:
    """Return whether a file of weights differs from its known hash."""
    expected = expected_sha256(path)
    return expected not in (None, _sha256(path))


@lru_cache(maxsize=1024)
def cached_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Return a file's SHA-256; ``size`` and ``mtime_ns`` are part of the cache's key."""
    return file_sha256(path)


def _inside(part: Path) -> list[Path]:
    """Return the files of a folder that determine pictures, in order; of a file, itself."""
    if part.is_file():
        return [part]
    return sorted(path for path in part.rglob("*") if path.suffix in IDENTITY_SUFFIXES)


def _tree(part: Path) -> bytes:
    """Return the names and hashes of a folder's files; of a file, its hash alone."""
    if part.is_file():
        return _sha256(part).encode()
    counting = (path for path in _inside(part) if path.name not in DESCRIPTION_FILES)
    return b"".join(
        path.relative_to(part).as_posix().encode() + b"\0" + _sha256(path).encode()
        for path in counting
    )


def _sha256(path: Path) -> str:
    stat = path.stat()
    return cached_sha256(path, stat.st_size, stat.st_mtime_ns)
