"""Reads state dicts of networks from safetensors files and pickles, and never runs their code.

Pickles are read by torch's weights-only loader. It knows no network and not where files come from.
"""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from engine.errors import ModelLoadError

UNREADABLE_ERRORS = (
    *(OSError, RuntimeError, EOFError, ValueError, KeyError, SafetensorError),
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error),
)


def read_state(path: Path, remedy: str) -> Mapping[str, Any]:
    """Return what a file holds, as a rule tensors by name.

    Args:
        path: a safetensors file or a pickle; its first bytes decide, not its name.
        remedy: what to do if it holds something else.

    Raises:
        ModelLoadError: the file is missing or damaged, or holds no state dict.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:9] == b"{":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # about the pickle's age
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE_ERRORS as error:
        problem = "the file is missing, truncated, damaged or not a checkpoint"
        again = "download it again and compare its size"
        raise ModelLoadError(path.name, problem, again) from error
    if not isinstance(state, Mapping):
        raise ModelLoadError(path.name, "the file holds no state dict", remedy)
    return state
