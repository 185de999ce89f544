"""From a file to a network that enlarges: reading, recognising and refusing.

spandrel recognises networks by the names and shapes of their tensors. Pickles are read by torch's
weights-only loader, so that a file can never run code. Knows nothing about where files come from.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelLoadError
from engine.render import _compat
from engine.render.upscale.ncnn import read_layers, state_of
from engine.render.weights.state import read_state

REMEDY = "use a network that enlarges RGB pictures, in a format that spandrel knows"
COMPACT = "Compact"  # spandrel's id of Real-ESRGAN's small networks
# Pixels of a tile's sides without its margin, and of the margin. A small network sees no farther
# than one pixel for each of its convolutions, so that its tiles are exact. x4plus-anime sees
# farther; with this margin its tiles differ from the whole picture by 1 of 255, with 32 by 5.
COMPACT_SIDE, SIDE, MARGIN = 512, 192, 48


@dataclass(frozen=True)
class Network:
    """A network that enlarges, on the CPU in float32.

    Attributes:
        model: called with (1, 3, H, W) in [0, 1], returns (1, 3, factor * H, factor * W).
        factor: by which it enlarges.
        digest: SHA-256 over its tensors: the same for a pickle and its repack.
        half: whether it may compute in float16.
        bfloat16: likewise.
        compact: whether it is one of Real-ESRGAN's small networks.
        side: of the largest tile, in pixels; 0 if it must see whole pictures.
        margin: pixels around a tile that its network sees beside it.
    """

    model: Any
    factor: int
    digest: str
    half: bool
    bfloat16: bool
    compact: bool
    side: int
    margin: int


def load_network(path: Path) -> Network:
    """Load a network from a safetensors file, a pickle, or ncnn's ``.param`` beside its ``.bin``.

    Raises:
        ModelLoadError: the file is missing, damaged, or of a network that does not enlarge.
    """
    return recognise(_read(path), path.name)


def _read(path: Path) -> Mapping[str, Any]:
    """Read a state dict without ever running code from the file."""
    if path.suffix == ".param":
        arrays = state_of(read_layers(path), path.name)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return read_state(path, REMEDY)


def recognise(state: Mapping[str, Any], label: str = "given") -> Network:
    """Build the network that some weights belong to.

    Args:
        state: tensors by name; official files have them one level down.
        label: of the file, for messages.

    Raises:
        ModelLoadError: spandrel knows no such network, or it does not enlarge RGB pictures.
    """
    try:
        spandrel = _compat.import_spandrel()
    except ImportError as error:
        remedy = "pip install --no-deps -r engine/requirements-no-deps.txt"
        raise ModelLoadError(label, f"spandrel is not installed ({error})", remedy) from error
    try:
        found = spandrel.ModelLoader("cpu").load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError as error:
        raise ModelLoadError(label, "spandrel knows no such network", REMEDY) from error
    except Exception as error:  # whatever a network's own code makes of wrong shapes
        problem = f"its tensors do not fit together ({str(error).splitlines()[0][:100]})"
        raise ModelLoadError(label, problem, REMEDY) from error
    channels = getattr(found, "input_channels", 0), getattr(found, "output_channels", 0)
    if getattr(found, "purpose", "") != "SR" or channels != (3, 3) or found.scale < 2:
        problem = f"{found.architecture.name} does not enlarge RGB pictures"
        raise ModelLoadError(label, problem, REMEDY)
    found.model.requires_grad_(False)
    found.float().eval()
    side, margin = SIDE, MARGIN
    if compact := found.architecture.id == COMPACT:
        side, margin = COMPACT_SIDE, found.model.num_conv + 2
    elif found.tiling == spandrel.ModelTiling.INTERNAL:
        side = margin = 0
    return Network(
        model=found,
        factor=found.scale,
        digest=_digest(found.model.state_dict()),
        half=bool(found.supports_half),
        bfloat16=bool(found.supports_bfloat16),
        compact=compact,
        side=side,
        margin=margin,
    )


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.float().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
