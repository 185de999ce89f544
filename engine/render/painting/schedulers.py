"""Samplers: diffusers' schedulers, such that the same node gives the same picture.

Some draw fresh noise at every step. Along a film that flickers whatever else is done, so theirs is
given to them: it walks from seed to seed like the noise that a picture begins with. It knows no
model and no film.
"""

from collections.abc import Callable
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from torch import Tensor

from engine.errors import InvalidParameterError

MULTISTEP_CONFIG = {"algorithm_type": "dpmsolver++", "solver_order": 2}
# TCD is missing on purpose: at eta 0, without its noise, it is DDIM with trailing spacing.
SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dpmsolver++": (DPMSolverMultistepScheduler, MULTISTEP_CONFIG),
    "dpmsolver++karras": (
        DPMSolverMultistepScheduler,
        {**MULTISTEP_CONFIG, "use_karras_sigmas": True},
    ),
    "ddim": (DDIMScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "unipc": (UniPCMultistepScheduler, {}),
}


class SteadyLCMScheduler(LCMScheduler):
    """LCM's sampler with noise that is given, in place of noise that it draws.

    Attributes:
        draw: returns the noise of the next step, float32, of the latents' shape.
    """

    draw: Callable[[], Tensor]

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: Any = None,
        return_dict: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return the next latents and the clean ones; ``generator`` and the rest are ignored."""
        _, clean = super().step(model_output, timestep, sample, return_dict=False)
        if self.step_index == self.num_inference_steps:
            return clean, clean
        kept = self.alphas_cumprod[self.timesteps[self.step_index]]
        noise = self.draw().to(clean.device, clean.dtype)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise, clean


SCHEDULERS["lcm"] = SteadyLCMScheduler, {}


def make_scheduler(
    name: str, config: dict[str, Any], draw: Callable[[], Tensor], num_inference_steps: int = 1
) -> Any:
    """Return a fresh deterministic sampler.

    Args:
        name: a key of ``SCHEDULERS``.
        config: of the scheduler that the model came with; betas, kind of prediction and spacing
            of time steps are taken from it.
        draw: returns the noise of the next step, for samplers that inject some.
        num_inference_steps: how many it will be asked for.

    Raises:
        InvalidParameterError: the sampler cannot take so many steps.
    """
    kind, settings = SCHEDULERS[name]
    scheduler = kind.from_config(config, **settings)
    if isinstance(scheduler, SteadyLCMScheduler):
        most = scheduler.config.original_inference_steps
        if num_inference_steps > most:
            problem = f"LCM takes at most {most} steps, not {num_inference_steps}"
            raise InvalidParameterError("num_inference_steps", problem, "4 to 8 suffice for it")
        scheduler.draw = draw
    return scheduler
