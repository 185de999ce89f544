"""Follows a pipeline while it paints: the clean latents of each step, and cancelling.

It knows what diffusers' samplers leave behind; it does not know who is told.
"""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from engine.render import Cancelled

OnStep = Callable[[int, int, Tensor], None]


class Watch:
    """Follows a pipeline's run: the predicted clean latents of each step, and cancelling.

    diffusers hands only the noisy latents to ``callback_on_step_end``. The clean ones are the
    second value that DDIM and Euler return from ``step``; DPM-Solver++ and UniPC keep them as
    their newest model output.
    """

    def __init__(
        self, scheduler: Any, on_step: OnStep, cancelled: Callable[[], bool], rows: int = 1
    ) -> None:
        """Watch a scheduler; of its latents the first ``rows`` are told, others are repeats."""
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
        """Tell of step ``index`` (from 0), unless somebody asked to stop."""
        stop_if(self._cancelled)
        assert self._clean is not None
        self._on_step(index + 1, pipe.num_timesteps, self._clean[: self._rows].detach().clone())
        return tensors


def stop_if(cancelled: Callable[[], bool]) -> None:
    """Raise ``Cancelled`` if somebody asked to stop."""
    if cancelled():
        raise Cancelled
