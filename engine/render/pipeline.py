"""Brings a Stable Diffusion pipeline from a folder or a hub into main memory.

It knows diffusers' layout and what can be wrong with it; it paints nothing.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from diffusers import AutoPipelineForText2Image, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from engine import models
from engine.errors import ModelLoadError
from engine.models import Model
from engine.render import download
from engine.render.device import Device, memory_errors

OnBytes = Callable[[int, int], None]


class Loaded(NamedTuple):
    """A pipeline, where its files are, and the identity of its weights."""

    pipe: Any
    folder: Path
    identity: str


def load_pipeline(model: Model, device: Device, on_bytes: OnBytes) -> Loaded:
    """Load a model of the Stable Diffusion 1.5 family, fetching it first if it is a hub's.

    Args:
        model: as the catalogue has it.
        device: what it will paint on; decides the number format.
        on_bytes: called with bytes done and in total, while files are fetched and verified; the
            share never falls.

    Raises:
        ModelLoadError: files are missing, damaged or of another kind.
        DeviceMemoryError: the weights do not fit into main memory.
        StorageError: the disk is full.
    """
    on_bytes = _Forward(on_bytes)
    half = device.dtype == "float16"
    folder = model.folder or download.fetch(model.source, on_bytes, half=half)
    identity = _verified_identity(model, folder, on_bytes)
    with memory_errors(device, f"loading {model.name}"):
        return Loaded(_load(model.name, folder, device), folder, identity)


class _Forward:
    """Several passes over the same bytes, told as one: a pass counts from where the last ended."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._furthest = 0, 0  # bytes done and in total

    def __call__(self, done: int, total: int) -> None:
        before, of = self._furthest
        if done * of >= before * total:
            self._furthest = done, total
        self._on_bytes(*self._furthest)


def _load(name: str, folder: Path, device: Device) -> Any:
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    auto: Any = AutoPipelineForText2Image
    _check_parts(name, folder)
    half = device.dtype == "float16"
    try:
        pipe = auto.from_pretrained(
            folder,
            dtype=device.torch_dtype,
            variant="fp16" if half and download.has_half(folder) else None,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ImportError) as error:
        raise _damaged(name, folder, _first_line(error)) from error
    if not isinstance(pipe, StableDiffusionPipeline):
        raise ModelLoadError(
            name,
            f"it is a {type(pipe).__name__}",
            "choose a model of the Stable Diffusion 1.5 family (a StableDiffusionPipeline)",
        )
    return pipe


def _check_parts(name: str, folder: Path) -> None:
    """Refuse a folder that lacks a part; transformers would make up an empty vocabulary."""
    try:
        index = json.loads((folder / "model_index.json").read_bytes())
        parts = [part for part, value in index.items() if isinstance(value, list) and value[0]]
        missing = [part for part in parts if not (folder / part).is_dir()]
    except (OSError, ValueError, AttributeError, IndexError) as error:
        raise _damaged(name, folder, f"model_index.json: {_first_line(error)}") from error
    vocabulary = ("vocab.json", "tokenizer.json")
    if not any((folder / "tokenizer" / file).is_file() for file in vocabulary):
        missing.append("tokenizer/vocab.json")
    if missing:
        raise _damaged(name, folder, f"{missing[0]} is missing")


def _damaged(name: str, folder: Path, problem: str) -> ModelLoadError:
    return ModelLoadError(
        name,
        f"its files are incomplete, damaged or of an unknown kind ({problem})",
        f"compare the files in {folder} with their source, or fetch the model again",
    )


def _verified_identity(model: Model, folder: Path, on_bytes: OnBytes) -> str:
    """Return the model's identity; its hashes are taken file by file, so that it can be watched."""
    files = [path for path in folder.rglob("*") if path.suffix in models.WEIGHTS]
    sizes = [path.stat().st_size for path in files]
    done, total = 0, sum(sizes)
    for path, size in zip(files, sizes, strict=True):
        if models.is_damaged(path):
            raise _damaged(model.name, folder, f"{path.name} of {path.parent.name} has changed")
        done += size
        on_bytes(done, total)
    return models.identity(model, folder)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
