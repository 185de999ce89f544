"""Anchor attention with tiny random pipelines in the real ones' layouts."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import SlicedAttnProcessor
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from engine.film.graph import Blend, KeyframeNode
from engine.models import OFFLINE, catalogue
from engine.render import Cancelled
from engine.render.painting.anchor_attention import (
    FINE_CELLS,
    LAYOUT_NOISE_SHARE,
    AnchorAttnProcessor,
    fine_layers,
)
from engine.render.painting.optimizations import WAYS
from engine.render.painting.painter import Painter, noises_of
from engine.render.painting.schedulers import SCHEDULERS
from tests.engine.render.painting.test_families import CPU, ignore, load, node
from tests.stand_ins.pipelines import save_tiny_lora, save_tiny_pipeline, save_tiny_xl

LAYOUTS = ("base", "xl", "distilled", "lora")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return models as an operator names them."""
    root, fine = tmp_path_factory.mktemp("subjects"), {"sample_size": FINE_CELLS}
    base = save_tiny_pipeline(root / "base", **fine)
    lora = save_tiny_lora(root / "style.safetensors", base)
    return {
        "base": str(base),
        "xl": str(save_tiny_xl(root / "xl", **fine)),
        "distilled": str(save_tiny_pipeline(root / "lcm", **fine, time_cond_proj_dim=16)),
        "lora": f"{base}+{lora}:0.5",
    }


@pytest.fixture(scope="module")
def painters(sources: dict[str, str]) -> dict[str, Painter]:
    return {name: load(source) for name, source in sources.items()}


@pytest.fixture(params=LAYOUTS)
def painter(request: pytest.FixtureRequest, painters: dict[str, Painter]) -> Painter:
    return painters[request.param]


def paint(
    painter: Painter, wanted: KeyframeNode, on_step: Any = ignore, **pictures: np.ndarray
) -> np.ndarray:
    return painter.paint(wanted, on_step=on_step, cancelled=lambda: False, **pictures)


def other(painter: Painter) -> np.ndarray:
    """Return a picture to look at."""
    return paint(painter, node(prompt=Blend("a city", "a city", 0.0)))


# --- What attention makes of it ---


class Here:
    there = True


def test_a_subject_that_is_the_picture_itself_changes_nothing(painters: dict[str, Painter]) -> None:
    """Twice the same keys and values weigh what they weigh once."""
    for layer in fine_layers(painters["xl"]._pipe.unet):
        own, different = torch.randn(2, 3, 64, layer.query_dim).unbind()
        plain = layer.processor
        seen = AnchorAttnProcessor(plain, Here())(layer, torch.cat([own, own]))
        expected = plain(layer, torch.cat([own, own]))
        assert torch.allclose(seen, expected, atol=1e-6)
        seen = AnchorAttnProcessor(plain, Here())(layer, torch.cat([own, different]))
        assert not torch.allclose(seen[:3], expected[:3], atol=1e-3)
        alone = plain(layer, different)
        assert torch.equal(seen[3:], alone)  # the subject sees itself alone


def test_only_the_decoders_finer_layers_look(painters: dict[str, Painter]) -> None:
    for name in ("base", "xl"):
        unet = painters[name]._pipe.unet
        names = {module: name for name, module in unet.named_modules()}
        looking = [names[layer] for layer in fine_layers(unet)]
        assert looking
        assert all(name.startswith("up_blocks.1.") and ".attn1" in name for name in looking)


def test_no_layer_of_the_offline_model_is_fine_enough() -> None:
    assert not catalogue()[OFFLINE].card.anchor_attention


# --- Pictures ---


def test_a_subject_shows_and_shows_the_same_again(painter: Painter) -> None:
    subject, wanted = other(painter), node(scheduler="dpmsolver++")
    plain, looking = paint(painter, wanted), paint(painter, wanted, subject=subject)
    assert looking.std() > 1
    assert abs(looking.astype(int) - plain).mean() > 0.05
    assert np.array_equal(paint(painter, wanted, subject=subject), looking)
    another = paint(painter, wanted, subject=255 - subject)
    assert not np.array_equal(another, looking)  # as many rows, other pixels


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_subject_leaves_no_trace(
    painters: dict[str, Painter], sources: dict[str, str], layout: str
) -> None:
    painter, fresh, wanted = painters[layout], load(sources[layout]), node()
    subject = other(painter)
    paint(painter, wanted, subject=subject)
    with pytest.raises(Cancelled):
        painter.paint(wanted, subject=subject, on_step=ignore, cancelled=cancelling())
    assert np.array_equal(paint(painter, wanted), paint(fresh, wanted))
    unet = painter._pipe.unet
    assert not unet._forward_hooks
    assert not unet._forward_pre_hooks
    assert not any(isinstance(one, AnchorAttnProcessor) for one in unet.attn_processors.values())


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_sampler_runs_a_subject_beside(
    painters: dict[str, Painter], scheduler: str, guidance_scale: float
) -> None:
    painter = painters["base"]
    wanted = node(scheduler=scheduler, guidance_scale=guidance_scale)
    subject, shapes = other(painter), []
    plain = paint(painter, wanted)

    def on_step(_step: int, _steps: int, latents: torch.Tensor) -> None:
        shapes.append(tuple(latents.shape))

    assert not np.array_equal(paint(painter, wanted, on_step, subject=subject), plain)
    assert shapes == [(1, 4, 8, 8)] * wanted.num_inference_steps  # previews show the picture alone


@pytest.mark.parametrize("strength", [0.25, 0.75])
def test_pictures_that_are_painted_over_look_too(painter: Painter, strength: float) -> None:
    subject, source = other(painter), paint(painter, node(noise=Blend(9, 9, 0.0)))
    wanted = node(source="a" * 64, strength=strength, border=strength)
    plain = paint(painter, wanted, source=source)
    looking = paint(painter, wanted, source=source, subject=subject)
    assert not np.array_equal(looking, plain)
    assert np.array_equal(paint(painter, wanted, source=source, subject=subject), looking)
    assert np.array_equal(paint(painter, wanted, source=source), plain)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_subject_is_as_noisy_as_the_picture(
    painters: dict[str, Painter], monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    """A picture painted over a subject with its noise begins as the same twice."""
    painter, inputs = painters["base"], []
    unet, subject = painter._pipe.unet, other(painter)
    wanted = node(scheduler=scheduler, source="a" * 64, strength=0.75, border=0.75)
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, _: self.mode())
    monkeypatch.setattr(
        "engine.render.painting.anchor_attention.noise",
        lambda _seed, shape: noises_of([wanted], shape),
    )
    forward = unet.forward

    def heard(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        inputs.append(sample)
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(unet, "forward", heard)
    paint(painter, wanted, source=subject, subject=subject)
    own, beside = inputs[0].chunk(2)
    assert torch.allclose(own, beside, atol=1e-5)
    assert not torch.allclose(*inputs[-1].chunk(2), atol=1e-3)  # it became another picture


def test_the_first_steps_look_at_nothing(
    painters: dict[str, Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, rows = painters["xl"], []
    unet, subject = painter._pipe.unet, other(painter)
    forward = unet.forward

    def heard(sample: torch.Tensor, timestep: Any, **kwargs: Any) -> Any:
        rows.append((float(timestep) > 1000 * LAYOUT_NOISE_SHARE, len(sample)))
        return forward(sample, timestep, **kwargs)

    monkeypatch.setattr(unet, "forward", heard)
    paint(painter, node(scheduler="dpmsolver++", num_inference_steps=25), subject=subject)
    assert rows == sorted(rows, reverse=True)
    assert {(True, 2), (False, 4)} == set(rows)


def test_a_blank_subject_is_none(painters: dict[str, Painter]) -> None:
    painter = painters["base"]
    black = np.zeros((64, 64, 3), np.uint8)
    assert np.array_equal(paint(painter, node(), subject=black), paint(painter, node()))


@pytest.mark.parametrize("way", WAYS[:-1], ids=lambda way: way.name)
def test_thrift_and_subjects_go_together(painters: dict[str, Painter], way: Any) -> None:
    painter = painters["base"]
    subject = other(painter)
    plain, looking = paint(painter, node()), paint(painter, node(), subject=subject)
    way.begin(painter._pipe, CPU)
    painter.memory.ways.append(way)
    try:
        thrifty = paint(painter, node(), subject=subject)
        assert abs(thrifty.astype(int) - looking).max() <= 1
        if way.name == "slices":
            held = painter._pipe.unet.attn_processors.values()
            assert any(isinstance(one, SlicedAttnProcessor) for one in held)
    finally:
        painter.memory.relax()
    assert np.array_equal(paint(painter, node()), plain)


def cancelling() -> Any:
    """Return what asks to stop at the third question."""
    asked = iter([False, False])
    return lambda: next(asked, True)
