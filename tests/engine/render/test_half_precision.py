"""Everything that a GPU does in half precision, done in it on the CPU with tiny random networks.

A number in float32 that meets one in float16 fails here instead of on the first GPU, and so does a
picture that half precision spoils: results stay close to those of float32.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from benchmarks.rife import moved_pictures, random_ifnet
from engine.film.camera import REST, Move, Pose
from engine.film.graph import KeyframeNode
from engine.models import FINE_CELLS, Model, catalogue
from engine.render.device import choose_device
from engine.render.image import Picture
from engine.render.painting.optimizations import WAYS, Way
from engine.render.painting.painter import Painter
from engine.render.painting.schedulers import SCHEDULERS
from engine.render.previews.tiny_decoder import read_tiny
from engine.render.upscale import Upscaler
from engine.render.upscale.network import recognise
from tests.engine.render.painting.test_batch import keyframes
from tests.engine.render.painting.test_painter import SIZE, ignore, model, node
from tests.engine.render.painting.test_warp import a_picture
from tests.engine.render.upscale.networks import compact_state, rrdb_state
from tests.stand_ins.pipelines import (
    let_the_vae_overflow,
    save_checked_pipeline,
    save_tiny_decoder,
    save_tiny_lora,
    save_tiny_pipeline,
    save_tiny_xl,
)

CPU = choose_device("cpu")
HALF = structs.replace(CPU, dtype="float16")
LAYOUTS = {"base": "dpmsolver++", "xl": "euler", "distilled": "lcm", "lora": "ddim"}
CLOSE = 3.0  # of 255, on average: what half precision may change; a black picture is 100 off


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return models; their networks are large enough for subjects, and the VAE of xl overflows."""
    root, fine = tmp_path_factory.mktemp("half"), {"sample_size": FINE_CELLS}
    base = save_tiny_pipeline(root / "base", **fine)
    lora = save_tiny_lora(root / "style.safetensors", base)
    return {
        "base": str(base),
        "xl": str(let_the_vae_overflow(save_tiny_xl(root / "xl", **fine))),
        "distilled": str(save_tiny_pipeline(root / "lcm", **fine, time_cond_proj_dim=16)),
        "lora": f"{base}+{lora}:0.05",
    }


@pytest.fixture(scope="module")
def painters(sources: dict[str, str]) -> dict[str, tuple[Painter, Painter]]:
    """Return what paints in float16 and in float32, by layout."""
    found = {}
    for name, source in sources.items():
        offered = offer(source)
        found[name] = tuple(
            Painter.load(offered, device, ignore, batch=4) for device in (HALF, CPU)
        )
    return found


def offer(source: str) -> Model:
    *_, offered = catalogue([source]).values()
    return offered


def paint(painter: Painter, wanted: KeyframeNode, **pictures: Picture) -> Picture:
    return painter.paint(wanted, on_step=ignore, cancelled=lambda: False, **pictures)


def assert_close(found: Picture, expected: Picture) -> None:
    assert found.std() > 1
    assert abs(found.astype(int) - expected).mean() < CLOSE


SOURCE = a_picture(SIZE, SIZE)
SUBJECT = 255 - SOURCE
PAN = Move(before=REST, after=Pose(pan_x=0.25))
OVER = {"source": "a" * 64, "strength": 0.5, "border": 0.5, "num_inference_steps": 4}
# A camera's keyframe: few steps, more of them at the border, and lost details given back.
MOVED = {**OVER, "warp": PAN, "strength": 0.1, "border": 0.75}
TILES = next(way for way in WAYS if way.name == "tiles")
GROUNDS: dict[str, tuple[dict[str, Any], dict[str, Picture]]] = {
    "noise": ({}, {}),
    "subject": ({}, {"subject": SUBJECT}),
    "picture": (OVER, {"source": SOURCE}),
    "camera": (MOVED, {"source": SOURCE}),
    "all": ({**MOVED, "since": PAN}, {"source": SOURCE, "anchor": SOURCE, "subject": SUBJECT}),
}


@pytest.mark.parametrize(
    ("layout", "ground"),
    [*itertools.product(("base", "xl"), GROUNDS), ("distilled", "all"), ("lora", "noise")],
)
def test_a_keyframe_is_close_to_that_in_float32(
    painters: dict[str, tuple[Painter, Painter]], layout: str, ground: str
) -> None:
    changes, pictures = GROUNDS[ground]
    wanted = node(**{"scheduler": LAYOUTS[layout], "num_inference_steps": 3, **changes})
    half, exact = (paint(painter, wanted, **pictures) for painter in painters[layout])
    assert_close(half, exact)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_sampler_keeps_to_half_precision(
    painters: dict[str, tuple[Painter, Painter]], scheduler: str
) -> None:
    changes, pictures = GROUNDS["all"]
    wanted = node(scheduler=scheduler, guidance_scale=1.0, **changes)
    half, exact = (paint(painter, wanted, **pictures) for painter in painters["base"])
    assert_close(half, exact)


@pytest.mark.parametrize("layout", ["base", "xl"])
def test_a_batch_is_close_to_that_in_float32(
    painters: dict[str, tuple[Painter, Painter]], layout: str
) -> None:
    nodes = keyframes(layout, 4)
    half, exact = (
        painter.paint_at_once(dict(enumerate(nodes)), on_step=ignore, cancelled=lambda: False)
        for painter in painters[layout]
    )
    for index in exact:
        assert_close(half[index], exact[index])


@pytest.mark.parametrize(("layout", "way"), [*(("base", way) for way in WAYS[:-1]), ("xl", TILES)])
def test_memory_is_saved_in_half_precision(
    painters: dict[str, tuple[Painter, Painter]], layout: str, way: Way
) -> None:
    """Tiles of 64 pixels, so that several of them hold the picture."""
    painter, exact = painters[layout]
    wanted = node(width=128, height=64, num_inference_steps=2)
    expected = paint(exact, wanted, subject=SUBJECT)
    way.begin(painter._pipe, HALF)
    painter.memory.ways.append(way)
    tiled = way.word == "tiled"
    if tiled:
        painter._pipe.vae.tile_sample_min_size = 64
        painter._pipe.vae.tile_latent_min_size = 8
    try:
        found = paint(painter, wanted, subject=SUBJECT)
    finally:
        painter.memory.relax()
    assert found.std() > 1
    assert tiled or abs(found.astype(int) - expected).mean() < CLOSE


def test_a_safety_checker_sees_half_precision(tmp_path: Path) -> None:
    painter = Painter.load(model(save_checked_pipeline(tmp_path / "checked", 2.0)), HALF, ignore)
    assert paint(painter, node(num_inference_steps=1)).std() > 1


@pytest.mark.parametrize("layout", ["base", "xl"])
def test_previews_of_every_step_are_pictures(
    painters: dict[str, tuple[Painter, Painter]], layout: str, tmp_path: Path
) -> None:
    painter = painters[layout][0]
    tiny = read_tiny(save_tiny_decoder(tmp_path / "tiny"), HALF)
    assert painter.projection
    assert all(torch.isfinite(part).all() for part in painter.projection)
    seen: list[tuple[Picture, Picture]] = []

    def on_step(_step: int, _steps: int, latents: torch.Tensor) -> None:
        assert painter.projection
        decoded = tiny.picture(lambda work: work(latents))
        seen.append((painter.projection.picture(latents), decoded))

    wanted = node(scheduler=LAYOUTS[layout], num_inference_steps=2)
    painter.paint(wanted, on_step=on_step, cancelled=lambda: False)
    assert [tuple(picture.shape for picture in pair) for pair in seen] == [
        ((8, 8, 3), (64, 64, 3))
    ] * 2
    assert all(picture.std() > 1 for pair in seen for picture in pair)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("version", ["4.0", "4.6", "4.25"])
def test_in_betweens_are_close_to_those_in_float32(version: str, dtype: torch.dtype) -> None:
    """One of each kind of layer; 4.0 draws far motion again by its plain forward."""
    net, images = random_ifnet(version), moved_pictures(96, 128)
    positions = [0.25, 0.5, 0.75]
    expected = net.interpolate(*images, positions)
    net.precision = dtype
    net.float()  # forget what was prepared
    frames = net.interpolate(*images, positions)
    assert frames.dtype == torch.float32
    apart = (frames - expected).abs().mean()
    assert apart < (5e-4 if dtype == torch.float16 else 4e-3)
    assert apart > 0 or version == "4.0"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["compact", "rrdb"])
def test_pictures_are_enlarged_in_half_precision(kind: str, dtype: torch.dtype) -> None:
    state = compact_state() if kind == "compact" else rrdb_state()
    exact, half = (
        Upscaler(recognise(state), kind, 3, torch.device("cpu"), precision).enlarge(SOURCE)
        for precision in (torch.float32, dtype)
    )
    assert_close(half, exact)
    assert not np.array_equal(half, exact)
