"""The private parts of torch that rendering uses, each in one function, and an import of spandrel.

``tests/engine/render/test_compat.py`` has a test for each that fails by name once the part is gone.
Parts of libraries that the server has as well are in ``engine._compat``, which knows no torch.
"""

import contextlib
import functools
import importlib
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._triton import has_triton as _has_triton


class Geometry(NamedTuple):
    """How a convolution's kernel moves over a map, as oneDNN's operators take it."""

    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int


def has_triton() -> bool:
    """Return whether Triton, without which nothing is compiled, works for this machine's GPU."""
    return bool(_has_triton())


def run_uncompiled_on_failure() -> None:
    """Let what torch cannot compile run as before instead of raising an error."""
    import torch._dynamo  # seconds that most films need not wait

    torch._dynamo.config.suppress_errors = True


def pack_weight(weight: Tensor, geometry: Geometry, shape: Sequence[int]) -> Tensor:
    """Return a convolution's weights in oneDNN's layout for maps of a shape, on a CPU.

    Raises:
        AttributeError: this build of torch has no oneDNN.
        RuntimeError: oneDNN refuses them.
    """
    reorder: Any = torch.ops.mkldnn._reorder_convolution_weight
    packed: Tensor = reorder(weight, *geometry, list(shape))
    return packed


def convolve_leaky(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, slope: float | None
) -> Tensor:
    """Convolve with packed weights and apply leaky ReLU, or nothing for None, in one operation.

    Raises:
        AttributeError: this build of torch has no oneDNN.
        RuntimeError: oneDNN refuses the arguments.
    """
    activation = ("none", [], "") if slope is None else ("leaky_relu", [slope], "")
    operator: Any = torch.ops.mkldnn._convolution_pointwise
    y: Tensor = operator(x, weight, bias, *geometry, *activation)
    return y


def convolve_and_add(
    x: Tensor, added: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
) -> Tensor:
    """Convolve with packed weights and add a map of the result's shape, in one operation.

    Raises:
        AttributeError: this build of torch has no oneDNN.
        RuntimeError: oneDNN refuses the arguments.
    """
    operator: Any = torch.ops.mkldnn._convolution_pointwise.binary
    y: Tensor = operator(x, added, weight, bias, *geometry, "add", None, None, [], None)
    return y


TORCHVISION = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
TORCHVISION_NAMES = ("InterpolationMode", "rotate", "normalize")


@functools.cache
def import_spandrel() -> Any:
    """Import spandrel, also where torchvision, which two of its networks use, is missing or broken.

    These two mend faces and fill holes; they are of no use here. What stands in for torchvision is
    removed again, so that other libraries find none.

    Raises:
        ImportError: spandrel itself is missing.
    """
    try:
        importlib.import_module(TORCHVISION[-1])
    except (ImportError, RuntimeError, OSError):  # the latter two: it was built for another torch
        with _stand_in_for_torchvision():
            return importlib.import_module("spandrel")
    return importlib.import_module("spandrel")


@contextlib.contextmanager
def _stand_in_for_torchvision() -> Iterator[None]:
    before = {name: module for name, module in sys.modules.items() if _is_torchvision(name)}
    for name in before:
        del sys.modules[name]
    for name in TORCHVISION:
        sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[TORCHVISION[-1]]).update(dict.fromkeys(TORCHVISION_NAMES))
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_torchvision(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_torchvision(name: str) -> bool:
    return name.partition(".")[0] == TORCHVISION[0]
