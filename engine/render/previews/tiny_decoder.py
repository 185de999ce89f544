"""A tiny decoder (TAESD's layout): previews in full resolution, where the device has time.

It measures its share of the device's time; it does not know who watches.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from engine.errors import VisionFluxError
from engine.models import WeightSource
from engine.models.known import TINY_DECODERS
from engine.render.device import Device
from engine.render.image import Picture
from engine.render.previews.latent_rgb import family_of
from engine.render.weights import files, hub

log = logging.getLogger(__name__)

MAX_TIME_SHARE = 0.01  # of the time, at most
MIN_DECODE_INTERVAL = 0.5  # seconds from one to the next, at least

Beside = Callable[[Callable[[Tensor], Tensor]], Tensor]


class TinyDecoder:
    """Decodes latents into pictures, as often as its share of the time allows.

    Args:
        network: an ``AutoencoderTiny`` on its device.
        clock: seconds; for tests.
    """

    def __init__(self, network: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._network, self._clock = network, clock
        self._next = clock()

    def has_time(self) -> bool:
        """Whether one more picture stays within the share."""
        return self._clock() >= self._next

    def picture(self, beside: Beside) -> Picture:
        """Return the picture of latents.

        Args:
            beside: applies a function to the latents ``(1, 4, height / 8, width / 8)``, in the
                pipeline's scaled space, and returns its result on the CPU.

        Returns:
            uint8 RGB ``(height, width, 3)``; numbers that are not finite become black.
        """
        begun = self._clock()
        colours = beside(self._decode)
        ended = self._clock()
        self._next = ended + max(MIN_DECODE_INTERVAL, (ended - begun) / MAX_TIME_SHARE)
        return colours.numpy()

    @torch.no_grad()
    def _decode(self, latents: Tensor) -> Tensor:
        inputs = latents.to(self._network.device, self._network.dtype)
        picture = self._network.decode(inputs).sample[0]  # (3, height, width) in [-1, 1]
        scaled = ((picture.float() + 1) / 2).nan_to_num(0, 0, 0).clamp(0, 1) * 255
        whole: Tensor = scaled.round().to(torch.uint8)
        return whole.movedim(0, -1).contiguous()


def find_tiny(vae: Any, device: Device, on_bytes: Callable[[int, int], None]) -> TinyDecoder | None:
    """Return the small decoder of a VAE's family, after downloading it; None if there is none.

    Only for GPUs: on a CPU its share of the time would show a picture in half a minute.
    """
    family = family_of(vae)
    if family is None or device.kind != "cuda":
        return None
    try:
        return read_tiny(_folder(TINY_DECODERS[family], on_bytes), device)
    except (VisionFluxError, OSError, ValueError, RuntimeError):
        log.warning("The small decoder for previews cannot be had.", exc_info=True)
        return None


def read_tiny(folder: Path, device: Device) -> TinyDecoder:
    """Load a small decoder in diffusers layout."""
    kind: Any = AutoencoderTiny
    network = kind.from_pretrained(
        folder, torch_dtype=device.torch_dtype, use_safetensors=True, local_files_only=True
    )
    return TinyDecoder(network.to(device.name))


def _folder(part: WeightSource, on_bytes: Callable[[int, int], None]) -> Path:
    choose = files.component(part.repo, half=False)
    (folder,) = hub.fetch([hub.Wanted(part.repo, part.revision, choose)], on_bytes)
    return folder
