"""What ``engine.render._compat`` borrows from torch is still there, and spandrel imports.

The fallbacks would hide it if they were gone: drawing would only become slower.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from engine.render import _compat
from engine.render._compat import Geometry

ROOT = Path(__file__).parents[3]
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)


def test_torch_reports_whether_triton_works() -> None:
    from torch.utils import _triton

    assert callable(_triton.has_triton)
    if not torch.cuda.is_available():
        assert not _compat.has_triton()


@pytest.mark.slow
def test_torch_dynamo_has_the_switch_that_suppresses_errors() -> None:
    code = (
        "import torch._dynamo\n"
        "from engine.render import _compat\n"
        "assert torch._dynamo.config.suppress_errors is False\n"
        "_compat.run_uncompiled_on_failure()\n"
        "assert torch._dynamo.config.suppress_errors is True\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture
def convolution() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Geometry]:
    """A map, weights, a bias and how the kernel moves."""
    torch.manual_seed(1)
    x = torch.randn(2, 8, 12, 10).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(6, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    return x, weight, torch.randn(6), Geometry([1, 1], [2, 2], [1, 1], 1)


@needs_onednn
@pytest.mark.parametrize("slope", [0.2, None])
def test_onednn_convolves_with_packed_weights_and_an_activation(
    convolution: tuple[torch.Tensor, torch.Tensor, torch.Tensor, Geometry], slope: float | None
) -> None:
    x, weight, bias, geometry = convolution
    packed = _compat.pack_weight(weight, geometry, x.shape)
    found = _compat.convolve_leaky(x, packed, bias, geometry, slope)
    plain = F.conv2d(x, weight, bias, stride=2, padding=1)
    torch.testing.assert_close(found, plain if slope is None else F.leaky_relu(plain, slope))


@needs_onednn
def test_onednn_convolves_and_adds(
    convolution: tuple[torch.Tensor, torch.Tensor, torch.Tensor, Geometry],
) -> None:
    x, weight, bias, geometry = convolution
    plain = F.conv2d(x, weight, bias, stride=2, padding=1)
    added = torch.randn_like(plain)
    packed = _compat.pack_weight(weight, geometry, x.shape)
    found = _compat.convolve_and_add(x, added.clone(), packed, bias, geometry)
    torch.testing.assert_close(found, plain + added)


IMPORT_SPANDREL = """
import importlib.util, sys
sys.modules["torchvision"] = None  # as where it is missing
try:
    import spandrel
except ImportError as error:
    assert "torchvision" in str(error), error
else:
    raise SystemExit("spandrel needs no torchvision any more: import_spandrel can go")
for name in [name for name in sys.modules if name.startswith("spandrel")]:
    del sys.modules[name]
from engine.render import _compat
spandrel = _compat.import_spandrel()
assert spandrel.ModelLoader("cpu") and spandrel.MAIN_REGISTRY.get("Compact")
assert [name for name in sys.modules if name.startswith("torchvision")] == ["torchvision"]
assert sys.modules["torchvision"] is None, "other libraries must not see the stand-in"
"""


def test_spandrel_imports_without_torchvision_and_leaves_no_stand_in() -> None:
    subprocess.run([sys.executable, "-c", IMPORT_SPANDREL], cwd=ROOT, check=True)
