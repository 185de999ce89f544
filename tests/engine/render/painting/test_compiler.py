"""When compiling pays; that it does was measured nowhere, as there was no GPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from msgspec import structs

from engine.render import _compat
from engine.render.device import choose_device
from engine.render.painting.optimizations import MIN_SECONDS_TO_COMPILE, Compiler
from tests.stand_ins.pipelines import save_tiny_pipeline

CPU = choose_device("cpu")
GPU = structs.replace(CPU, name="cuda:0")


class Network(torch.nn.Conv2d):
    """Stands in for a UNet and counts how often it was compiled."""

    compiled = 0

    def __init__(self) -> None:
        super().__init__(4, 4, 3)

    def compile_repeated_blocks(self) -> None:
        self.compiled += 1


class Pipe:
    def __init__(self) -> None:
        self.unet, self.vae = Network(), Network()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    monkeypatch.setattr(_compat, "has_triton", lambda: True)
    return Pipe()


def test_a_long_film_is_worth_compiling_once(pipe: Pipe) -> None:
    quickener = Compiler(pipe, GPU)
    quickener.expect(1000)
    for _ in range(10):
        quickener.painted(MIN_SECONDS_TO_COMPILE / 500, thriftily=False)
    assert pipe.unet.compiled == 1


@pytest.mark.parametrize(
    ("device", "keyframes", "seconds", "thriftily"),
    [
        (GPU, 10, MIN_SECONDS_TO_COMPILE / 20, False),  # too short a film
        (CPU, 1000, MIN_SECONDS_TO_COMPILE, False),
        (GPU, 1000, MIN_SECONDS_TO_COMPILE, True),
        (GPU, 0, MIN_SECONDS_TO_COMPILE, False),  # nobody said how long it is
    ],
)
def test_other_films_are_not(
    pipe: Pipe, device: Any, keyframes: int, seconds: float, thriftily: bool
) -> None:
    quickener = Compiler(pipe, device)
    quickener.expect(keyframes)
    for _ in range(10):
        quickener.painted(seconds, thriftily=thriftily)
    assert pipe.unet.compiled == 0


def test_the_first_keyframe_is_not_judged_by(pipe: Pipe) -> None:
    quickener = Compiler(pipe, GPU)
    quickener.expect(20)
    quickener.painted(MIN_SECONDS_TO_COMPILE, thriftily=False)
    assert pipe.unet.compiled == 0


def test_weights_lie_channels_last_on_a_gpu_only(pipe: Pipe) -> None:
    Compiler(pipe, CPU)
    assert not pipe.unet.weight.is_contiguous(memory_format=torch.channels_last)
    Compiler(pipe, GPU)
    for network in (pipe.unet, pipe.vae):
        assert network.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_compiled_network_paints_the_same_picture(tmp_path: Path) -> None:
    """By a backend that only traces; the real one takes a minute, and rounds otherwise."""
    pipe = StableDiffusionPipeline.from_pretrained(save_tiny_pipeline(tmp_path / "tiny"))
    pipe.set_progress_bar_config(disable=True)

    def paint() -> np.ndarray:
        generator = torch.Generator("cpu").manual_seed(3)
        side = {"width": 64, "height": 64}
        return np.asarray(
            pipe("a sea", num_inference_steps=2, generator=generator, **side).images[0]
        )

    plain = paint()
    pipe.unet.compile_repeated_blocks(backend="eager")
    assert np.array_equal(paint(), plain)
