"""The real path with a tiny random pipeline; slow tests use the model that is shipped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline
from msgspec import structs
from torch import Tensor

from engine import models
from engine.errors import DeviceMemoryError
from engine.film.graph import Blend, KeyframeNode
from engine.models import Model
from engine.render import Cancelled
from engine.render.device import choose_device
from engine.render.painting.noise import noise
from engine.render.painting.optimizations import WAYS, Way
from engine.render.painting.painter import Painter
from engine.render.painting.schedulers import SCHEDULERS, SteadyLCMScheduler
from engine.render.weights import pipeline
from tests.stand_ins.pipelines import save_tiny_pipeline

CPU = choose_device("cpu")
SIZE, STEPS = 64, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def painter(folder: Path) -> Painter:
    return Painter.load(model(folder), CPU, ignore)


def model(folder: Path) -> Model:
    return Model(name=folder.name, source=str(folder), card=models.Card(title="Tiny"))


def ignore(*anything: Any) -> None:
    pass


def node(**changes: Any) -> KeyframeNode:
    values: dict[str, Any] = {
        "model": "tiny@0",
        "prompt": Blend("a sea", "a sea", 0.0),
        "negative_prompt": "fog",
        "noise": Blend(3, 3, 0.0),
        "width": SIZE,
        "height": SIZE,
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
        "scheduler": "dpmsolver++",
    }
    return KeyframeNode(**{**values, **changes})


def paint(
    painter: Painter, wanted: KeyframeNode, on_step: Callable[..., None] = ignore
) -> np.ndarray:
    return painter.paint(wanted, on_step=on_step, cancelled=lambda: False)


# The last way, layer by layer, wants a GPU: accelerate's hooks for single layers do.
IN_EVERY_WAY = pytest.mark.parametrize("way", WAYS[:-1], ids=lambda way: way.name)


def assert_thrift_leaves_the_picture(
    painter: Painter, way: Way, painted: Callable[[], np.ndarray]
) -> None:
    """Check that a way to save memory changes next to nothing, and nothing once it is left."""
    painter.memory.relax()
    plain = painted().astype(int)
    way.begin(painter._pipe, CPU)
    painter.memory.ways.append(way)
    try:
        assert abs(painted() - plain).max() <= 1  # one tile holds the whole picture
        assert painter.memory.words(way.rows) == list(filter(None, [way.word]))
    finally:
        painter.memory.relax()
    assert not painter.memory.ways
    assert np.array_equal(painted(), plain)


# --- The picture is the one that plain diffusers paints ---


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_picture_is_that_of_plain_diffusers(
    painter: Painter, folder: Path, scheduler: str, guidance_scale: float
) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    kind, settings = SCHEDULERS[scheduler]
    kind = LCMScheduler if kind is SteadyLCMScheduler else kind
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **settings)
    plain = pipe(
        "a sea",
        negative_prompt="fog",
        generator=torch.Generator("cpu").manual_seed(3),
        num_inference_steps=STEPS,
        guidance_scale=guidance_scale,
        width=SIZE,
        height=SIZE,
    ).images[0]
    ours = paint(painter, node(scheduler=scheduler, guidance_scale=guidance_scale))
    assert np.array_equal(ours, np.asarray(plain))
    assert ours.std() > 1  # a picture, so that equality says something


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_same_node_gives_the_same_picture_in_any_order(
    painter: Painter, scheduler: str
) -> None:
    mixed = node(
        scheduler=scheduler,
        prompt=Blend("a sea", "a city", 0.4),
        noise=Blend(3, 4, 0.4),
    )
    first = paint(painter, mixed)
    paint(painter, node(prompt=Blend("a lake", "a lake", 0.0), num_inference_steps=2))
    assert np.array_equal(paint(painter, mixed), first)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": Blend("a sea", "a city", 0.5)},
        {"prompt": Blend("a city", "a city", 0.0)},
        {"noise": Blend(3, 4, 0.5)},
        {"noise": Blend(4, 4, 0.0)},
        {"negative_prompt": "rain"},
        {"guidance_scale": 9.0},
        {"num_inference_steps": STEPS + 1},
        {"scheduler": "ddim"},
    ],
    ids=lambda change: "-".join(change),
)
def test_every_ingredient_changes_the_picture(painter: Painter, change: dict[str, Any]) -> None:
    assert not np.array_equal(paint(painter, node(**change)), paint(painter, node()))


def test_at_position_zero_only_the_first_counts(painter: Painter) -> None:
    wanted = node(prompt=Blend("a sea", "a city", 0.0), noise=Blend(3, 9, 0.0))
    assert np.array_equal(paint(painter, wanted), paint(painter, node()))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (72, 64), (64, 136)])
def test_the_picture_has_the_size_asked_for(painter: Painter, width: int, height: int) -> None:
    picture = paint(painter, node(width=width, height=height, num_inference_steps=1))
    assert (picture.shape, picture.dtype) == ((height, width, 3), np.uint8)


def test_a_prompt_longer_than_the_model_reads_is_cut(painter: Painter) -> None:
    long = "sea " * 400
    assert paint(painter, node(prompt=Blend(long, long, 0.0))).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_one_step_is_enough_for_a_picture(painter: Painter, scheduler: str) -> None:
    picture = paint(painter, node(scheduler=scheduler, num_inference_steps=1))
    assert picture.shape == (SIZE, SIZE, 3)


# --- Steps and cancelling ---


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_steps_are_counted_and_come_with_clean_latents(painter: Painter, scheduler: str) -> None:
    seen: list[tuple[int, int, torch.Tensor]] = []
    paint(painter, node(scheduler=scheduler), lambda *step: seen.append(step))
    assert [(step, steps) for step, steps, _ in seen] == [(i, STEPS) for i in range(1, STEPS + 1)]
    assert all(latents.shape == (1, 4, SIZE // 8, SIZE // 8) for _, _, latents in seen)
    assert len({latents.data_ptr() for _, _, latents in seen}) == STEPS


@pytest.mark.parametrize("scheduler", ["dpmsolver++", "euler", "unipc"])
def test_the_last_clean_latents_decode_to_the_picture(painter: Painter, scheduler: str) -> None:
    """These three end without noise; DDIM keeps a trace of it with this model's settings."""
    seen: list[torch.Tensor] = []
    picture = paint(painter, node(scheduler=scheduler), lambda i, n, clean: seen.append(clean))
    pipe = painter._pipe
    with torch.inference_mode():
        decoded = pipe.vae.decode(seen[-1] / pipe.vae.config.scaling_factor).sample
    decoded_picture = np.asarray(pipe.image_processor.postprocess(decoded)[0])
    assert np.abs(decoded_picture.astype(int) - picture).max() <= 1


def test_changing_a_returned_value_changes_nothing(painter: Painter) -> None:
    spoiled = paint(painter, node(), lambda i, n, latents: latents.fill_(99))
    assert np.array_equal(spoiled, paint(painter, node()))


@pytest.mark.parametrize("when", [0, 1, 3])
def test_cancelling_takes_effect_within_one_step(painter: Painter, when: int) -> None:
    steps: list[int] = []
    with pytest.raises(Cancelled):
        painter.paint(
            node(num_inference_steps=8),
            on_step=lambda step, *rest: steps.append(step),
            cancelled=lambda: len(steps) >= when,
        )
    assert len(steps) == when


def test_after_cancelling_the_next_picture_is_complete(painter: Painter) -> None:
    expected = paint(painter, node())
    with pytest.raises(Cancelled):
        painter.paint(node(), on_step=ignore, cancelled=iter([False, False, True]).__next__)
    assert np.array_equal(paint(painter, node()), expected)


# --- Memory ---


def test_running_out_of_memory_names_the_numbers(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(painter._pipe.unet, "forward", exhausted)
    with pytest.raises(DeviceMemoryError, match=r"painting 64x64: at least 2\.1 GB"):
        paint(painter, node())


@IN_EVERY_WAY
def test_a_thriftier_way_paints_the_picture_and_can_be_left(painter: Painter, way: Way) -> None:
    """Offload is from the CPU to itself here: what is checked is that everything still fits."""
    assert_thrift_leaves_the_picture(painter, way, lambda: paint(painter, node()))


# --- The model that is shipped ---


def shipped(*, bfloat16: bool) -> Model:
    model = models.catalogue()[models.OFFLINE]
    return structs.replace(model, card=structs.replace(model.card, bfloat16=bfloat16))


@pytest.fixture(scope="module")
def landscapes() -> Painter:
    return Painter.load(shipped(bfloat16=False), CPU, ignore)


def landscape(**changes: Any) -> KeyframeNode:
    prompt = "dawn over the sea, sun on the left"
    values = {"prompt": Blend(prompt, prompt, 0.0), "width": 256, "height": 256}
    return node(**{**values, "num_inference_steps": 20, **changes})


@pytest.mark.slow
def test_the_shipped_model_paints_what_plain_diffusers_paints(landscapes: Painter) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(models.FOLDER / models.OFFLINE)
    channels = pipe.unet.config.in_channels
    plain = pipe(
        "dawn over the sea, sun on the left",
        negative_prompt="fog",
        latents=noise(3, (1, channels, 32, 32)),
        num_inference_steps=20,
        guidance_scale=4.0,
        width=256,
        height=256,
    ).images[0]
    assert np.array_equal(paint(landscapes, landscape()), np.asarray(plain))


@pytest.mark.slow
def test_in_bfloat16_nobody_sees_a_difference(
    landscapes: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its card allows bfloat16 where that is faster; its keyframes then have names of their own."""
    assert models.catalogue()[models.OFFLINE].card.bfloat16
    monkeypatch.setattr(pipeline, "bfloat16_is_faster", lambda: True)
    rounded = Painter.load(shipped(bfloat16=True), CPU, ignore)
    assert rounded.identity != landscapes.identity
    steps: list[Tensor] = []
    painted = paint(rounded, landscape(), on_step=lambda _i, _n, clean: steps.append(clean))
    first, second = (
        cv2.cvtColor(one.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        for one in (paint(landscapes, landscape()), painted)
    )
    assert 0 < np.linalg.norm(first - second, axis=-1).mean() < 1
    assert {clean.dtype for clean in steps} == {torch.float32}  # only the network computes in it
    monkeypatch.setattr(pipeline, "bfloat16_is_faster", lambda: False)
    assert Painter.load(shipped(bfloat16=True), CPU, ignore).identity == landscapes.identity


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(320, 192), (192, 320), (264, 200)])
def test_the_shipped_model_paints_any_shape(landscapes: Painter, width: int, height: int) -> None:
    picture = paint(landscapes, landscape(width=width, height=height, num_inference_steps=3))
    assert picture.shape == (height, width, 3)
