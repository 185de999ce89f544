"""Loads a Stable Diffusion pipeline from a folder, a file or a hub into main memory.

It knows diffusers' layouts and their defects; it paints nothing.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from engine.errors import ModelLoadError
from engine.models import Model, WeightSource, identity
from engine.models.identity import Places, is_damaged, weight_files
from engine.render.device import Device, bfloat16_is_faster, memory_errors
from engine.render.weights import files, hub, textual_inversion
from engine.render.weights.number_format import compute_in

OnBytes = Callable[[int, int], None]
# By the class that ``model_index.json`` names. Diffusers' automatic pipelines would choose as well,
# and import a hundred modules of other families. A latent consistency model has the parts of a
# plain one and another scheduler.
PIPELINES: dict[str, Any] = {
    "StableDiffusionPipeline": StableDiffusionPipeline,
    "StableDiffusionImg2ImgPipeline": StableDiffusionPipeline,
    "StableDiffusionXLPipeline": StableDiffusionXLPipeline,
    "StableDiffusionXLImg2ImgPipeline": StableDiffusionXLPipeline,
    "LatentConsistencyModelPipeline": StableDiffusionPipeline,
}
LYCORIS = {  # layouts of low-rank changes by a part of their tensors' names
    ".hada_": "LoHa",
    ".lokr_": "LoKr",
    ".lora_mid.": "LoCon with a mid layer",
    ".oft_": "OFT",
    ".on_input": "IA3",
}
UNREADABLE_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    ImportError,
    SafetensorError,
    SingleFileComponentError,
)


class Loaded(NamedTuple):
    """A pipeline, the folder of its files, and the identity of its weights."""

    pipe: Any
    folder: Path
    identity: str


def load_pipeline(model: Model, device: Device, on_bytes: OnBytes) -> Loaded:
    """Load a model of the families of Stable Diffusion 1.5 or SDXL, after downloading its files.

    Args:
        model: from the catalogue.
        device: the one to paint on; decides the number format.
        on_bytes: called with bytes done and in total, while files are downloaded and verified;
            the share never falls.

    Raises:
        ModelLoadError: files are missing, damaged or of another kind.
        DeviceMemoryError: the weights do not fit into main memory.
        StorageError: the disk is full.
    """
    on_bytes = _Forward(on_bytes)
    places = locate(model, on_bytes, half=device.dtype == "float16")
    bfloat16 = device.kind == "cpu" and model.card.bfloat16 and bfloat16_is_faster()
    name = _verified_identity(model, places, on_bytes, bfloat16=bfloat16)
    with memory_errors(device, f"loading {model.name}"):
        pipe = _load(model, places, device)
        if bfloat16:
            compute_in(torch.bfloat16, pipe.unet)
        return Loaded(pipe, places.configuration or places.base, name)


class _Forward:
    """Reports several passes over the same bytes as one, which never goes back."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._furthest = 0, 0  # bytes done and in total

    def __call__(self, done: int, total: int) -> None:
        before, of = self._furthest
        if done * of >= before * total:
            self._furthest = done, total
        self._on_bytes(*self._furthest)


def locate(model: Model, on_bytes: OnBytes, *, half: bool) -> Places:
    """Return the paths of a model's parts, after downloading those of a hub."""
    replaced = ("vae",) if model.vae else ()
    base = files.pipeline(model.repo, half=half, without=replaced)
    parts: list[tuple[WeightSource, files.Choose]] = [(model, base)]
    if model.configuration:
        parts.append((model.configuration, files.configuration))
    if model.vae:
        parts.append((model.vae, files.component(model.vae.repo, half=half)))
    parts += [(lora, files.one_file(lora.repo, lora.file)) for lora in model.loras]
    wanted = [
        hub.Wanted(part.repo, part.revision, choose) for part, choose in parts if not part.path
    ]
    fetched = iter(hub.fetch(wanted, on_bytes) if wanted else [])
    paths = iter([part.path or next(fetched) / part.file for part, _ in parts])
    return Places(
        base=next(paths),
        configuration=next(paths) if model.configuration else None,
        vae=next(paths) if model.vae else None,
        loras=tuple(paths),
    )


def _load(model: Model, places: Places, device: Device) -> Any:
    pipe: Any
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    _check_parts(model.name, places)
    read = _from_file if places.configuration else _from_folder
    try:
        name = _class_name(places.configuration or places.base)
        if name not in PIPELINES:
            raise ModelLoadError(
                model.name,
                f"it is a {name}",
                "choose a model of the families of Stable Diffusion 1.5 or SDXL",
            )
        pipe = read(PIPELINES[name], places, device)
    except UNREADABLE_ERRORS as error:
        raise _damaged(model.name, places.base, _first_line(error)) from error
    config = model.scheduler_config
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **config)
    pipe.watermark = None  # SDXL's own, which exists only if another package is installed
    _add_extras(model, places, pipe)
    return pipe


def _class_name(folder: Path) -> str:
    """Return the name of the pipeline that a folder in diffusers layout holds."""
    return str(json.loads((folder / "model_index.json").read_bytes()).get("_class_name"))


def _from_folder(pipeline: Any, places: Places, device: Device) -> Any:
    half = device.dtype == "float16"
    settings = {
        "dtype": device.torch_dtype,
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    parts = {}
    if places.vae:
        kind: Any = AutoencoderKL
        variant = "fp16" if half and any(places.vae.glob("*.fp16.safetensors")) else None
        parts["vae"] = kind.from_pretrained(
            places.vae,
            torch_dtype=device.torch_dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
        )
    half = half and files.has_half(places.base)
    variant = "fp16" if half or files.has_half_alone(places.base) else None
    return pipeline.from_pretrained(places.base, variant=variant, **parts, **settings)


def _from_file(pipeline: Any, places: Places, device: Device) -> Any:
    return pipeline.from_single_file(
        str(places.base),
        config=str(places.configuration),
        torch_dtype=device.torch_dtype,
        local_files_only=True,
    )


def _add_extras(model: Model, places: Places, pipe: Any) -> None:
    """Add the words of textual inversions, and fuse LoRAs into the weights.

    Painting takes no longer than without them.
    """
    for lora, path in zip(model.loras, places.loras, strict=True):
        kind = "textual inversion" if textual_inversion.is_textual_inversion(path) else "LoRA"
        if kind != "LoRA" and lora.weight != 1:
            raise ModelLoadError(
                model.name,
                f"the textual inversion {path.name} cannot have a weight",
                f"leave :{lora.weight:g} out, and write ({path.stem}:{lora.weight:g}) in prompts",
            )
        try:
            if kind == "LoRA":
                _fuse(path, lora.weight, pipe)
            else:
                textual_inversion.add(path, pipe)
        except UNREADABLE_ERRORS as error:
            raise ModelLoadError(
                model.name,
                f"the {kind} {path.name} does not fit it ({_first_line(error)})",
                f"choose a {kind} that was made for this base",
            ) from error


def _refuse_lycoris(path: Path) -> None:
    """Raise ValueError for low-rank changes in a layout that diffusers cannot read."""
    with safe_open(str(path), framework="pt") as file:
        names = list(file.keys())
    for part, kind in LYCORIS.items():
        if any(part in name for name in names):
            raise ValueError(f"it is a {kind} of LyCORIS, and only plain LoRAs are read")


def _fuse(path: Path, weight: float, pipe: Any) -> None:
    _refuse_lycoris(path)
    pipe.load_lora_weights(
        str(path.parent), weight_name=path.name, local_files_only=True, use_safetensors=True
    )
    pipe.fuse_lora(lora_scale=weight)
    pipe.unload_lora_weights()


def _check_parts(name: str, places: Places) -> None:
    """Raise an error for a folder that lacks a part; transformers would use an empty vocabulary."""
    folder = places.configuration or places.base
    parts: list[str] = []
    if not places.configuration:
        try:
            index = json.loads((folder / "model_index.json").read_bytes())
            parts = [part for part, value in index.items() if isinstance(value, list) and value[0]]
        except (OSError, ValueError, AttributeError, IndexError) as error:
            raise _damaged(name, folder, f"model_index.json: {_first_line(error)}") from error
    replaced = {"vae"} if places.vae else set()
    missing = [part for part in parts if part not in replaced and not (folder / part).is_dir()]
    vocabulary = ("vocab.json", "tokenizer.json")
    for tokenizer in ["tokenizer", *(part for part in parts if part.startswith("tokenizer_"))]:
        if not any((folder / tokenizer / file).is_file() for file in vocabulary):
            missing.append(f"{tokenizer}/vocab.json")
    missing += [path.name for path in places.loras if not path.is_file()]
    if missing:
        raise _damaged(name, folder, f"{missing[0]} is missing")


def _damaged(name: str, folder: Path, problem: str) -> ModelLoadError:
    return ModelLoadError(
        name,
        f"its files are incomplete, damaged or of an unknown kind ({problem})",
        f"compare the files in {folder} with their source, or download the model again",
    )


def _verified_identity(model: Model, places: Places, on_bytes: OnBytes, *, bfloat16: bool) -> str:
    """Return the model's identity; files are hashed one by one, to report progress."""
    found = [path for path in weight_files(places) if path.is_file()]
    sizes = [path.stat().st_size for path in found]
    done, total = 0, sum(sizes)
    for path, size in zip(found, sizes, strict=True):
        if is_damaged(path):
            folder = places.configuration or places.base
            raise _damaged(model.name, folder, f"{path.name} of {path.parent.name} has changed")
        done += size
        on_bytes(done, total)
    return identity(model, places, bfloat16=bfloat16)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
