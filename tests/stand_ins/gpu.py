"""A stand-in for a GPU: tensors that lie in main memory and behave as if they lay on a device.

The device is named ``gpu:0``. Its tensors compute on the CPU, so results are true ones; an
operation on tensors of two devices fails as CUDA's does; and everything for which a GPU would have
to wait for the host, or the host for the GPU, is counted with the function that caused it.

It has no streams, events and graphs, and none of CUDA's kernels: what only they get wrong, it does
not show.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "gpu:0"
ENGINE = Path(__file__).parents[2] / "engine"
TORCH = Path(torch.__file__).parent

if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this torch has no devices written in Python", allow_module_level=True)


class _Absent(backend_registration._DummyBackendModule):
    """The device's module: nobody who looks for accelerators finds one."""

    def is_available(self) -> bool:
        return False

    def device_count(self) -> int:
        return 0


class _AbsentHook(backend_registration._DummyPrivateUse1Hook):
    def is_available(self) -> bool:
        return False


backend_registration._setup_privateuseone_for_python_backend("gpu", _Absent(), _AbsentHook())


class OnDevice(Tensor):
    """A tensor of the device.

    Attributes:
        host: its values, in main memory.
    """

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> "OnDevice":
        made: OnDevice = Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device(NAME),
        )
        made.host = host
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.host!r})"

    def tolist(self) -> Any:
        """Return the values; torch refuses that for tensors that are not its own."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _compute(func, args, kwargs or {}, Counter())


class StandInGPU(TorchDispatchMode):
    """Has tensors of the device while it is entered, and counts what crosses.

    Attributes:
        crossings: how often, by kind and by the function, outside torch, that caused it. Kinds are
            ``to device`` and ``to host`` for copies, ``item`` for a value that the host reads, and
            ``nonzero`` for a shape that it has to wait for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.crossings: Counter[tuple[str, str]] = Counter()
        self._library: Any = None

    def __enter__(self) -> "StandInGPU":
        # Weights become new parameters when they move; else they would keep their old values.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        # torch turns lists of indices into tensors without asking modes.
        self._library = torch.library.Library("aten", "IMPL")
        self._library.impl("empty_strided", _empty, "PrivateUse1")
        self._library.impl("_copy_from", self._copied, "PrivateUse1")
        return super().__enter__()

    def __exit__(self, *about: Any) -> None:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        self._library._destroy()
        super().__exit__(*about)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _compute(func, args, kwargs or {}, self.crossings)

    def total(self) -> Counter[str]:
        """Return the number of crossings of each kind."""
        found: Counter[str] = Counter()
        for (kind, _), count in self.crossings.items():
            found[kind] += count
        return found

    def _copied(self, source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
        self.crossings["to device", _culprit()] += 1
        _host(target).copy_(_host(source))
        return target


def _compute(func: Any, args: Any, kwargs: dict[str, Any], crossings: Counter[Any]) -> Any:
    """Run an operation on the host's values, and put its results where they belong."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    asked = kwargs.get("device")
    here = bool(ours) if asked is None else torch.device(asked).type == "gpu"
    if asked is not None and here:
        kwargs = {**kwargs, "device": "cpu"}
    kind = _crossing(func, args, bool(ours), here)
    if kind:
        crossings[kind, _culprit()] += 1
    elif ours and any(tensor.dim() and not isinstance(tensor, OnDevice) for tensor in tensors):
        raise RuntimeError(f"expected all tensors of {func} to be on the same device")
    result = func(*tree_map(_host, args), **tree_map(_host, kwargs))
    if not here:
        return result
    known = {id(tensor.host): tensor for tensor in ours}
    return tree_map(lambda leaf: _placed(leaf, known), result)


def _crossing(func: Any, args: Any, ours: bool, here: bool) -> str:
    """Return the kind of crossing that an operation is; "" for none."""
    name = func.overloadpacket.__name__
    if name == "_to_copy" and ours != here:
        return "to device" if here else "to host"
    if name == "copy_" and isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice):
        return "to device" if isinstance(args[0], OnDevice) else "to host"
    if ours and name == "_local_scalar_dense":
        return "item"
    masks = args[1] if name in ("index", "index_put_") else ()
    masked = any(mask is not None and mask.dtype == torch.bool for mask in masks)
    return "nonzero" if ours and (masked or name == "nonzero") else ""


def _placed(leaf: Any, known: dict[int, OnDevice]) -> Any:
    """Return a result as a tensor of the device: the argument itself if it was changed in place."""
    if not isinstance(leaf, Tensor):
        return leaf
    return known[id(leaf)] if id(leaf) in known else OnDevice(leaf)


def _host(value: Any) -> Any:
    return value.host if isinstance(value, OnDevice) else value


def _empty(size: Any, stride: Any, dtype: Any = None, **_: Any) -> Tensor:
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype, device="cpu"))


def _culprit() -> str:
    """Return the innermost function outside torch and this file, as ``file:function``."""
    frame = sys._getframe(1)
    while frame.f_back:
        path = Path(frame.f_code.co_filename)
        if path != Path(__file__) and not path.is_relative_to(TORCH):
            owner = path.relative_to(ENGINE.parent) if path.is_relative_to(ENGINE) else path.name
            return f"{owner}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"
