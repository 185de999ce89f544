"""The diffusion models that an engine offers: the offline one, and those of its operator.

It reads folders, cards and the headers of files; it never loads weights and knows nothing of torch.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import structs

from engine.errors import ModelLoadError
from engine.models.card import Card, Defaults, Lora, Model, WeightSource
from engine.models.identity import SUMS, identity, is_damaged
from engine.models.known import KNOWN, LCM_DEFAULTS, SD15, SD15_DEFAULTS, SDXL, SDXL_DEFAULTS

__all__ = [
    "KNOWN",
    "SUMS",
    "Card",
    "Defaults",
    "Lora",
    "Model",
    "WeightSource",
    "identity",
    "is_damaged",
]

FOLDER = Path(__file__).parent
OFFLINE = "landscapes"
WEIGHT_SUFFIX = ".safetensors"
HUB_MODEL = re.compile(
    r"(?P<source>[\w.-]+/[\w.-]+(?:/[\w./-]+\.safetensors)?)(?:@(?P<commit>[\da-f]{40}))?"
)
LORA_WEIGHT = re.compile(r"(?P<lora>.+):(?P<weight>-?(?:\d+\.?\d*|\.\d+))")
FAMILIES = {  # by names of tensors that only checkpoints of the family have
    "conditioner.embedders.1.": (SDXL, SDXL_DEFAULTS),
    "cond_stage_model.transformer.": (SD15, SD15_DEFAULTS),
}
SD2_PREFIX = "cond_stage_model.model."  # of the text encoder of Stable Diffusion 2
FIRST_LAYER = "model.diffusion_model.input_blocks.0.0.weight"
INPAINTING_CHANNELS = 9  # of the first layer: latents, latents of the masked picture, and a mask
FINE_CELLS = 32  # cells on a side; with fewer, attention cannot tell the parts of a face apart
MAX_HEADER_BYTES = 2**26  # bytes; SDXL's is under 2**19


def catalogue(sources: Iterable[str] = ()) -> dict[str, Model]:
    """Return the offered models by name: the offline one, then ``sources`` in order.

    Args:
        sources: each a name in ``KNOWN``, a folder in diffusers layout, a ``.safetensors``
            checkpoint, or a hub id such as ``owner/name`` or ``owner/name@commit``; with
            ``+LORA`` or ``+LORA:WEIGHT`` behind it for each LoRA, a local file or
            ``owner/name/file.safetensors``.

    Raises:
        ModelLoadError: a source is none of these.
    """
    models = [_given(source) for source in sources]
    if (FOLDER / OFFLINE).is_dir():  # the notebook's package lacks it
        models.insert(0, _local(FOLDER / OFFLINE))
    return {model.name: model for model in models}


def _given(source: str) -> Model:
    base, *loras = split_source(source)
    model = _base(base)
    for lora in loras:
        model = _with_lora(model, lora)
    return model


def split_source(source: str) -> list[str]:
    """Return the model and the LoRAs that a source names; names of files may have a ``+``."""
    pieces, names = source.split("+"), []
    while pieces:
        tried = ("+".join(pieces[:count]) for count in range(len(pieces), 1, -1))
        name = next(filter(_is_here, tried), pieces[0])
        names.append(name)
        pieces = pieces[name.count("+") + 1 :]
    return names


def _is_here(source: str) -> bool:
    match = LORA_WEIGHT.fullmatch(source)
    return os.path.exists(source) or bool(match and os.path.exists(match["lora"]))


def _base(source: str) -> Model:
    path = Path(source)
    if source in KNOWN:
        return KNOWN[source]
    if path.is_dir():
        return _local(path.resolve())
    if path.is_file():
        return _checkpoint(path.resolve())
    part = _on_a_hub(source)
    for known in KNOWN.values():
        if known.source == part.source and not known.loras:
            revision = part.revision or known.revision
            return structs.replace(known, name=source, revision=revision)
    if part.file:
        raise ModelLoadError(source, "a checkpoint of a hub cannot be named", "download the file")
    # Other families do not load.
    card = Card(title=source, anchor_attention=True, prompt_weights=True)
    return Model(name=source, source=part.source, revision=part.revision, card=card)


def _on_a_hub(source: str) -> WeightSource:
    match = HUB_MODEL.fullmatch(source)
    if not match:
        raise ModelLoadError(
            source,
            "it is neither a known model, nor a folder or file, nor a hub id",
            f"give one of {', '.join(KNOWN)}; a folder that holds model_index.json; a "
            ".safetensors file; or an id such as owner/name",
        )
    return WeightSource(source=match["source"], revision=match["commit"] or "")


def _with_lora(model: Model, source: str) -> Model:
    match = LORA_WEIGHT.fullmatch(source)
    source, weight = (match["lora"], float(match["weight"])) if match else (source, 1.0)
    part = WeightSource(source=str(Path(source).resolve())) if Path(source).is_file() else None
    part = part or _on_a_hub(source)
    file = Path(part.source)
    if file.suffix != WEIGHT_SUFFIX:
        raise ModelLoadError(source, "it names no .safetensors file", "add the name of the file")
    name = f"{model.name}+{file.stem}" + (f":{weight:g}" if weight != 1 else "")
    lora = Lora(source=part.source, revision=part.revision, weight=weight)
    card = structs.replace(model.card, title=f"{model.card.title} + {file.stem}")
    return structs.replace(model, name=name, card=card, loras=(*model.loras, lora))


def _local(folder: Path) -> Model:
    if not (folder / "model_index.json").is_file():
        raise ModelLoadError(
            folder.name, f"{folder} holds no model_index.json", "give a folder in diffusers layout"
        )
    if _read(folder / "unet" / "config.json").get("in_channels") == INPAINTING_CHANNELS:
        raise _inpainting(folder.name)
    path = folder / "card.json"
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card) if path.is_file() else None
    except (OSError, msgspec.MsgspecError) as error:
        remedy = f"correct {path}, or remove it"
        raise ModelLoadError(folder.name, f"its card.json is damaged: {error}", remedy) from error
    card = structs.replace(card or _guessed(folder), anchor_attention=_is_fine(folder))
    return Model(name=folder.name, source=str(folder), card=card)


def _guessed(folder: Path) -> Card:
    """Return a card for a folder without one, by the family that its configuration shows."""
    index, unet = (_read(folder / file) for file in ("model_index.json", "unet/config.json"))
    card = Card(title=folder.name, prompt_weights=True)
    if unet.get("time_cond_proj_dim"):
        return structs.replace(card, negative_prompt="ignored", defaults=LCM_DEFAULTS)
    large = "XL" in str(index.get("_class_name"))
    return structs.replace(card, defaults=SDXL_DEFAULTS if large else Defaults())


def _is_fine(folder: Path) -> bool:
    """Return whether a folder's UNet has decoder attention over ``FINE_CELLS`` cells a side."""
    unet = _read(folder / "unet" / "config.json")
    side, blocks = unet.get("sample_size"), unet.get("up_block_types")
    if not isinstance(side, int) or not isinstance(blocks, list):
        return False
    levels = [level for level, kind in enumerate(reversed(blocks)) if "Attn" in str(kind)]
    return bool(levels) and side >> levels[0] >= FINE_CELLS


def _read(path: Path) -> dict[str, object]:
    """Return the JSON object in a file; an empty one if it is damaged, which loading reports."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checkpoint(file: Path) -> Model:
    """Return the model in one file; a folder of the same name beside it has its configuration.

    Without such a folder the configuration of the family's base is downloaded from the hub.
    """
    names = _header(file)
    first = names.get(FIRST_LAYER)
    shape = first.get("shape") if isinstance(first, dict) else None
    if isinstance(shape, list) and shape[1:2] == [INPAINTING_CHANNELS]:
        raise _inpainting(file.name)
    for prefix, (base, defaults) in FAMILIES.items():
        if any(name.startswith(prefix) for name in names):
            beside = file.with_suffix("")
            configuration = WeightSource(source=str(beside)) if beside.is_dir() else base
            card = Card(
                title=file.stem, defaults=defaults, anchor_attention=True, prompt_weights=True
            )
            return Model(name=file.stem, source=str(file), card=card, configuration=configuration)
    if any(name.startswith(SD2_PREFIX) for name in names):
        raise ModelLoadError(
            file.name,
            "it is a checkpoint of Stable Diffusion 2",
            "choose one of Stable Diffusion 1.x or SDXL, or the same model in diffusers layout",
        )
    raise ModelLoadError(
        file.name,
        "its tensors are not named as in Stable Diffusion 1.x or SDXL",
        "choose a checkpoint of one of these families, or a folder in diffusers layout",
    )


def _inpainting(name: str) -> ModelLoadError:
    problem = "it is an inpainting model, whose network expects a mask beside the picture"
    return ModelLoadError(name, problem, "choose the model that it was made from")


def _header(file: Path) -> dict[str, object]:
    """Return what a safetensors file says of its tensors, by their names."""
    problem = ModelLoadError(
        file.name,
        "it is not a safetensors file",
        "choose a .safetensors file; pickles such as .ckpt can run code and are never opened",
    )
    if file.suffix != WEIGHT_SUFFIX:
        raise problem
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        head = stream.read(size) if size <= MAX_HEADER_BYTES else b""
    try:
        found = json.loads(head)
    except ValueError as error:
        raise problem from error
    if not isinstance(found, dict):
        raise problem
    return found
