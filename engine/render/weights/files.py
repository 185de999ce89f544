"""Selects the files of a hub's repository to download: safetensors and configuration.

Never pickles, never code. It knows diffusers' layout and no hub.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from engine.errors import ModelLoadError

Read = Callable[[str], bytes]  # the content of a file of the repository
Choose = Callable[[list[str], Read], list[str]]  # the names of its files → those to fetch
CONFIGURATION_SUFFIXES = {".json", ".txt", ".model"}


def pipeline(repo: str, *, half: bool, without: Sequence[str] = ()) -> Choose:
    """Return a function that chooses the files of a pipeline.

    Args:
        repo: hub id, for messages.
        half: prefer float16 files, which have half the bytes.
        without: parts that come from elsewhere.
    """

    def choose(names: list[str], read: Read) -> list[str]:
        names = needed(repo, names, half=half)
        parts = {"", *parts_of(read("model_index.json"))} - {*without}
        return [name for name in names if name.rpartition("/")[0] in parts]

    return choose


def component(repo: str, *, half: bool) -> Choose:
    """Return a function that chooses the files of one network in diffusers layout."""

    def choose(names: list[str], read: Read) -> list[str]:
        mine = [name for name in names if name.startswith("diffusion_pytorch_model")]
        return ["config.json", *_weights(repo, mine, half)]

    return choose


def configuration(names: list[str], read: Read) -> list[str]:
    """Choose the configuration and vocabulary of a pipeline, without weights."""
    inside = [name for name in names if name.count("/") <= 1]
    return [name for name in inside if PurePosixPath(name).suffix in CONFIGURATION_SUFFIXES]


def one_file(repo: str, name: str) -> Choose:
    """Return a function that chooses one file."""

    def choose(names: list[str], read: Read) -> list[str]:
        if name not in names:
            raise ModelLoadError(repo, f"it has no file {name}", "check the spelling of its name")
        return [name]

    return choose


def parts_of(index: bytes) -> list[str]:
    """Return the parts that a ``model_index.json`` names; none if it is damaged."""
    try:
        entries = json.loads(index).items()
    except (ValueError, AttributeError):
        return []
    return [part for part, value in entries if isinstance(value, list) and value and value[0]]


def needed(repo: str, names: list[str], *, half: bool) -> list[str]:
    """Choose the files to download: configuration, and one safetensors set of each component.

    Raises:
        ModelLoadError: a component comes as a pickle only, or this is no diffusers pipeline.
    """
    if "model_index.json" not in names:
        raise ModelLoadError(
            repo, "it is not in diffusers layout", "choose a repository with a model_index.json"
        )
    inside = [name for name in names if name.count("/") <= 1]
    chosen = [name for name in inside if PurePosixPath(name).suffix in CONFIGURATION_SUFFIXES]
    for folder in sorted({name.partition("/")[0] for name in inside if "/" in name}):
        chosen += _weights(repo, [name for name in inside if name.startswith(f"{folder}/")], half)
    return chosen


def has_half(folder: Path) -> bool:
    """Return whether a model folder holds float16 files under their usual names."""
    return any(folder.glob("unet/*.fp16.safetensors"))


def has_half_alone(folder: Path) -> bool:
    """Return whether a model folder holds float16 files of its network and no others."""
    found = [path.name for path in folder.glob("unet/*.safetensors")]
    return bool(found) and all(".fp16." in name for name in found)


def _weights(repo: str, names: list[str], half: bool) -> list[str]:
    safe = [name for name in names if name.endswith(".safetensors")]
    plain = [name for name in safe if ".fp16" not in name and ".non_ema" not in name]
    small = [name for name in safe if ".fp16." in name]
    pickled = [name for name in names if name.endswith((".bin", ".ckpt", ".pt"))]
    if pickled and not safe:
        raise ModelLoadError(
            repo,
            f"{pickled[0]} is a pickle, which can run code when it is opened",
            "choose a repository whose weights are safetensors",
        )
    return small if half and small else plain or small
