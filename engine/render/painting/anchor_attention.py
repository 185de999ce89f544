"""Anchor attention: a picture attends to another one, its subject, while it is painted.

The subject runs beside it through the UNet, as noisy as the picture is by then, and where the
decoder attends to itself the picture has the subject's keys and values next to its own. The subject
sees only itself. It knows diffusers' UNets; it does not know which keyframe looks at which.

Source: cross-frame attention as in Text2Video-Zero (Khachatryan et al. 2023, arXiv:2303.13439) and
ConsiStory (Tewel et al. 2024, arXiv:2402.03286). That only the decoder's finer layers take part,
and not the first steps, in which a picture finds its layout, is as in MasaCtrl (Cao et al. 2023,
arXiv:2304.08465): there from layer 10 of Stable Diffusion's 16 and from step 4 of 50 on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from engine.models import FINE_CELLS
from engine.render.device import Device
from engine.render.image import Picture
from engine.render.painting.noise import noise
from engine.render.painting.vae import in_range
from engine.render.painting.warp import fitted

LAYOUT_NOISE_SHARE = 0.92  # share of the levels of noise from which down a picture has its layout
SUBJECT_SEED = 0xA2C402  # of the subject's noise: one and the same, so that neighbours see the same


@contextmanager
def anchored_to(
    picture: Picture | None, pipe: Any, scheduler: Any, device: Device, size: tuple[int, int]
) -> Iterator[None]:
    """Let all that a pipeline paints in this context attend to a picture; None: to nothing.

    Args:
        picture: uint8 RGB ``(height, width, 3)``, of any size.
        pipe: of the families of Stable Diffusion 1.5 or SDXL.
        scheduler: the one that it paints with.
        device: where it paints.
        size: height and width of what is painted, in pixels.
    """
    if picture is None:
        yield
        return
    beside = _Beside(scheduler, _encoded(fitted(picture, *size), pipe, device))
    layers = [(layer, layer.processor) for layer in fine_layers(pipe.unet)]
    handles = [
        pipe.unet.register_forward_pre_hook(beside.enter, with_kwargs=True),
        pipe.unet.register_forward_hook(beside.leave),
    ]
    try:
        for layer, processor in layers:
            layer.set_processor(AnchorAttnProcessor(processor, beside))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer, processor in layers:
            layer.set_processor(processor)


class _Beside:
    """A subject that runs through the UNet, in the rows after those of the picture.

    Attributes:
        there: whether it does so in this step; not in the first ones.
    """

    def __init__(self, scheduler: Any, clean: Tensor) -> None:
        """Take the scheduler before its way of adding noise is replaced."""
        self._scheduler = scheduler
        self._add_noise, self._scale = scheduler.add_noise, scheduler.scale_model_input
        self._clean = clean  # (1, channels, height / 8, width / 8)
        self._noise = noise(SUBJECT_SEED, tuple(clean.shape)).to(clean.device, clean.dtype)
        self._begin = LAYOUT_NOISE_SHARE * scheduler.config.num_train_timesteps
        self._ahead: list[float] | None = None  # the timesteps to come, read from the GPU once
        self.there = False

    def enter(self, _unet: Any, args: Any, kwargs: Any) -> Any:
        """Double the UNet's input: the picture's rows, then as many of the subject."""
        sample, timestep, *rest = args  # (rows, channels, height / 8, width / 8)
        if self._ahead is None:
            schedule: list[float] = self._scheduler.timesteps.tolist()
            self._ahead = schedule[schedule.index(float(timestep)) :]
        self.there = self._ahead.pop(0) <= self._begin
        if not self.there:
            return args, kwargs
        noisy = self._add_noise(self._clean, self._noise, timestep.reshape(1))
        noisy = self._scale(noisy, timestep).to(sample.dtype).expand_as(sample)
        return (torch.cat([sample, noisy]), timestep, *rest), _twice(kwargs)

    def leave(self, _unet: Any, _args: Any, output: Any) -> Any:
        """Keep only the picture's rows of the UNet's output."""
        return (output[0].chunk(2)[0],) if self.there else output


class AnchorAttnProcessor:
    """An attention processor by which a picture's rows also attend to the subject's after them.

    The way to compute attention stays the same: torch's own, or in slices.

    Args:
        plain: the processor that it replaces.
        beside: its ``there`` is whether the rows of a subject follow.
    """

    def __init__(self, plain: Any, beside: Any) -> None:
        self._plain, self._beside = plain, beside

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Return the self-attention of ``(rows, cells, width)``, without masks."""
        if not self._beside.there:
            return self._plain(attn, hidden_states)  # type: ignore[no-any-return]
        own, subject = hidden_states.chunk(2)
        both = torch.cat([own, subject], dim=1)  # (rows / 2, 2 * cells, width)
        return torch.cat([self._plain(attn, own, both), self._plain(attn, subject)])


def fine_layers(unet: Any) -> list[Any]:
    """Return the decoder's self-attention layers of at least ``FINE_CELLS`` cells on a side."""
    coarsest = len(unet.up_blocks) - 1
    fine = (
        block
        for level, block in enumerate(unet.up_blocks)
        if unet.config.sample_size >> (coarsest - level) >= FINE_CELLS
    )
    modules = (found for block in fine for found in block.named_modules())
    return [module for name, module in modules if name.endswith(".attn1")]


def _encoded(picture: Picture, pipe: Any, device: Device) -> Tensor:
    """Return a picture's scaled latents ``(1, channels, height / 8, width / 8)``: their mean."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1  # (1, 3, height, width)
    with in_range(pipe) as dtype:
        latents = pipe.vae.encode(pixels.to(device.name, dtype)).latent_dist.mode()
    factor = pipe.vae.config.scaling_factor
    scaled: Tensor = (latents * factor).to(device.name, device.torch_dtype)
    return scaled


def _twice(value: Any) -> Any:
    """Return keyword arguments with every tensor's rows doubled."""
    if isinstance(value, Tensor):
        return torch.cat([value, value])
    if isinstance(value, dict):
        return {name: _twice(part) for name, part in value.items()}
    return value
