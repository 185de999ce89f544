"""A linear map from latents to colours: the cheapest preview of a picture in the making.

It knows where the map comes from: a model's own file, a published one for its family, or a
fit to its decoder. It knows nothing of threads and credits.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import ModelLoadError
from engine.render.image import Picture

FIT_LATENTS = 2  # smooth random latents that a projection is fitted on; more gave nothing
FIT_SIDE = 16  # their height and width
# Of the families' VAEs; others with their scaling are other models.
VAE_CHANNELS = [128, 256, 512, 512]


class Projection(NamedTuple):
    """A linear map from latents to colours.

    Attributes:
        factors: float32 ``(channels, 3)``.
        bias: float32 ``(3,)``.
    """

    factors: Tensor
    bias: Tensor

    def picture(self, latents: Tensor) -> Picture:
        """Return the colours of latents.

        Args:
            latents: ``(1, channels, h, w)`` or ``(channels, h, w)`` in the pipeline's scaled space.

        Returns:
            uint8 RGB ``(h, w, 3)``; numbers that are not finite become black.
        """
        plane = latents.reshape(latents.shape[-3:]).to("cpu", torch.float32)  # (c, h, w)
        colours = torch.einsum("chw,cr->hwr", plane, self.factors) + self.bias
        scaled = (colours.nan_to_num(0, 0, 0).clamp(0, 1) * 255).round()
        return scaled.to(torch.uint8).numpy()


def read_projection(folder: Path) -> Projection | None:
    """Return the projection in a model folder's ``preview.json``; None if there is none.

    Raises:
        ModelLoadError: the file is damaged.
    """
    path = folder / "preview.json"
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_bytes())
        factors = torch.tensor(data["factors"], dtype=torch.float32)
        bias = torch.tensor(data["bias"], dtype=torch.float32)
        factors.reshape(-1, 3), bias.reshape(3)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelLoadError(
            folder.name, f"its preview.json is damaged: {error}", "copy the model folder again"
        ) from error
    return Projection(factors.reshape(-1, 3), bias.reshape(3))


def fit_projection(decode: Callable[[Tensor], Tensor], channels: int) -> Projection:
    """Fit the linear map that comes closest to a decoder, by least squares.

    Args:
        decode: latents ``(n, channels, h, w)``, scaled → pictures ``(n, 3, h * f, w * f)`` in
            [0, 1]; called on smooth random latents of about unit spread.
        channels: latent channels.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    coarse = torch.randn(FIT_LATENTS, channels, 4, 4, generator=generator)
    size = (FIT_SIDE, FIT_SIDE)
    latents = functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    pictures = functional.interpolate(decode(latents).to("cpu", torch.float32), size, mode="area")
    inputs = latents.movedim(1, -1).reshape(-1, channels)  # (n, channels)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    solution = torch.linalg.lstsq(inputs, pictures.movedim(1, -1).reshape(-1, 3)).solution
    return Projection(solution[:-1].contiguous(), solution[-1].contiguous())


def family_of(vae: Any) -> float | None:
    """Return the scaling factor that names a VAE's family; None if it belongs to neither."""
    config = vae.config
    known = list(config.block_out_channels) == VAE_CHANNELS and config.latent_channels == 4
    return (
        float(config.scaling_factor)
        if known and config.scaling_factor in PUBLISHED_PROJECTIONS
        else None
    )


# By a VAE's scaling factor. That of Stable Diffusion 1.x maps to [-1, 1]: keturn, "Decoding latents
# to RGB without upscaling", discuss.huggingface.co/t/23204, 2022. That of SDXL maps to [0, 255]:
# T. A. Vass, "Explaining the SDXL latent space", huggingface.co/blog, 2023. Both were found from
# many pictures; a fit to random latents knows nothing of what pictures look like.
PUBLISHED_PROJECTIONS = {
    0.18215: Projection(
        torch.tensor(
            [
                [0.298, 0.207, 0.208],
                [0.187, 0.286, 0.173],
                [-0.158, 0.189, 0.264],
                [-0.184, -0.271, -0.473],
            ]
        )
        / 2,
        torch.full((3,), 0.5),
    ),
    0.13025: Projection(
        torch.tensor(
            [
                [60.0, 60.0, 60.0],
                [-60.0, -5.0, 10.0],
                [25.0, 15.0, -5.0],
                [-70.0, -50.0, -35.0],
            ]
        )
        / 255,
        torch.tensor([150.0, 140.0, 130.0]) / 255,
    ),
}
