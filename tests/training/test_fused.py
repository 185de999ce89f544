"""The compiled passes compute what PyTorch's own operations do, forwards and backwards."""

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch.nn import functional

from training import diffusion, fused

GROUPS, EPS = 16, 1e-5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(fused.kernels() is None, reason="needs a C++ compiler and ninja"),
]


def reference(x, weight, bias, scale, shift):
    normalised = functional.group_norm(x, GROUPS, weight, bias, EPS)
    return functional.silu(normalised * (1 + scale[..., None, None]) + shift[..., None, None])


@pytest.mark.parametrize("shape", [(2, 64, 9, 14), (3, 128, 4, 7), (1, 256, 1, 1)])
def test_values_and_all_gradients_are_those_of_plain_operations(shape):
    torch.manual_seed(0)
    batch, channels = shape[:2]
    x = (2 * torch.randn(shape) + 1).bfloat16().contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(channels), torch.randn(channels)
    scale, shift = torch.randn(batch, channels), torch.randn(batch, channels)
    given = [value.requires_grad_() for value in (x, weight, bias, scale, shift)]
    plain = [value.detach().float().requires_grad_() for value in given]

    made, expected = fused.NormalisedSilu.apply(*given, GROUPS, EPS), reference(*plain)
    gradient = torch.randn(shape).bfloat16()
    made_back = torch.autograd.grad(made, given, gradient)
    expected_back = torch.autograd.grad(expected, plain, gradient.float())

    for found, wanted in zip((made, *made_back), (expected, *expected_back), strict=True):
        error = (found.float() - wanted).norm() / wanted.norm().clamp(min=1e-3)
        assert error < 0.01  # bfloat16 keeps eight bits: half a step of rounding is 0.2 %.


def test_large_values_stay_finite():
    """The exponential in SiLU overflows below -88, where many channels are computed at once."""
    x = torch.linspace(-400, 400, 64 * 64).view(1, 64, 8, 8)
    x = x.bfloat16().contiguous(memory_format=torch.channels_last)
    weight, nothing = torch.full((64,), 300.0), torch.zeros(1, 64)
    given = (x.requires_grad_(), weight, torch.zeros(64), nothing, nothing)
    made = fused.NormalisedSilu.apply(*given, 8, EPS)
    (gradient,) = torch.autograd.grad(made.float().sum(), x)
    assert made.min() > -0.3  # as low as SiLU comes
    assert made.max() > 400
    assert made.isfinite().all()
    assert gradient.isfinite().all()


def test_a_fused_unet_predicts_what_the_plain_one_does():
    torch.manual_seed(0)
    unet = diffusion.build_unet(12, 128)
    inputs = (torch.randn(1, 12, 8, 16), torch.tensor([500]), torch.randn(1, 48, diffusion.WIDTH))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        plain = unet(*inputs).sample
        fused.fuse(unet)
        faster = unet(*inputs).sample
    blocks = [block for block in unet.modules() if isinstance(block, ResnetBlock2D)]
    assert all("forward" in vars(block) for block in blocks)
    assert (faster - plain).norm() / plain.norm() < 0.03
