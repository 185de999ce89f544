"""A VAE that leaves the range of float16 is computed in float32, for that picture alone."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from engine.errors import NotANumberError
from engine.render.painting.vae import let_recover
from tests.stand_ins.pipelines import let_the_vae_overflow, save_tiny_pipeline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return let_the_vae_overflow(save_tiny_pipeline(tmp_path / "tiny")) / "vae"


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()


def loaded(folder: Path, dtype: torch.dtype) -> Any:
    return AutoencoderKL.from_pretrained(folder, torch_dtype=dtype)


@torch.no_grad()
def test_what_overflows_is_decoded_in_float32(
    folder: Path, latents: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    expected = loaded(folder, torch.float32).decode(latents.float()).sample
    vae = loaded(folder, torch.float16)
    assert not vae.decode(latents).sample.isfinite().all()
    let_recover(vae)
    with caplog.at_level(logging.WARNING):
        found = vae.decode(latents).sample
    assert vae.dtype == torch.float16
    assert torch.allclose(found.float(), expected, atol=1e-2)
    assert "decoded in float32" in caplog.text


@torch.no_grad()
def test_a_picture_that_is_well_stays_as_it_is_beside_one_that_is_not(
    tmp_path: Path, latents: Tensor
) -> None:
    vae = loaded(save_tiny_pipeline(tmp_path / "tiny") / "vae", torch.float16)
    vae.post_quant_conv.weight *= 100
    high = torch.cat([latents[:1], latents[1:] * 1000])
    before = vae.decode(high).sample
    assert [bool(one.isfinite().all()) for one in before] == [True, False]
    let_recover(vae)
    found = vae.decode(high).sample
    assert found.isfinite().all()
    assert torch.equal(found[0], before[0])


@torch.no_grad()
def test_latents_that_are_no_numbers_are_not_the_vaes_fault(folder: Path, latents: Tensor) -> None:
    vae = loaded(folder, torch.float16)
    let_recover(vae)
    latents[0, 0, 0, 0] = float("nan")
    found = vae.decode(latents).sample
    assert not found[0].isfinite().all()
    assert found[1].isfinite().all()


@torch.no_grad()
def test_where_float32_does_not_help_the_vae_is_named(folder: Path, latents: Tensor) -> None:
    vae = loaded(folder, torch.float16)
    vae.decoder.conv_in.weight *= float("inf")
    let_recover(vae)
    with pytest.raises(NotANumberError, match="VAE"):
        vae.decode(latents)
    assert vae.dtype == torch.float16
