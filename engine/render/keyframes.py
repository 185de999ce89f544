"""Keyframes: pictures that Stable Diffusion paints, exactly as their node says.

It knows diffusers; it knows nothing of films, jobs or previews beyond one callback.
"""

import contextlib
import functools
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from msgspec import structs
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import DeviceMemoryError
from engine.graph import KeyframeNode, Weighted
from engine.models import Model
from engine.render import Cancelled
from engine.render.blend import blended_embeddings, blended_noise
from engine.render.device import Device, memory_errors
from engine.render.memory import MemorySaver, Way
from engine.render.pipeline import OnBytes, load_pipeline
from engine.render.preview import Projection, fit_projection, read_projection

log = logging.getLogger(__name__)

REMEMBERED_PROMPTS = 64  # embeddings kept; 236 kB each with Stable Diffusion 1.5 in float32
SMALLER = (0.75, 0.5, 0.375, 0.25)  # shares of a side that are tried where a picture does not fit

SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dpmsolver++": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "solver_order": 2},
    ),
    "ddim": (DDIMScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "unipc": (UniPCMultistepScheduler, {}),
}

OnStep = Callable[[int, int, Tensor], None]
Picture = NDArray[np.uint8]  # RGB (height, width, 3)


class Painter:
    """A loaded model that paints keyframes; one thread uses it at a time.

    Attributes:
        identity: name and hash of the weights, as ``KeyframeNode.model`` wants it.
        projection: from this model's latents to colours, for previews.
        memory: how it saves memory where there is too little.
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
        self._prompts: OrderedDict[str, Tensor] = OrderedDict()
        self.projection: Projection | None = None
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
        painter.projection = read_projection(folder) or painter._fit_projection()
        return painter

    def paint(
        self, node: KeyframeNode, *, on_step: OnStep, cancelled: Callable[[], bool]
    ) -> Picture:
        """Paint a keyframe; the same node gives the same picture again on the same device.

        Args:
            node: what to paint; ``node.model`` is this painter's identity.
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
        try:
            return self._attempt(node, on_step, cancelled)
        except DeviceMemoryError as error:
            log.warning("A picture does not fit.", exc_info=True)
            problem = error.problem
        # Outside the handler: its traceback holds what filled the memory.
        raise DeviceMemoryError(problem, remedy=self._smaller(node))

    def _attempt(
        self, node: KeyframeNode, on_step: OnStep, cancelled: Callable[[], bool]
    ) -> Picture:
        def work() -> Picture:
            doing = f"painting {node.width}x{node.height}"
            # Not inference_mode: weights that offloading moved inside could not be moved back.
            with memory_errors(self.device, doing), torch.no_grad():
                return self._paint(node, on_step, cancelled)

        return self.memory.attempt(work)

    def _smaller(self, node: KeyframeNode) -> str:
        """Return a remedy with the largest of some smaller sizes that fits when it is tried."""
        for share in SMALLER:
            width, height = (
                max(64, int(side * share) // 64 * 64) for side in (node.width, node.height)
            )
            trial = structs.replace(node, width=width, height=height, num_inference_steps=1)
            with contextlib.suppress(DeviceMemoryError):
                self._attempt(trial, lambda *_: None, lambda: False)
                return f"choose {width}x{height}, which fits, or free the device's memory"
        return ""

    def _paint(self, node: KeyframeNode, on_step: OnStep, cancelled: Callable[[], bool]) -> Picture:
        _stop_if(cancelled)
        scheduler = self._pipe.scheduler = make_scheduler(node.scheduler, self._config)
        watch = _Watch(scheduler, on_step, cancelled)
        guided = node.guidance_scale > 1
        result = self._pipe(
            prompt_embeds=self._embeddings(node.prompt),
            negative_prompt_embeds=self._encode(node.negative_prompt) if guided else None,
            latents=self._noise(node),
            width=node.width,
            height=node.height,
            num_inference_steps=node.num_inference_steps,
            guidance_scale=node.guidance_scale,
            callback_on_step_end=watch,
        )
        return np.array(result.images[0].convert("RGB"))  # a copy that may be written to

    def _noise(self, node: KeyframeNode) -> Tensor:
        """Return the initial latents ``(1, channels, height / 8, width / 8)``, unscaled."""
        factor = self._pipe.vae_scale_factor
        channels = self._pipe.unet.config.in_channels
        shape = (1, channels, node.height // factor, node.width // factor)
        first, second = int(node.noise.first), int(node.noise.second)
        noise = blended_noise(first, second, node.noise.position, shape, node.drift)
        return noise.to(self.device.name, self.device.torch_dtype)

    def _embeddings(self, prompt: Weighted) -> Tensor:
        """Return the embeddings ``(1, tokens, width)`` of a mix of two prompts."""
        first, second = self._encode(str(prompt.first)), self._encode(str(prompt.second))
        return blended_embeddings(first, second, prompt.position)

    def _encode(self, prompt: str) -> Tensor:
        """Return a prompt's embeddings ``(1, tokens, width)``, remembered."""
        if prompt not in self._prompts:
            encoded, _ = self._pipe.encode_prompt(prompt, self.device.name, 1, False)
            self._prompts[prompt] = encoded
        self._prompts.move_to_end(prompt)
        if len(self._prompts) > REMEMBERED_PROMPTS:
            self._prompts.popitem(last=False)
        return self._prompts[prompt]

    def _fit_projection(self) -> Projection:
        """Fit a projection to the model's own decoder."""
        vae = self._pipe.vae

        def decode(latents: Tensor) -> Tensor:
            latents = latents.to(self.device.name, self.device.torch_dtype)
            pictures: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
            return (pictures + 1) / 2

        with torch.no_grad():
            return fit_projection(decode, int(vae.config.latent_channels))


class _Watch:
    """Follows a pipeline's run: the predicted clean latents of each step, and cancelling.

    diffusers hands only the noisy latents to ``callback_on_step_end``. The clean ones are the
    second value that DDIM and Euler return from ``step``; DPM-Solver++ and UniPC keep them as
    their newest model output.
    """

    def __init__(self, scheduler: Any, on_step: OnStep, cancelled: Callable[[], bool]) -> None:
        self._on_step, self._cancelled = on_step, cancelled
        self._clean: Tensor | None = None
        step = scheduler.step

        @functools.wraps(step)  # diffusers reads the signature
        def watched_step(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            outputs = getattr(scheduler, "model_outputs", None)
            self._clean = outputs[-1] if outputs else result[1]
            return result

        scheduler.step = watched_step

    def __call__(self, pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> Any:
        _stop_if(self._cancelled)
        assert self._clean is not None
        self._on_step(index + 1, pipe.num_timesteps, self._clean.detach().clone())
        return tensors


def make_scheduler(name: str, config: dict[str, Any]) -> Any:
    """Return a fresh deterministic sampler.

    Args:
        name: a key of ``SCHEDULERS``.
        config: of the scheduler that the model came with; betas, kind of prediction and spacing
            of time steps are taken from it.
    """
    kind, settings = SCHEDULERS[name]
    return kind.from_config(config, **settings)


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled
