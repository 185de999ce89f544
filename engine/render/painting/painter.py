"""Paints keyframes with Stable Diffusion, exactly as their nodes describe.

It knows diffusers; it knows nothing of films, jobs or previews beyond one callback.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from msgspec import structs
from torch import Tensor

from engine.errors import DeviceMemoryError
from engine.film.graph import KeyframeNode
from engine.models import Model
from engine.render import Cancelled
from engine.render.device import Device, memory_errors
from engine.render.image import Picture
from engine.render.painting.anchor_attention import anchored_to
from engine.render.painting.blank import is_blank
from engine.render.painting.image_to_image import (
    InitImage,
    RegionStrength,
    begin_with,
    canvas_of,
    image_to_image,
    in_colours,
    restored,
)
from engine.render.painting.noise import blended_noise, step_noises, turned_noise
from engine.render.painting.optimizations import Compiler, MemorySaver, Way
from engine.render.painting.prompts import Prompts
from engine.render.painting.schedulers import make_scheduler
from engine.render.painting.vae import in_range, let_recover
from engine.render.previews.latent_rgb import (
    PUBLISHED_PROJECTIONS,
    Projection,
    family_of,
    fit_projection,
    read_projection,
)
from engine.render.previews.tiny_decoder import TinyDecoder, find_tiny
from engine.render.weights.pipeline import OnBytes, load_pipeline

Shape = tuple[int, int, int, int]  # of one row: (1, channels, height / 8, width / 8)


def padded(nodes: Sequence[KeyframeNode]) -> list[KeyframeNode]:
    """Return as many rows as the nodes require: the nodes, and repeats of the first."""
    return [*nodes, *[nodes[0]] * (nodes[0].rows - len(nodes))]


def noises_of(rows: Sequence[KeyframeNode], shape: Shape) -> Tensor:
    """Return the initial latents ``(rows, channels, height / 8, width / 8)``, unscaled."""
    return torch.cat([_noise(node, shape) for node in rows])


def step_noises_of(rows: Sequence[KeyframeNode], shape: Shape) -> Callable[[], Tensor]:
    """Return a function that draws the noise of the next step, for samplers that inject some."""
    noises = [_step_noises(node, shape) for node in rows]
    return lambda: torch.cat([next(each) for each in noises])


def arguments_of(rows: Sequence[KeyframeNode], prompts: Prompts) -> dict[str, Tensor]:
    """Return the arguments of a pipeline's call that replace texts."""
    guided = rows[0].guidance_scale > 1
    return prompts.arguments(
        [node.prompt for node in rows],
        rows[0].negative_prompt if guided else None,
        weighted=any(node.prompt_syntax for node in rows),
    )


def _noise(node: KeyframeNode, shape: Shape) -> Tensor:
    first, second = int(node.noise.first), int(node.noise.second)
    if node.turn:
        return turned_noise(first, node.turn, shape, node.drift)
    return blended_noise(first, second, node.noise.position, shape, node.drift)


def _step_noises(node: KeyframeNode, shape: Shape) -> Iterator[Tensor]:
    first, second = int(node.noise.first), int(node.noise.second)
    drift = 0.0 if node.turn else node.drift  # one that is the same all the way round
    return step_noises(first, second, node.noise.position, shape, drift)


OnStep = Callable[[int, int, Tensor], None]


class StepCallback:
    """Follows a pipeline's run: the predicted clean latents of each step, and cancelling.

    diffusers hands only the noisy latents to ``callback_on_step_end``. The clean ones are the
    second value that DDIM and Euler return from ``step``; DPM-Solver++ and UniPC keep them as
    their newest model output.
    """

    def __init__(
        self, scheduler: Any, on_step: OnStep, cancelled: Callable[[], bool], rows: int = 1
    ) -> None:
        """Watch a scheduler; the first ``rows`` of its latents are reported, others are repeats."""
        self._on_step, self._cancelled, self._rows = on_step, cancelled, rows
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
        """Report step ``index`` (from 0), unless the job was cancelled."""
        stop_if(self._cancelled)
        assert self._clean is not None
        self._on_step(index + 1, pipe.num_timesteps, self._clean[: self._rows].detach().clone())
        return tensors


def stop_if(cancelled: Callable[[], bool]) -> None:
    """Raise ``Cancelled`` if the job was cancelled."""
    if cancelled():
        raise Cancelled


log = logging.getLogger(__name__)

Nodes = Mapping[int, KeyframeNode]  # by index
OnSteps = Callable[[tuple[int, ...], int, int, Tensor], None]
# Shares of a side that are tried where a picture does not fit.
SMALLER_SIDE_SHARES = (0.75, 0.5, 0.375, 0.25)


class Conditioning(NamedTuple):
    """The picture that a single keyframe is painted over, and the one that it attends to."""

    canvas: InitImage | None
    subject: Picture | None


class Painter:
    """A loaded model that paints keyframes; one thread uses it at a time.

    Attributes:
        identity: name and hash of the weights, as ``KeyframeNode.model`` wants it.
        projection: from this model's latents to colours, for previews.
        tiny: a small decoder of this model's family, for better ones; None without.
        memory: saves memory where it is short.
        speed: compiles the network for long films.
    """

    def __init__(
        self,
        pipe: Any,
        device: Device,
        identity: str,
        on_way: Callable[[Way], None],
        ways: int = 0,
        batch: int = 1,
    ) -> None:
        """Take a pipeline in main memory; ``load`` is the usual constructor."""
        self.identity = identity
        self.memory = MemorySaver(pipe, device, on_way, ways, batch)
        self.device = device
        self._pipe = pipe
        self._config = pipe.scheduler.config
        self._prompts = Prompts(pipe, device.name)
        self.speed = Compiler(pipe, device)
        self.projection: Projection | None = None
        self.tiny: TinyDecoder | None = None
        pipe.set_progress_bar_config(disable=True)
        let_recover(pipe.vae)
        pipe.vae.enable_slicing()  # pictures of a batch are decoded one by one, which saves memory

    @classmethod
    def load(
        cls,
        model: Model,
        device: Device,
        on_bytes: OnBytes,
        on_way: Callable[[Way], None] = lambda _: None,
        ways: int = 0,
        batch: int = 1,
    ) -> "Painter":
        """Load a model.

        Args and errors are those of ``load_pipeline``; ``on_way`` is called with each way
        to save memory that is enabled, now or while painting; the first ``ways`` are enabled at
        once. ``batch``: the most keyframes painted at once.
        """
        pipe, folder, identity = load_pipeline(model, device, on_bytes)
        painter = cls(pipe, device, identity, on_way, ways, batch)
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
        """Paint one keyframe, as ``paint_at_once`` does; steps are reported without an index."""
        pictures = self.paint_at_once(
            {0: node},
            source=source,
            anchor=anchor,
            subject=subject,
            on_step=lambda _, *step: on_step(*step),
            cancelled=cancelled,
        )
        return pictures[0]

    def paint_at_once(
        self,
        nodes: Nodes,
        *,
        source: Picture | None = None,
        anchor: Picture | None = None,
        subject: Picture | None = None,
        on_step: OnSteps,
        cancelled: Callable[[], bool],
    ) -> dict[int, Picture]:
        """Paint keyframes; the same node gives the same picture again on the same device.

        That holds whatever is painted beside it, for there are always as many rows as its node
        says, some of them repeats if need be. Where a GPU's network was compiled for a long film,
        it holds but for rounding.

        Args:
            nodes: what to paint, by index: one, or up to ``node.rows`` that differ in prompts and
                noise alone; ``node.model`` is this painter's identity.
            source: what ``node.source`` of a lone one stands for; of any size. One that is blank
                counts as none.
            anchor: likewise, ``node.anchor``.
            subject: likewise, ``node.subject``.
            on_step: called after each step with the indexes of those that have done it, its number
                (from 1), the number of steps and the clean latents ``(indexes, channels,
                height / 8, width / 8)`` that the model predicts from there, scaled; a tensor of
                its own.
            cancelled: asked once a step.

        Returns:
            uint8 RGB ``(height, width, 3)``, by index.

        Raises:
            Cancelled: within one step of ``cancelled()`` turning true.
            DeviceMemoryError: a picture is too large for the device, all ways to save
                memory included.
        """
        begun, (first, *_) = time.monotonic(), nodes.values()
        subject = None if subject is None or is_blank(subject) else subject
        ground = Conditioning(canvas_of(first, source), subject)
        try:
            pictures = self._attempt(nodes, ground, on_step, cancelled)
            took, thriftily = time.monotonic() - begun, bool(self.memory.ways)
            self.speed.painted(took, len(nodes), thriftily=thriftily)
            return {index: in_colours(nodes[index], pictures[index], anchor) for index in nodes}
        except DeviceMemoryError as error:
            log.warning("A picture does not fit.", exc_info=True)
            problem = error.problem
        # Outside the handler: its traceback holds what filled the memory.
        raise DeviceMemoryError(problem, remedy=self._smaller(first, subject))

    def _attempt(
        self, nodes: Nodes, ground: Conditioning, on_step: OnSteps, cancelled: Callable[[], bool]
    ) -> dict[int, Picture]:
        def work() -> dict[int, Picture]:
            first = next(iter(nodes.values()))
            doing = f"painting {first.width}x{first.height}"
            # Not inference_mode: weights that offloading moved inside could not be moved back.
            with memory_errors(self.device, doing), torch.no_grad():
                stop_if(cancelled)
                return self._paint_all(nodes, ground, on_step, cancelled)

        return self.memory.attempt(work)

    def _paint_all(
        self, nodes: Nodes, ground: Conditioning, on_step: OnSteps, cancelled: Callable[[], bool]
    ) -> dict[int, Picture]:
        """Paint keyframes at once or, if memory is short, one by one."""
        pictures: dict[int, Picture] = {}
        singly = self.memory.singly
        for part in [(index,) for index in nodes] if singly else [tuple(nodes)]:
            wanted = [nodes[index] for index in part]
            painted = self._paint(wanted, ground, partial(on_step, part), cancelled)
            pictures |= zip(part, painted, strict=False)
        return pictures

    def _smaller(self, node: KeyframeNode, subject: Picture | None) -> str:
        """Return a remedy with the largest of some smaller sizes that turns out to fit."""
        for share in SMALLER_SIDE_SHARES:
            width, height = (
                max(64, int(side * share) // 64 * 64) for side in (node.width, node.height)
            )
            trial = structs.replace(node, width=width, height=height, num_inference_steps=2)
            with contextlib.suppress(DeviceMemoryError):
                self._attempt(
                    {0: trial}, Conditioning(None, subject), lambda *_: None, lambda: False
                )
                return f"choose {width}x{height}, which fits, or free the device's memory"
        return ""

    def _paint(
        self,
        nodes: Sequence[KeyframeNode],
        ground: Conditioning,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> list[Picture]:
        node, shape = nodes[0], self._shape(nodes[0])
        rows = nodes if self.memory.singly else padded(nodes)
        scheduler = make_scheduler(
            node.scheduler, self._config, step_noises_of(rows, shape), node.num_inference_steps
        )
        watch = StepCallback(scheduler, on_step, cancelled, len(nodes))
        noise = noises_of(rows, shape).to(self.device.name, self.device.torch_dtype)
        asked = {
            **arguments_of(rows, self._prompts),
            "num_inference_steps": node.num_inference_steps,
            "guidance_scale": node.guidance_scale,
        }
        size = node.height, node.width
        with anchored_to(ground.subject, self._pipe, scheduler, self.device, size):
            if ground.canvas:
                return [self._paint_over(ground.canvas, scheduler, watch, noise, asked)]
            self._pipe.scheduler = scheduler
            result = self._pipe(
                **asked,
                latents=noise,
                width=node.width,
                height=node.height,
                callback_on_step_end=watch,
            )
        return [np.array(image.convert("RGB")) for image in result.images]  # to be written to

    def _paint_over(
        self,
        canvas: InitImage,
        scheduler: Any,
        watch: StepCallback,
        noise: Tensor,
        asked: dict[str, Any],
    ) -> Picture:
        pipe = image_to_image(self._pipe)
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
                callback_on_step_end=RegionStrength(canvas, self._pipe.vae_scale_factor, watch),
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
        with in_range(pipe) as dtype:
            unscaled = latents.to(dtype) / pipe.vae.config.scaling_factor
            decoded = pipe.vae.decode(unscaled).sample
        return np.array(pipe.image_processor.postprocess(decoded)[0].convert("RGB"))

    def _shape(self, node: KeyframeNode) -> tuple[int, int, int, int]:
        factor = self._pipe.vae_scale_factor
        channels = int(self._pipe.unet.config.in_channels)
        return 1, channels, node.height // factor, node.width // factor

    def _find_projection(self) -> Projection:
        """Return the projection of the model's family, or one fitted to its own decoder."""
        vae = self._pipe.vae
        if (family := family_of(vae)) is not None:
            return PUBLISHED_PROJECTIONS[family]

        def decode(latents: Tensor) -> Tensor:
            latents = latents.to(self.device.name, dtype)
            pictures: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
            return (pictures + 1) / 2

        with torch.no_grad(), in_range(self._pipe) as dtype:
            return fit_projection(decode, int(vae.config.latent_channels))
