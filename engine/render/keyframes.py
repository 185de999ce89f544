"""Keyframes: pictures that Stable Diffusion paints, exactly as their node says.

It knows diffusers; it knows nothing of films, jobs or previews beyond one callback.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoPipelineForImage2Image
from msgspec import structs
from torch import Tensor

from engine.errors import DeviceMemoryError
from engine.graph import KeyframeNode
from engine.models import Model
from engine.render.blank import is_blank
from engine.render.blend import blended_noise, step_noises, turned_noise
from engine.render.device import Device, memory_errors
from engine.render.memory import MemorySaver, Way
from engine.render.picture import Picture
from engine.render.pipeline import OnBytes, load_pipeline
from engine.render.projection import (
    PUBLISHED,
    Projection,
    family_of,
    fit_projection,
    read_projection,
)
from engine.render.prompts import Prompts
from engine.render.repaint import Border, Canvas, begin_with, canvas_of, in_colours, restored
from engine.render.schedulers import make_scheduler
from engine.render.speed import Quickener
from engine.render.subject import looking_at
from engine.render.tiny import TinyDecoder, find_tiny
from engine.render.watch import OnStep, Watch, stop_if

log = logging.getLogger(__name__)

SMALLER = (0.75, 0.5, 0.375, 0.25)  # shares of a side that are tried where a picture does not fit


class Painter:
    """A loaded model that paints keyframes; one thread uses it at a time.

    Attributes:
        identity: name and hash of the weights, as ``KeyframeNode.model`` wants it.
        projection: from this model's latents to colours, for previews.
        tiny: a small decoder of this model's family, for better ones; None without.
        memory: how it saves memory where there is too little.
        speed: how it hurries where there is much to paint.
    """

    def __init__(
        self,
        pipe: Any,
        device: Device,
        identity: str,
        on_way: Callable[[Way], None],
        ways: int = 0,
    ) -> None:
        """Take a pipeline in main memory; ``load`` is the usual way."""
        self.identity = identity
        self.memory = MemorySaver(pipe, device, on_way, ways)
        self.device = device
        self._pipe = pipe
        self._config = pipe.scheduler.config
        self._prompts = Prompts(pipe, device.name)
        self.speed = Quickener(pipe, device)
        self.projection: Projection | None = None
        self.tiny: TinyDecoder | None = None
        pipe.set_progress_bar_config(disable=True)

    @classmethod
    def load(
        cls,
        model: Model,
        device: Device,
        on_bytes: OnBytes,
        on_way: Callable[[Way], None] = lambda _: None,
        ways: int = 0,
    ) -> "Painter":
        """Load a model.

        Args and errors are those of ``load_pipeline``; ``on_way`` hears of every way that is taken
        to save memory, now or while painting; the first ``ways`` are taken at once.
        """
        pipe, folder, identity = load_pipeline(model, device, on_bytes)
        painter = cls(pipe, device, identity, on_way, ways)
        painter.projection = read_projection(folder) or painter._find_projection()
        painter.tiny = find_tiny(pipe.vae, device, on_bytes)
        return painter

    def paint(
        self,
        node: KeyframeNode,
        *,
        source: Picture | None = None,
        anchor: Picture | None = None,
        subject: Picture | None = None,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Picture:
        """Paint a keyframe; the same node gives the same picture again on the same device.

        Where a GPU's network was compiled for a long film, that holds but for rounding.

        Args:
            node: what to paint; ``node.model`` is this painter's identity.
            source: what ``node.source`` stands for; of any size. One that is blank counts as none.
            anchor: likewise, ``node.anchor``.
            subject: likewise, ``node.subject``.
            on_step: called after each step with its number (from 1), the number of steps and the
                clean latents ``(1, channels, height / 8, width / 8)`` that the model predicts
                from there, scaled; a tensor of its own.
            cancelled: asked once a step.

        Returns:
            uint8 RGB ``(height, width, 3)``.

        Raises:
            Cancelled: within one step of ``cancelled()`` turning true.
            DeviceMemoryError: the picture is too large for the device, however thriftily painted.
        """
        begun = time.monotonic()
        subject = None if subject is None or is_blank(subject) else subject
        try:
            picture = self._attempt(node, canvas_of(node, source), subject, on_step, cancelled)
            self.speed.painted(time.monotonic() - begun, thriftily=bool(self.memory.ways))
            return in_colours(node, picture, anchor)
        except DeviceMemoryError as error:
            log.warning("A picture does not fit.", exc_info=True)
            problem = error.problem
        # Outside the handler: its traceback holds what filled the memory.
        raise DeviceMemoryError(problem, remedy=self._smaller(node, subject))

    def _attempt(
        self,
        node: KeyframeNode,
        canvas: Canvas | None,
        subject: Picture | None,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Picture:
        def work() -> Picture:
            doing = f"painting {node.width}x{node.height}"
            # Not inference_mode: weights that offloading moved inside could not be moved back.
            with memory_errors(self.device, doing), torch.no_grad():
                stop_if(cancelled)
                return self._paint(node, canvas, subject, on_step, cancelled)

        return self.memory.attempt(work)

    def _smaller(self, node: KeyframeNode, subject: Picture | None) -> str:
        """Return a remedy with the largest of some smaller sizes that fits when it is tried."""
        for share in SMALLER:
            width, height = (
                max(64, int(side * share) // 64 * 64) for side in (node.width, node.height)
            )
            trial = structs.replace(node, width=width, height=height, num_inference_steps=2)
            with contextlib.suppress(DeviceMemoryError):
                self._attempt(trial, None, subject, lambda *_: None, lambda: False)
                return f"choose {width}x{height}, which fits, or free the device's memory"
        return ""

    def _paint(
        self,
        node: KeyframeNode,
        canvas: Canvas | None,
        subject: Picture | None,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Picture:
        scheduler = make_scheduler(
            node.scheduler, self._config, self._step_noises(node), node.num_inference_steps
        )
        watch = Watch(scheduler, on_step, cancelled)
        guided = node.guidance_scale > 1
        asked = {
            **self._prompts.arguments(node.prompt, node.negative_prompt if guided else None),
            "num_inference_steps": node.num_inference_steps,
            "guidance_scale": node.guidance_scale,
        }
        size = node.height, node.width
        with looking_at(subject, self._pipe, scheduler, self.device, size):
            if canvas:
                return self._paint_over(canvas, scheduler, watch, self._noise(node), asked)
            self._pipe.scheduler = scheduler
            result = self._pipe(
                **asked,
                latents=self._noise(node),
                width=node.width,
                height=node.height,
                callback_on_step_end=watch,
            )
        return np.array(result.images[0].convert("RGB"))  # a copy that may be written to

    def _paint_over(
        self, canvas: Canvas, scheduler: Any, watch: Watch, noise: Tensor, asked: dict[str, Any]
    ) -> Picture:
        pipe: Any = AutoPipelineForImage2Image.from_pipe(self._pipe)  # of the same parts
        pipe.set_progress_bar_config(disable=True)
        pipe.scheduler = scheduler
        begin_with(scheduler, noise)
        image = torch.from_numpy(canvas.picture).permute(2, 0, 1)[None].float() / 255
        try:
            result = pipe(
                **asked,
                image=image,  # (1, 3, height, width) in [0, 1]
                strength=min(1.0, (canvas.most_steps + 1e-3) / asked["num_inference_steps"]),
                generator=torch.Generator("cpu").manual_seed(0),  # of what the encoder samples
                callback_on_step_end=Border(canvas, self._pipe.vae_scale_factor, watch),
            )
            painted = np.array(result.images[0].convert("RGB"))
            if not canvas.kept or is_blank(painted):  # a safety checker's hit stays one
                return painted
            return restored(canvas, painted, self._decoded(scheduler.clean))
        finally:
            self._pipe.maybe_free_model_hooks()

    def _decoded(self, latents: Tensor) -> Picture:
        """Return the picture of scaled latents ``(1, channels, height / 8, width / 8)``."""
        pipe = self._pipe
        decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
        return np.array(pipe.image_processor.postprocess(decoded)[0].convert("RGB"))

    def _noise(self, node: KeyframeNode) -> Tensor:
        """Return the initial latents ``(1, channels, height / 8, width / 8)``, unscaled."""
        first, second = int(node.noise.first), int(node.noise.second)
        if node.turn:
            noise = turned_noise(first, node.turn, self._shape(node), node.drift)
        else:
            noise = blended_noise(first, second, node.noise.position, self._shape(node), node.drift)
        return noise.to(self.device.name, self.device.torch_dtype)

    def _step_noises(self, node: KeyframeNode) -> Callable[[], Tensor]:
        """Return what draws the noise of the next step, for samplers that inject some."""
        first, second = int(node.noise.first), int(node.noise.second)
        drift = 0.0 if node.turn else node.drift  # one that is the same all the way round
        noises = step_noises(first, second, node.noise.position, self._shape(node), drift)
        return lambda: next(noises)

    def _shape(self, node: KeyframeNode) -> tuple[int, int, int, int]:
        factor = self._pipe.vae_scale_factor
        channels = int(self._pipe.unet.config.in_channels)
        return 1, channels, node.height // factor, node.width // factor

    def _find_projection(self) -> Projection:
        """Return the projection of the model's family, or one fitted to its own decoder."""
        vae = self._pipe.vae
        if (family := family_of(vae)) is not None:
            return PUBLISHED[family]

        def decode(latents: Tensor) -> Tensor:
            latents = latents.to(self.device.name, self.device.torch_dtype)
            pictures: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
            return (pictures + 1) / 2

        with torch.no_grad():
            return fit_projection(decode, int(vae.config.latent_channels))
