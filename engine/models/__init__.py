"""The diffusion models that an engine offers, and the exact identity of their weights.

It reads folders and cards; it never loads weights and knows nothing of torch.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from engine.errors import ModelLoadError
from engine.recipe import Scheduler

FOLDER = Path(__file__).parent
SUMS = "SHA256SUMS"  # beside the weights that come with VisionFlux
OFFLINE = "landscapes"
WEIGHTS = (".safetensors", ".json", ".txt")  # the files of a pipeline that determine its pictures


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Sane settings for a model; what Stable Diffusion 1.5 wants unless its card says otherwise."""

    width: int = 512
    height: int = 512
    num_inference_steps: int = 25
    guidance_scale: float = 7.5
    scheduler: Scheduler = "dpmsolver++"
    drift: float = 0.0


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a user should know of a model; ``card.json`` in its folder."""

    title: str
    description: str = ""
    knows: dict[str, list[str]] = {}
    examples: list[str] = []
    defaults: Defaults = Defaults()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One offered model: ``source`` is a folder in diffusers layout, or a hub id."""

    name: str
    source: str
    card: Card

    @property
    def folder(self) -> Path | None:
        """The local folder; None for a hub id."""
        path = Path(self.source)
        return path if path.is_dir() else None


def catalogue(sources: Iterable[str] = ()) -> dict[str, Model]:
    """Return the offered models by name: the offline one, then ``sources`` as the operator gave.

    Args:
        sources: folders in diffusers layout, or hub ids such as ``owner/name``.

    Raises:
        ModelLoadError: a source is neither.
    """
    models = [_local(FOLDER / OFFLINE), *(_given(source) for source in sources)]
    return {model.name: model for model in models}


def identity(model: Model, folder: Path) -> str:
    """Return ``name@hash``, where the hash covers every file that determines the pictures.

    Args:
        model: the model.
        folder: where its files are, after a download if it came from a hub.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in WEIGHTS)
    digest = hashlib.sha256()
    for path in files:
        if path.name in ("card.json", "preview.json"):
            continue
        stat = path.stat()
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(file_sha256(path, stat.st_size, stat.st_mtime_ns).encode())
    return f"{model.name}@{digest.hexdigest()[:16]}"


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
    stat, expected = path.stat(), expected_sha256(path)
    return expected not in (None, file_sha256(path, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=1024)
def file_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Return a file's SHA-256; ``size`` and ``mtime_ns`` make the cache notice changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _given(source: str) -> Model:
    if Path(source).is_dir():
        return _local(Path(source).resolve())
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise ModelLoadError(
            source,
            "it is neither a folder nor a hub id",
            "give a folder that holds model_index.json, or an id such as owner/name",
        )
    return Model(name=source, source=source, card=Card(title=source))


def _local(folder: Path) -> Model:
    if not (folder / "model_index.json").is_file():
        raise ModelLoadError(
            folder.name, f"{folder} holds no model_index.json", "give a folder in diffusers layout"
        )
    path = folder / "card.json"
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card) if path.is_file() else None
    except (OSError, msgspec.MsgspecError) as error:
        remedy = f"correct {path}, or remove it"
        raise ModelLoadError(folder.name, f"its card.json is damaged: {error}", remedy) from error
    return Model(name=folder.name, source=str(folder), card=card or Card(title=folder.name))
