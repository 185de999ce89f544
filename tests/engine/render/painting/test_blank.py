"""Never black: real pipelines whose safety checker hits always, or now and then."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from engine import daemon
from engine.film.camera import REST, Move, Pose
from engine.film.graph import Blend, KeyframeNode
from engine.models import Model, catalogue
from engine.render.device import choose_device
from engine.render.painting.blank import is_blank, painted
from engine.render.painting.painter import Painter
from engine.render.video.ffmpeg import read_frames
from tests.conftest import a_recipe, connected
from tests.stand_ins.pipelines import save_checked_pipeline


@pytest.fixture(scope="module")
def always(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checked_pipeline(tmp_path_factory.mktemp("models") / "always", -2.0)


@pytest.fixture(scope="module")
def sometimes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline whose checker hits what half of some seeds paint."""
    folder = tmp_path_factory.mktemp("models") / "sometimes"
    painter = load(save_checked_pipeline(folder, 2.0))
    checker = painter._pipe.safety_checker
    likeness = []
    for seed in range(12):
        picture = paint(painter, node(seed))
        seen = painter._pipe.feature_extractor([picture], return_tensors="pt").pixel_values
        with torch.no_grad():
            found = checker.visual_projection(checker.vision_model(seen)[1])
        likeness.append(torch.cosine_similarity(found, checker.concept_embeds).max().item())
    return save_checked_pipeline(folder, float(np.median(likeness)))


def load(folder: Path) -> Painter:
    model = catalogue([str(folder)])[folder.name]
    assert isinstance(model, Model)
    return Painter.load(model, choose_device("cpu"), lambda *_: None)


def node(seed: int) -> KeyframeNode:
    return KeyframeNode(
        model="tiny@0",
        prompt=Blend("a", "a", 0.0),
        negative_prompt="",
        noise=Blend(seed, seed, 0.0),
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=1.0,
        scheduler="ddim",
    )


def paint(painter: Painter, which: KeyframeNode) -> Any:
    return painter.paint(which, on_step=lambda *_: None, cancelled=lambda: False)


def at_once(painter: Painter, nodes: Mapping[int, KeyframeNode]) -> dict[int, Any]:
    return painter.paint_at_once(nodes, on_step=lambda *_: None, cancelled=lambda: False)


def of_batch(which: KeyframeNode, batch: int) -> KeyframeNode:
    return structs.replace(which, batch=batch) if batch > 1 else which


def a_hit(painter: Painter) -> int:
    """Return a seed that the checker hits, with the next one that it does not hit behind it."""
    hits = [is_blank(paint(painter, node(seed))) for seed in range(14)]
    return next(seed for seed in range(13) if hits[seed] and not hits[seed + 1])


def a_miss(painter: Painter) -> int:
    """Return a seed that the checker lets pass."""
    return next(seed for seed in range(14) if not is_blank(paint(painter, node(seed))))


def test_one_colour_is_blank_and_a_dim_picture_is_not() -> None:
    night = np.full((64, 64, 3), 9, np.uint8)
    assert is_blank(np.zeros_like(night))
    assert is_blank(night)
    night[:20, :, 2] += 8
    assert not is_blank(night)


def test_a_checker_that_always_hits_leaves_a_blank_keyframe(always: Path) -> None:
    painter, tried = load(always), []

    def watched(nodes: Mapping[int, KeyframeNode]) -> dict[int, Any]:
        tried.append(nodes[0].noise.first)
        return at_once(painter, nodes)

    picture, word = painted({0: node(7)}, watched)[0]
    assert word == "blank"
    assert is_blank(picture)
    assert tried == [7, 8, 9]


def test_a_hit_while_a_camera_moves_is_not_hidden_by_what_encoding_lost(always: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    source = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    push = Move(before=REST, after=Pose(zoom=1.05))
    over = structs.replace(node(7), source="x", warp=push, strength=0.05, num_inference_steps=20)
    picture = load(always).paint(
        over, source=source, on_step=lambda *_: None, cancelled=lambda: False
    )
    assert is_blank(picture)


def test_a_checker_that_sometimes_hits_is_got_round_by_the_next_seed(sometimes: Path) -> None:
    painter = load(sometimes)
    hit, fine = a_hit(painter), a_miss(painter)
    for batch in (1, 4):  # where a hit stands beside a miss
        nodes = {3: of_batch(node(hit), batch), 7: of_batch(node(fine), batch)}
        parts = [nodes] if batch > 1 else [{index: nodes[index]} for index in nodes]
        found: dict[int, Any] = {}
        for part in parts:
            found |= painted(part, partial(at_once, painter))
        assert [found[index][1] for index in (3, 7)] == ["rerolled", ""]
        for index, seed in ((3, hit + 1), (7, fine)):
            alone = paint(painter, of_batch(node(seed), batch))
            np.testing.assert_array_equal(found[index][0], alone)
            assert not is_blank(alone)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.slow
@pytest.mark.anyio
async def test_no_black_frame_enters_a_film(tmp_path: Path, sometimes: Path, always: Path) -> None:
    models = catalogue([str(sometimes), str(always)])
    options = daemon.Options(data=tmp_path, models=models)
    settings = {"width": 64, "height": 64, "guidance_scale": 1.0, "scheduler": "ddim"}
    settings |= {"interpolation_factor": 4, "seed": a_hit(load(sometimes))}
    film = tmp_path / "film.mp4"
    async with daemon.running(options) as engine, connected(engine) as client:
        for model in ("sometimes", "always"):
            await client.connection.submit(
                f"job-{model}", a_recipe("a", "b", model=model, **settings)
            )
            await client.connection.watch(f"job-{model}", previews=False)
        await client.until(lambda: client.types("job-always")[-1:] == ["Failed"], patience=300)
        told = [message.event for message in client.events("job-sometimes")]
        assert client.events("job-always")[-1].event.error.code == "E_BLANK"  # type: ignore[union-attr]
        await client.connection.fetch(told[-1].object, film)  # type: ignore[union-attr]
    words = {getattr(event, "detail", "") for event in told}
    assert words & {"rerolled", "blank"}
    frames = list(read_frames(film))
    assert len(frames) == told[-1].frames  # type: ignore[union-attr]
    assert not any(is_blank(frame) for frame in frames)
