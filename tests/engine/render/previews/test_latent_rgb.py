import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from engine.errors import ModelLoadError
from engine.render.previews.latent_rgb import (
    FIT_SIDE,
    PUBLISHED_PROJECTIONS,
    VAE_CHANNELS,
    family_of,
    fit_projection,
    read_projection,
)


def test_a_fit_finds_a_linear_decoder_again() -> None:
    factors, bias = torch.randn(4, 3) * 0.1, torch.tensor([0.4, 0.5, 0.6])

    def decode(latents: torch.Tensor) -> torch.Tensor:
        pictures = torch.einsum("nchw,cr->nrhw", latents, factors) + bias[:, None, None]
        return pictures.repeat_interleave(8, 2).repeat_interleave(8, 3)

    fitted = fit_projection(decode, 4)
    assert torch.allclose(fitted.factors, factors, atol=1e-4)
    assert torch.allclose(fitted.bias, bias, atol=1e-4)


def test_a_fit_asks_for_little() -> None:
    asked: list[tuple[int, ...]] = []

    def decode(latents: torch.Tensor) -> torch.Tensor:
        asked.append(tuple(latents.shape))
        return torch.zeros(len(latents), 3, 8 * FIT_SIDE, 8 * FIT_SIDE)

    fit_projection(decode, 8)
    assert asked == [(2, 8, FIT_SIDE, FIT_SIDE)]


def test_a_models_own_projection_is_read(tmp_path: Path) -> None:
    content = {"factors": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], "bias": [0, 0.5, 1]}
    (tmp_path / "preview.json").write_text(json.dumps(content))
    projection = read_projection(tmp_path)
    assert projection is not None
    assert projection.factors.shape == (4, 3)
    assert projection.bias.tolist() == [0, 0.5, 1]


def test_no_file_is_no_projection(tmp_path: Path) -> None:
    assert read_projection(tmp_path) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"factors": [[1, 2]], "bias": [0, 0, 0]}', '{"factors": 1}']
)
def test_a_damaged_projection_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "preview.json").write_text(content)
    with pytest.raises(ModelLoadError, match=r"preview\.json"):
        read_projection(tmp_path)


# --- What was published ---


def vae(scaling_factor: float, layout: list[int] = VAE_CHANNELS) -> AutoencoderKL:
    with torch.device("meta"):
        return AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=tuple(layout),
            scaling_factor=scaling_factor,
        )


def test_the_family_of_a_vae_is_recognised() -> None:
    assert family_of(vae(0.18215)) == 0.18215
    assert family_of(vae(0.13025)) == 0.13025
    assert family_of(vae(0.5)) is None
    assert family_of(vae(0.18215, [32, 32, 32, 32])) is None


@pytest.mark.parametrize(
    ("family", "grey"), [(0.18215, (128, 128, 128)), (0.13025, (150, 140, 130))]
)
def test_latents_without_content_are_the_grey_that_was_published(
    family: float, grey: tuple[int, int, int]
) -> None:
    colours = PUBLISHED_PROJECTIONS[family].picture(torch.zeros(1, 4, 2, 3))
    assert colours.shape == (2, 3, 3)
    assert np.abs(colours.astype(int) - grey).max() == 0


@pytest.mark.parametrize(
    ("family", "channel", "change"),
    [
        (0.18215, 0, (38, 26, 27)),  # halves of the factors, of 255
        (0.18215, 3, (-23, -35, -60)),
        (0.13025, 1, (-60, -5, 10)),
        (0.13025, 3, (-70, -50, -35)),
    ],
)
def test_each_channel_moves_the_colours_as_was_published(
    family: float, channel: int, change: tuple[int, int, int]
) -> None:
    latents = torch.zeros(1, 4, 1, 1)
    latents[0, channel] = 1
    before = PUBLISHED_PROJECTIONS[family].picture(torch.zeros(1, 4, 1, 1)).astype(int)
    after = PUBLISHED_PROJECTIONS[family].picture(latents).astype(int)
    assert np.abs(after - before - change).max() <= 1
