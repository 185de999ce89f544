"""The exact identity of a model's weights, and whether a file is what it should be.

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
    """Where the parts of a model are on this machine, after a download if they were a hub's.

    Attributes:
        base: a folder in diffusers layout, or a checkpoint in one file.
        configuration, vae: folders; None where the model has none of its own.
        loras: files, in the model's order.
    """

    base: Path
    configuration: Path | None = None
    vae: Path | None = None
    loras: tuple[Path, ...] = ()


def identity(model: Model, places: Places) -> str:
    """Return ``name@hash``, where the hash covers everything that determines the pictures."""
    digest = hashlib.sha256(_tree(places.base))
    for kind, folder in (("configuration", places.configuration), ("vae", places.vae)):
        if folder:
            digest.update(f"\0{kind}\0".encode() + hashlib.sha256(_tree(folder)).digest())
    for lora, path in zip(model.loras, places.loras, strict=True):
        digest.update(f"\0lora\0{lora.weight!r}\0".encode() + _tree(path))
    if model.scheduler_config:
        digest.update(b"\0scheduler\0")
        digest.update(msgspec.json.encode(model.scheduler_config, order="deterministic"))
    return f"{model.name}@{digest.hexdigest()[:16]}"


def files(places: Places) -> list[Path]:
    """Return every file that determines the pictures."""
    parts = (places.base, places.configuration, places.vae, *places.loras)
    return [path for part in parts if part for path in _inside(part)]


def expected_sha256(path: Path) -> str | None:
    """Return the SHA-256 that a file of weights should have; None where nobody tells.

    The models that come with VisionFlux tell in ``SHA256SUMS``, which ``sha256sum`` writes and
    checks; a hub's cache names large files by their hash.
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
    """Tell whether a file of weights is not what it is known to have been."""
    expected = expected_sha256(path)
    return expected not in (None, _sha256(path))


@lru_cache(maxsize=1024)
def cached_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Return a file's SHA-256; ``size`` and ``mtime_ns`` make the cache notice changes."""
    return file_sha256(path)


def _inside(part: Path) -> list[Path]:
    """Return the files of a folder that count, in order; a file is its own."""
    if part.is_file():
        return [part]
    return sorted(path for path in part.rglob("*") if path.suffix in IDENTITY_SUFFIXES)


def _tree(part: Path) -> bytes:
    """Return the names and hashes of what counts in a folder; of a file, its hash alone."""
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
