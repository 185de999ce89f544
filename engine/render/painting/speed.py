"""What makes painting on a GPU faster: how weights lie in memory, and compiling where it pays.

It knows how long keyframes took and how many are left; it does not know what is painted. Nothing
here was measured on a GPU: ``PAYS`` is an estimate, on the side of not compiling.
"""

import logging
from typing import Any

import torch
from torch.utils._triton import has_triton

from engine.render.device import Device

log = logging.getLogger(__name__)

PAYS = 600.0  # seconds of painting to come from which on a tenth saved outweighs compiling


class Quickener:
    """Lays a pipeline's weights out for its device, and compiles its UNet for long films.

    Compiled, a network rounds otherwise: pictures differ as those of two GPUs do.

    Args:
        pipe: a Stable Diffusion pipeline.
        device: where it paints.
    """

    def __init__(self, pipe: Any, device: Device) -> None:
        self._unet = pipe.unet
        self._may_compile = device.kind == "cuda" and has_triton()
        self._left = self._painted = 0
        if device.kind == "cuda":
            for network in (pipe.unet, pipe.vae):
                network.to(memory_format=torch.channels_last)

    def expect(self, keyframes: int) -> None:
        """Take note of how many keyframes a film has at most."""
        self._left, self._painted = keyframes, 0

    def painted(self, seconds: float, keyframes: int = 1, *, thriftily: bool) -> None:
        """Take note of keyframes; compile if those to come would take long enough.

        Args:
            seconds: that they took. A film's first are not judged by: they warm the device up.
            keyframes: that were painted at once.
            thriftily: whether memory is short; hooks and compiled networks do not go together.
        """
        self._left, self._painted = self._left - keyframes, self._painted + 1
        if self._painted > 1 and seconds / keyframes * self._left > PAYS and not thriftily:
            self._compile()

    def _compile(self) -> None:
        if not self._may_compile:
            return
        self._may_compile = False
        log.info("The rest of the film is long enough to compile the network.")
        import torch._dynamo  # seconds that most films need not wait

        torch._dynamo.config.suppress_errors = True  # what does not compile runs as before
        self._unet.compile_repeated_blocks()
