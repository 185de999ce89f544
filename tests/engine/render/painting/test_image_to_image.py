"""Keyframes that are painted over a picture, by a tiny random pipeline."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline

from engine.film.camera import REST, Move, Pose
from engine.film.graph import KeyframeNode
from engine.render import Cancelled
from engine.render.image import Picture
from engine.render.painting.blank import is_blank
from engine.render.painting.image_to_image import canvas_of, restored, steps_of
from engine.render.painting.optimizations import Way
from engine.render.painting.painter import Painter
from engine.render.painting.schedulers import SCHEDULERS
from tests.engine.render.painting.test_painter import (
    CPU,
    IN_EVERY_WAY,
    SIZE,
    assert_thrift_leaves_the_picture,
    ignore,
    model,
    node,
)
from tests.engine.render.painting.test_warp import a_picture
from tests.stand_ins.pipelines import save_tiny_pipeline

STEPS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def painter(folder: Path) -> Painter:
    return Painter.load(model(folder), CPU, ignore)


def over(**changes: Any) -> KeyframeNode:
    values = {"source": "a" * 64, "strength": 0.5, "border": 0.5, "num_inference_steps": STEPS}
    return node(**{**values, **changes})


def paint(
    painter: Painter,
    wanted: KeyframeNode,
    source: Picture | None = None,
    on_step: Callable[..., None] = ignore,
    **rest: Any,
) -> Picture:
    source = a_picture(SIZE, SIZE) if source is None else source
    return painter.paint(wanted, source=source, on_step=on_step, cancelled=lambda: False, **rest)


@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - {"lcm"}))
def test_the_picture_is_that_of_plain_diffusers(
    painter: Painter, folder: Path, scheduler: str
) -> None:
    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(folder)
    kind, settings = SCHEDULERS[scheduler]
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **settings)
    image = torch.from_numpy(a_picture(SIZE, SIZE)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        encoded = pipe.vae.encode(image).latent_dist.sample(torch.Generator().manual_seed(0))
    plain = pipe(
        "a sea",
        negative_prompt="fog",
        image=encoded * pipe.vae.config.scaling_factor,
        generator=torch.Generator("cpu").manual_seed(3),
        strength=0.5,
        num_inference_steps=STEPS,
        guidance_scale=4.0,
    ).images[0]
    ours = paint(painter, over(scheduler=scheduler))
    assert np.abs(ours.astype(int) - np.asarray(plain)).max() <= 1
    assert ours.std() > 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_same_node_over_the_same_picture_gives_the_same_again(
    painter: Painter, scheduler: str
) -> None:
    wanted = over(scheduler=scheduler, warp=Move(before=REST, after=Pose(pan_x=0.25)), border=0.9)
    first = paint(painter, wanted)
    painter.paint(node(), on_step=ignore, cancelled=lambda: False)
    assert np.array_equal(paint(painter, wanted), first)


def test_painting_from_noise_is_what_it_was_after_painting_over(painter: Painter) -> None:
    fresh = painter.paint(node(), on_step=ignore, cancelled=lambda: False)
    paint(painter, over())
    again = painter.paint(node(), on_step=ignore, cancelled=lambda: False)
    assert np.array_equal(again, fresh)


def test_a_little_strength_keeps_more_of_the_picture(painter: Painter) -> None:
    source = a_picture(SIZE, SIZE).astype(int)
    latents: dict[float, torch.Tensor] = {}
    for strength in (0.125, 1.0):
        seen: list[torch.Tensor] = []
        paint(painter, over(strength=strength), on_step=lambda *step, to=seen: to.append(step[2]))
        latents[strength] = seen[-1]
    with torch.no_grad():
        image = torch.from_numpy(source).permute(2, 0, 1)[None].float() / 127.5 - 1
        encoded = painter._pipe.vae.encode(image).latent_dist.mean
        encoded = encoded * painter._pipe.vae.config.scaling_factor
    near, far = ((latents[s] - encoded).abs().mean() for s in (0.125, 1.0))
    assert near < 0.5 * far


@pytest.mark.parametrize(("strength", "steps"), [(0.0, 1), (0.5, 4), (0.29, 3), (1.0, 8)])
def test_strength_is_a_share_of_the_steps(painter: Painter, strength: float, steps: int) -> None:
    seen: list[tuple[int, int]] = []
    wanted = over(strength=strength, border=strength)
    paint(painter, wanted, on_step=lambda step, of, _: seen.append((step, of)))
    assert seen == [(step, steps) for step in range(1, steps + 1)]
    assert max(1, math.ceil(steps_of(strength, STEPS))) == steps


def test_strength_that_grows_slowly_changes_the_picture_slowly(painter: Painter) -> None:
    """Between whole steps, too: ten pictures from four steps to five, none far from the last."""
    wanted = [over(strength=share, border=share) for share in np.linspace(0.5, 0.625, 11)]
    pictures = [paint(painter, each).astype(int) for each in wanted]
    whole = np.abs(pictures[-1] - pictures[0]).mean()
    changes = [np.abs(b - a).mean() for a, b in itertools.pairwise(pictures)]
    assert whole > 1
    assert max(changes) < 0.3 * whole


def test_only_what_came_into_view_takes_the_border_s_steps(painter: Painter) -> None:
    moves = Move(before=REST, after=Pose(pan_x=0.25)), Move(before=REST, after=Pose(zoom=1.5))
    for move, expected in zip(moves, (7, 2), strict=True):
        seen: list[int] = []
        wanted = over(warp=move, strength=0.25, border=0.875)
        paint(painter, wanted, on_step=lambda step, *_, seen=seen: seen.append(step))
        assert max(seen) == expected


def test_the_border_leaves_the_rest_as_a_lower_strength_does(painter: Painter) -> None:
    """Where latents were put back, the last steps begin from the same as without a border."""
    pan = Move(before=REST, after=Pose(pan_x=0.25))
    latents: dict[float, list[torch.Tensor]] = {0.25: [], 0.875: []}
    for border, seen in latents.items():
        wanted = over(warp=pan, strength=0.25, border=border, scheduler="ddim")
        paint(painter, wanted, on_step=lambda i, n, clean, seen=seen: seen.append(clean))
    kept, fresh = slice(0, 4), slice(7, 8)  # of 8 columns; what came into view, and a seam
    first_of_last = [seen[-2] for seen in latents.values()]
    difference = (first_of_last[0] - first_of_last[1]).abs().mean((0, 1, 2))
    assert difference[fresh].mean() > 3 * difference[kept].mean()


@IN_EVERY_WAY
def test_it_can_be_done_thriftily(painter: Painter, way: Way) -> None:
    assert_thrift_leaves_the_picture(painter, way, lambda: paint(painter, over()))


@pytest.mark.parametrize("when", [0, 2])
def test_cancelling_takes_effect_within_one_step(painter: Painter, when: int) -> None:
    steps: list[int] = []
    with pytest.raises(Cancelled):
        painter.paint(
            over(),
            source=a_picture(SIZE, SIZE),
            on_step=lambda step, *rest: steps.append(step),
            cancelled=lambda: len(steps) >= when,
        )
    assert len(steps) == when


def test_a_picture_of_any_size_is_fitted(painter: Painter) -> None:
    assert paint(painter, over(), a_picture(90, 250)).shape == (SIZE, SIZE, 3)


def test_a_blank_source_counts_as_none(painter: Painter) -> None:
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert canvas_of(over(), black) is None
    fresh = painter.paint(over(), on_step=ignore, cancelled=lambda: False)
    assert np.array_equal(paint(painter, over(), black), fresh)


def waves(height: float) -> np.ndarray:
    """Return stripes of three pixels on grey, uint8 ``(SIZE, SIZE, 3)``."""
    row = 128 + height * np.sin(np.arange(SIZE) * 2 * np.pi / 3)
    return np.broadcast_to(row.round().astype(np.uint8)[:, None], (SIZE, SIZE, 3)).copy()


def test_details_are_given_back_only_where_painting_has_some() -> None:
    canvas = canvas_of(over(warp=Move(before=REST, after=REST), strength=0.0), waves(40))
    assert canvas
    held = restored(canvas, waves(30), waves(30)).astype(int)
    assert np.abs(held - waves(40)).max() <= 1
    assert waves(40).std() > 20
    assert restored(canvas, waves(0), waves(0)).std() < 2


def test_the_colours_are_the_anchor_s(painter: Painter) -> None:
    still = Move(before=REST, after=REST)
    anchor = a_picture(SIZE, SIZE, seed=4) // 4 + 30  # dark
    plain = paint(painter, over())
    held = paint(painter, over(anchor="b" * 64, since=still), anchor=anchor)
    assert abs(plain.mean() - anchor.mean()) > 40
    assert abs(held.mean() - anchor.mean()) < 4


def test_a_picture_of_one_colour_is_blank_to_everybody_and_no_canvas() -> None:
    red = np.full((SIZE, SIZE, 3), (200, 30, 30), np.uint8)
    assert is_blank(red)
    assert canvas_of(over(), red) is None
