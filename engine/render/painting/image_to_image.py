"""Image-to-image: a keyframe's sampler starts from a picture instead of noise alone.

It knows diffusers' samplers and image-to-image pipelines; it stores no pictures.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from numpy.typing import NDArray
from torch import Tensor

from engine.film.graph import KeyframeNode
from engine.render.image import Picture
from engine.render.painting.blank import is_blank
from engine.render.painting.warp import fitted, in_view, moved, with_colours_of

# Cells around what came into view that are painted as freshly, so that no edge shows.
SEAM_CELLS = 1
RIM_PIXELS = 17  # pixels around it in which painted matter comes to be taken whole
# Strengths up to which all is given back, and from which none.
FULL_DETAIL_STRENGTH, NO_DETAIL_STRENGTH = 0.05, 0.25
DETAIL_SIGMA = 2.0  # pixels: details are what a Gaussian of this deviation removes
SPREAD_WINDOW = 15  # pixels over which details' spread is taken
# Of 255: spread of painted details from which on all of the lost ones are given back.
FULL_DETAIL_SPREAD = 2.0


class InitImage(NamedTuple):
    """The picture that is painted over.

    Attributes:
        picture: uint8 RGB ``(height, width, 3)``, in the keyframe's size and seen from its pose.
        fresh: the pixels that came into view, bool ``(height, width)``.
        steps: by which the picture is painted over; half a step is half of its effect.
        border_steps: likewise, where something came into view; at least as many.
        kept: share of the details lost by encoding that is restored; see ``restored``.
    """

    picture: Picture
    fresh: NDArray[np.bool_]
    steps: float
    border_steps: float
    kept: float

    @property
    def most_steps(self) -> int:
        """The number of steps that painting takes."""
        return max(1, math.ceil(self.border_steps if self.fresh.any() else self.steps))


def canvas_of(node: KeyframeNode, source: Picture | None) -> InitImage | None:
    """Return the picture that a keyframe is painted over; None: it starts from noise."""
    if source is None or is_blank(source):
        return None
    picture, kept = fitted(source, node.height, node.width), 0.0
    fresh = np.zeros((node.height, node.width), bool)
    if node.warp:
        kept = min(
            1.0,
            max(
                0.0,
                (NO_DETAIL_STRENGTH - node.strength) / (NO_DETAIL_STRENGTH - FULL_DETAIL_STRENGTH),
            ),
        )
        picture, fresh = moved(picture, node.warp), ~in_view(node.warp, node.height, node.width)
    steps = steps_of(node.strength, node.num_inference_steps)
    border = steps_of(node.border, node.num_inference_steps)
    return InitImage(picture, fresh, steps, max(steps, border), kept)


def restored(canvas: InitImage, painted: Picture, decoded: Picture) -> Picture:
    """Return a painted picture with the details that its canvas lost by encoding.

    An autoencoder changes a picture a little, the more so if its content has moved against the
    grid of latents. This adds up from keyframe to keyframe: without restoring, the offline model
    held a picture to its grid against more than half of a slow push in. So only the changes made by
    painting are taken over, except where something came into view.

    Details are restored as far as the painted picture has details there too: else random remains
    would stay, and after thirty keyframes there is grain on a calm sea, and a ghost where a bird
    was.

    Args:
        canvas: what was painted over.
        painted: uint8 RGB ``(height, width, 3)``, the result.
        decoded: likewise, the canvas encoded and decoded, with nothing painted.
    """
    fresh = cv2.dilate(canvas.fresh.astype(np.float32), np.ones((RIM_PIXELS, RIM_PIXELS), np.uint8))
    old = canvas.kept * (1 - cv2.blur(fresh, (RIM_PIXELS, RIM_PIXELS)))[..., None]
    lost = canvas.picture.astype(np.float32) - decoded
    coarse = cv2.GaussianBlur(lost, (0, 0), DETAIL_SIGMA)
    share = np.minimum(1, _spread(painted) / FULL_DETAIL_SPREAD)[..., None]
    kept = painted + (coarse + (lost - coarse) * share) * old
    pixels: Picture = (np.clip(kept, 0, 255) + 0.5).astype(np.uint8)
    return pixels


def _spread(picture: Picture) -> NDArray[np.float32]:
    """Return the spread of details around each pixel, of 255, ``(height, width)``."""
    values = picture.astype(np.float32)
    details = values - cv2.GaussianBlur(values, (0, 0), DETAIL_SIGMA)
    spread: NDArray[np.float32] = np.sqrt(
        cv2.blur((details**2).mean(-1), (SPREAD_WINDOW, SPREAD_WINDOW))
    )
    return spread


def in_colours(node: KeyframeNode, picture: Picture, anchor: Picture | None) -> Picture:
    """Return a keyframe's picture in the colours of its anchor, if it has one that is not blank."""
    if anchor is None or node.since is None or is_blank(anchor):
        return picture
    return with_colours_of(picture, anchor, node.since)


def steps_of(strength: float, num_inference_steps: int) -> float:
    """Return the number of denoising steps for a strength."""
    return round(strength * num_inference_steps, 4)


def image_to_image(pipe: Any) -> Any:
    """Return the image-to-image pipeline of a text-to-image pipeline's parts."""
    parts, config, xl = pipe.components, pipe.config, StableDiffusionXLPipeline
    if isinstance(pipe, xl):
        kind: Any = StableDiffusionXLImg2ImgPipeline
        zeros = config.force_zeros_for_empty_prompt
        return kind(**parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False)
    kind = StableDiffusionImg2ImgPipeline
    return kind(**parts, requires_safety_checker=config.requires_safety_checker)


def begin_with(scheduler: Any, noise: Tensor) -> None:
    """Make a pipeline mix a picture with this noise instead of its own.

    Args:
        scheduler: fresh, of the pipeline.
        noise: ``(1, channels, height / 8, width / 8)``, unscaled.
    """
    add_noise = scheduler.add_noise

    def with_ours(clean: Tensor, _: Tensor, timesteps: Any) -> Any:
        scheduler.clean = clean
        return add_noise(clean, noise, timesteps)

    scheduler.add_noise = with_ours


class RegionStrength:
    """Paints what came into view with more steps than what was in view before.

    The whole picture runs through all the steps, but until the last steps of a pixel begin, its old
    value is put back, with the noise of that step. A pixel that has only a fraction of a step gets
    that fraction of its change, so that a strength that grows slowly changes pictures slowly.

    Source: Levin & Fried, "Differential diffusion", 2023, arXiv:2306.00950, with two strengths.
    """

    def __init__(self, canvas: InitImage, factor: int, then: Callable[..., Any]) -> None:
        """Prepare for a picture.

        Args:
            canvas: what is painted over.
            factor: pixels on a side of a cell of latents.
            then: the callback to call first at the end of each step.
        """
        cells = F.max_pool2d(torch.from_numpy(canvas.fresh)[None, None].float(), factor)
        fresh = F.max_pool2d(
            cells, 2 * SEAM_CELLS + 1, 1, SEAM_CELLS
        )  # (1, 1, height / 8, width / 8)
        self._steps = canvas.steps + (canvas.border_steps - canvas.steps) * fresh
        self._fewest = float(self._steps.min())
        self._then = then

    def __call__(self, pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> Any:
        """Put old pixels back after step ``index`` (from 0)."""
        tensors = self._then(pipe, index, timestep, tensors)
        left, scheduler = pipe.num_timesteps - index - 1, pipe.scheduler
        if self._fewest - left < 1:
            latents, before = tensors["latents"], scheduler.clean
            if self._steps.device != latents.device:  # copied once, not at every step
                self._steps = self._steps.to(latents.device)
            # The share of this step that a cell leaves out, (1, 1, height / 8, width / 8).
            undone = (1 - (self._steps - left)).clamp(0, 1).to(latents.dtype)
            if left:
                before = scheduler.add_noise(before, latents, scheduler.timesteps[-left:][:1])
            tensors["latents"] = latents * (1 - undone) + before * undone
        return tensors
