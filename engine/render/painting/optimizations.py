"""Saves memory where it is short, and compiles networks for long films.

The ways to save memory are added one after the other, exact ones first, and stay until the film is
done. It knows diffusers' switches; it does not know what is painted, nor who is informed.

VAE slicing is not among them: pictures are always decoded one by one. Attention slicing is used
only where torch has no memory-efficient attention of its own; elsewhere it would take more.
"""

import gc
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch

from engine.errors import DeviceMemoryError
from engine.render import _compat
from engine.render.device import Device, memory_errors

T = TypeVar("T")


class Way(NamedTuple):
    """One way to save memory.

    Attributes:
        name: as in events.
        word: the note on keyframes that are painted so; "" if they stay the same but for
            rounding.
        kinds: the kinds of devices on which it helps.
        begin: enables it for a pipeline on a device.
        rows: the least number of keyframes painted at once with which it helps.
    """

    name: str
    word: str
    kinds: tuple[str, ...]
    begin: Callable[[Any, Device], None]
    rows: int = 1

    @property
    def exact(self) -> bool:
        """Whether pictures stay the same but for rounding."""
        return not self.word


def _slice_attention(pipe: Any, _device: Device) -> None:
    pipe.enable_attention_slicing()


def _offload_models(pipe: Any, device: Device) -> None:
    pipe.enable_model_cpu_offload(device=device.name)


def _offload_layers(pipe: Any, device: Device) -> None:
    pipe.enable_sequential_cpu_offload(device=device.name)


def _decode_tiles(side: int) -> Callable[[Any, Device], None]:
    def begin(pipe: Any, _device: Device) -> None:
        pipe.vae.enable_tiling()
        pipe.vae.tile_sample_min_size = side  # pixels
        pipe.vae.tile_latent_min_size = side // pipe.vae_scale_factor

    return begin


ALL_DEVICE_KINDS = ("cuda", "mps", "cpu")
WAYS = (
    Way("slices", "", ("mps",), _slice_attention),
    Way("offload", "", ("cuda",), _offload_models),  # a Mac's memory is one
    Way("singly", "singly", ALL_DEVICE_KINDS, lambda *_: None, rows=2),  # the painter asks for it
    Way("tiles", "tiled", ALL_DEVICE_KINDS, _decode_tiles(512)),
    Way("small_tiles", "tiled", ALL_DEVICE_KINDS, _decode_tiles(256)),
    Way("layers", "", ("cuda",), _offload_layers),  # many times slower, so it comes last
)


class MemorySaver:
    """Places a pipeline on a device, and saves memory there where it is short.

    Args:
        pipe: a Stable Diffusion pipeline, in main memory.
        device: where it is to paint.
        told: called with each way that is enabled.
        ways: how many to enable at the start, at most.
        batch: the most keyframes painted at once.
    """

    def __init__(
        self,
        pipe: Any,
        device: Device,
        told: Callable[[Way], None],
        ways: int = 0,
        batch: int = 1,
    ) -> None:
        self._pipe, self._device, self._told, self._batch = pipe, device, told, batch
        self.ways: list[Way] = []
        for _ in self._left()[:ways]:
            self._climb()
        self.attempt(self._place)

    @property
    def singly(self) -> bool:
        """Whether keyframes must be painted one by one instead of in batches."""
        return any(way.name == "singly" for way in self.ways)

    def words(self, rows: int) -> list[str]:
        """Return the notes on a keyframe of so many rows: how saving memory changes it."""
        return [*dict.fromkeys(way.word for way in self.ways if way.word and way.rows <= rows)]

    def attempt(self, work: Callable[[], T]) -> T:
        """Do some work; if memory runs out, enable the next way and try again.

        Raises:
            DeviceMemoryError: it runs out with all ways enabled, too.
        """
        while True:
            try:
                return work()
            except DeviceMemoryError:
                if not self._left():
                    raise
            self._climb()  # outside the handler: its traceback holds what filled the memory

    def relax(self) -> None:
        """Disable all ways again; another film may fit."""
        if self.ways:
            self._pipe.remove_all_hooks()
            self._pipe.disable_attention_slicing()
            self._pipe.vae.disable_tiling()
            self.ways = []
            self.attempt(self._place)

    def _left(self) -> list[Way]:
        kind, batch = self._device.kind, self._batch
        mine = [way for way in WAYS if kind in way.kinds and way.rows <= batch]
        return mine[len(self.ways) :]

    def _climb(self) -> None:
        way = self._left()[0]
        gc.collect()
        if self._device.kind == "cuda":
            torch.cuda.empty_cache()
        way.begin(self._pipe, self._device)
        self.ways.append(way)
        self._told(way)

    def _place(self) -> None:
        if not {way.name for way in self.ways} & {"offload", "layers"}:
            with memory_errors(self._device, "loading the model's weights"):
                self._pipe.to(self._device.name)


log = logging.getLogger(__name__)

# Seconds of painting to come from which on a tenth saved outweighs compiling.
MIN_SECONDS_TO_COMPILE = 600.0


class Compiler:
    """Lays out a pipeline's weights for its device, and compiles its UNet for long films.

    A compiled network rounds differently: pictures differ as those of two GPUs do.

    Args:
        pipe: a Stable Diffusion pipeline.
        device: where it paints.
    """

    def __init__(self, pipe: Any, device: Device) -> None:
        self._unet = pipe.unet
        self._may_compile = device.kind == "cuda" and _compat.has_triton()
        self._left = self._painted = 0
        if device.kind == "cuda":
            for network in (pipe.unet, pipe.vae):
                network.to(memory_format=torch.channels_last)

    def expect(self, keyframes: int) -> None:
        """Set the number of keyframes that a film has at most."""
        self._left, self._painted = keyframes, 0

    def painted(self, seconds: float, keyframes: int = 1, *, thriftily: bool) -> None:
        """Record painted keyframes; compile if the remaining ones would take long enough.

        Args:
            seconds: that they took. A film's first do not count: they warm the device up.
            keyframes: that were painted at once.
            thriftily: whether memory is short; hooks and compiled networks do not go together.
        """
        self._left, self._painted = self._left - keyframes, self._painted + 1
        if (
            self._painted > 1
            and seconds / keyframes * self._left > MIN_SECONDS_TO_COMPILE
            and not thriftily
        ):
            self._compile()

    def _compile(self) -> None:
        if not self._may_compile:
            return
        self._may_compile = False
        log.info("The rest of the film is long enough to compile the network.")
        _compat.run_uncompiled_on_failure()
        self._unet.compile_repeated_blocks()
