"""The small decoder, in TAESD's layout with random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from msgspec import structs

from engine.errors import ModelLoadError
from engine.models import WeightSource
from engine.render.device import choose_device
from engine.render.previews import tiny_decoder
from engine.render.previews.tiny_decoder import find_tiny, read_tiny
from tests.engine.render.previews.test_latent_rgb import vae
from tests.stand_ins.pipelines import save_tiny_decoder

CPU = choose_device("cpu")
GPU = structs.replace(CPU, name="cuda:0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_decoder(tmp_path_factory.mktemp("models") / "taesd")


def beside(latents: torch.Tensor) -> Callable[[Any], torch.Tensor]:
    return lambda work: work(latents)


def test_the_picture_is_that_of_plain_diffusers(folder: Path) -> None:
    latents = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    network = AutoencoderTiny.from_pretrained(folder)
    with torch.no_grad():
        plain = (network.decode(latents).sample[0] + 1) / 2
    expected = (plain.clamp(0, 1) * 255).round().movedim(0, -1).numpy()
    picture = read_tiny(folder, CPU).picture(beside(latents))
    assert (picture.shape, picture.dtype) == ((64, 96, 3), np.uint8)
    assert np.array_equal(picture, expected)
    assert picture.std() > 1


def test_numbers_that_are_not_finite_become_black(folder: Path) -> None:
    decoder = read_tiny(folder, CPU)
    assert decoder.picture(beside(torch.full((1, 4, 2, 2), torch.nan))).max() == 0


def test_cpus_and_unknown_families_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("a hub was asked")

    monkeypatch.setattr(tiny_decoder.hub, "fetch", refuse)
    assert find_tiny(vae(0.18215), CPU, lambda *_: None) is None
    assert find_tiny(vae(0.5), GPU, lambda *_: None) is None


def test_a_gpu_fetches_that_of_its_family(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def fetch(wanted: Any, on_bytes: Any) -> list[Path]:
        names = ["config.json", "diffusion_pytorch_model.safetensors", "taesd_encoder.safetensors"]
        asked.extend((one.repo, one.choose(names, lambda name: b"")) for one in wanted)
        return [folder]

    monkeypatch.setattr(tiny_decoder.hub, "fetch", fetch)
    monkeypatch.setattr(tiny_decoder, "read_tiny", lambda found, device: found)
    assert find_tiny(vae(0.13025), GPU, lambda *_: None) == folder
    assert asked == [
        ("madebyollin/taesdxl", ["config.json", "diffusion_pytorch_model.safetensors"])
    ]


def test_without_it_films_are_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise ModelLoadError("madebyollin/taesd", "the hub cannot be reached")

    monkeypatch.setattr(tiny_decoder.hub, "fetch", refuse)
    assert find_tiny(vae(0.18215), GPU, lambda *_: None) is None


def test_both_families_are_pinned() -> None:
    assert all(len(part.revision) == 40 for part in tiny_decoder.TINY_DECODERS.values())
    assert all(isinstance(part, WeightSource) for part in tiny_decoder.TINY_DECODERS.values())
