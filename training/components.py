"""The encoder of the next model: principal components of 8x8 patches, as an `AutoencoderTiny`'s.

Flat art is so regular that a linear map of its patches is a good encoder by itself. The map is
carried exactly by the encoder's convolutions, which have no activation between them, so nothing
about the model is special, and only the decoder is left to train. Knows pictures; nothing about
captions or diffusion.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

PATCH = 8
CHANNELS = 12  # of the latents
WIDTH = 64  # of the networks
# Spreads of the components: the first three are the patches' colours, large areas of a picture;
# the others, its edges, should appear later, when there is less noise.
FIRST, FIRST_SPREAD, SPREAD = 3, 1.0, 0.6


@dataclass(frozen=True)
class Components:
    """A linear map of 8x8 patches: float64 mean `(192,)`, axes `(192, k)` and scales `(k,)`.

    Patches are in 0..1, flattened row by row, RGB together.
    """

    mean: np.ndarray
    axes: np.ndarray
    scales: np.ndarray

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Return latents `(count, k, h / 8, w / 8)` of uint8 RGB `(count, h, w, 3)`."""
        count, height, width, _ = pictures.shape
        latents = (patches(pictures) - self.mean) @ (self.axes * self.scales)
        grid = latents.reshape(count, height // PATCH, width // PATCH, -1)
        return grid.transpose(0, 3, 1, 2)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return uint8 RGB: what the components alone keep, without a trained decoder."""
        count, channels, rows, columns = latents.shape
        flat = latents.transpose(0, 2, 3, 1).reshape(-1, channels) / self.scales
        pixels = (flat @ self.axes.T + self.mean).reshape(count, rows, columns, PATCH, PATCH, 3)
        whole = pixels.transpose(0, 1, 3, 2, 4, 5).reshape(count, rows * PATCH, columns * PATCH, 3)
        return np.clip(whole * 255 + 0.5, 0, 255).astype(np.uint8)

    def preview(self) -> dict[str, list]:
        """Return the mean colour of each patch as a linear function of its latents, RGB 0..1."""
        colours = self.axes.reshape(PATCH * PATCH, 3, -1).mean(0)  # (3, k)
        factors = (colours / self.scales).T
        bias = self.mean.reshape(PATCH * PATCH, 3).mean(0)
        return {"factors": factors.round(5).tolist(), "bias": bias.round(5).tolist()}


def read_preview(runs: Path) -> dict[str, list]:
    """Return the preview that was written beside the autoencoder."""
    return json.loads((runs / "rich-preview.json").read_text())


def patches(pictures: np.ndarray) -> np.ndarray:
    """Return all 8x8 patches `(patches, 192)` of uint8 RGB `(count, h, w, 3)`, in 0..1."""
    count, height, width, _ = pictures.shape
    cut = pictures.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, PATCH * PATCH * 3) / 255.0


def fit(groups: list[np.ndarray], channels: int = CHANNELS) -> Components:
    """Fit the components to pictures, uint8 RGB `(count, h, w, 3)` of each shape."""
    total, square, count = np.zeros(192), np.zeros((192, 192)), 0
    for pictures in groups:
        for at in range(0, len(pictures), 20):
            some = patches(pictures[at : at + 20])
            total, square, count = total + some.sum(0), square + some.T @ some, count + len(some)
    mean = total / count
    values, vectors = np.linalg.eigh(square / count - np.outer(mean, mean))
    order = np.argsort(values)[::-1][:channels]
    spreads = np.where(np.arange(channels) < FIRST, FIRST_SPREAD, SPREAD)
    return Components(mean, vectors[:, order], spreads / np.sqrt(values[order]))


def empty(channels: int = CHANNELS) -> AutoencoderTiny:
    """Return an autoencoder of the right shape that knows nothing."""
    return AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(4, 3, 1, 0),
    )


def build(components: Components) -> AutoencoderTiny:
    """Return an autoencoder that encodes as the components do; its decoder is untrained."""
    vae = empty(components.axes.shape[1])
    fill(vae.encoder, components)
    vae.encoder.requires_grad_(False)
    return vae


@torch.no_grad()
def fill(encoder: torch.nn.Module, components: Components) -> None:
    """Write the components into an encoder's five convolutions.

    The first passes the colours on; two gather 2x2 pixels each into channels, with the taps of
    their kernels that lie on these; the fourth applies the axes; the last takes the mean off.
    """
    first, second, third, fourth, last = encoder.layers
    channels = components.axes.shape[1]
    for layer in encoder.layers:
        layer.weight.zero_()
    first.bias.zero_()
    first.weight[range(3), range(3), 1, 1] = 1
    gather(second.weight, 3)
    gather(third.weight, 12)
    axes = torch.from_numpy(components.axes * components.scales)  # (192, k)
    # A pixel's row in the patch is 4 c + 2 b + a, where a was gathered first; columns likewise.
    parts = axes.reshape(2, 2, 2, 2, 2, 2, 3, channels)  # rows c b a, columns c b a, colour, k
    fourth.weight[:channels, :48, 1:, 1:] = (
        parts.permute(7, 1, 4, 2, 5, 6, 0, 3).reshape(channels, 48, 2, 2).float()
    )
    last.weight[range(channels), range(channels), 1, 1] = 1
    last.bias[:] = torch.from_numpy(-components.mean @ (components.axes * components.scales))


@torch.inference_mode()
def matrix_of(vae: AutoencoderTiny) -> tuple[Tensor, Tensor]:
    """Return the map `(192, k)` and the offset `(k,)` of an encoder that `build` made.

    One product is far faster than the five convolutions that carry it.
    """
    encoder = copy.deepcopy(vae.encoder).double()
    probes = torch.cat([torch.zeros(1, PATCH**2 * 3), torch.eye(PATCH**2 * 3)]).double()
    pictures = probes.reshape(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2) * 2 - 1
    found = encoder(pictures)[:, :, 0, 0]
    return (found[1:] - found[0]).float(), found[0].float()


def encode(pictures: Tensor, matrix: tuple[Tensor, Tensor]) -> Tensor:
    """Return latents `(count, k, h / 8, w / 8)` of RGB `(count, 3, h, w)` in -1..1."""
    count, _, height, width = pictures.shape
    cut = (pictures + 1) / 2
    cut = cut.reshape(count, 3, height // PATCH, PATCH, width // PATCH, PATCH)
    flat = cut.permute(0, 2, 4, 3, 5, 1).reshape(count, height // PATCH, width // PATCH, -1)
    return (flat @ matrix[0] + matrix[1]).permute(0, 3, 1, 2)


def gather(weight: Tensor, inputs: int) -> None:
    """Make a strided convolution put 2x2 pixels of `inputs` channels side by side."""
    for row in range(2):
        for column in range(2):
            for channel in range(inputs):
                weight[(row * 2 + column) * inputs + channel, channel, 1 + row, 1 + column] = 1
