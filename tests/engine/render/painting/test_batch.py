"""Keyframes painted at once: each is the same bit for bit, whatever stands beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from engine.film.graph import BATCHES, Blend, KeyframeNode, LoopPhase
from engine.models import catalogue
from engine.render import Cancelled
from engine.render.device import choose_device
from engine.render.painting.optimizations import WAYS
from engine.render.painting.painter import Painter
from tests.engine.render.painting.test_painter import node
from tests.stand_ins.pipelines import save_tiny_pipeline, save_tiny_xl

CPU = choose_device("cpu")
SINGLY = next(way for way in WAYS if way.name == "singly")
LAYOUTS = {  # the sampler that suits each
    "base": (save_tiny_pipeline, {}, "dpmsolver++"),
    "xl": (save_tiny_xl, {}, "euler"),
    "distilled": (save_tiny_pipeline, {"time_cond_proj_dim": 16}, "lcm"),
}
TEXTS = ("a sea", "a city", "a lake", "fog")


@pytest.fixture(scope="module")
def painters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Painter]:
    root = tmp_path_factory.mktemp("models")
    folders = {name: save(root / name, **changes) for name, (save, changes, _) in LAYOUTS.items()}
    return {name: load(folder) for name, folder in folders.items()}


def load(folder: Path) -> Painter:
    *_, model = catalogue([str(folder)]).values()
    return Painter.load(model, CPU, lambda *_: None, batch=4)


def keyframes(layout: str, batch: int, **changes: Any) -> list[KeyframeNode]:
    """Return four keyframes of one film; one of them goes round."""
    made = [
        node(
            scheduler=LAYOUTS[layout][2],
            prompt=Blend(text, TEXTS[number - 1], 0.2 * number),
            noise=Blend(number, number + 1, 0.3),
            drift=0.1 * number,
            num_inference_steps=2,
            batch=batch,
            **changes,
        )
        for number, text in enumerate(TEXTS)
    ]
    round_ = structs.replace(made[3], turn=LoopPhase(radius=0.5, share=0.3, behind=-0.4))
    return [*made[:3], round_]


def paint(painter: Painter, nodes: Sequence[KeyframeNode], **rest: Any) -> list[np.ndarray]:
    about = {"on_step": lambda *_: None, "cancelled": lambda: False, **rest}
    return list(painter.paint_at_once(dict(enumerate(nodes)), **about).values())


@pytest.mark.parametrize("batch", [batch for batch in BATCHES if batch > 1])
@pytest.mark.parametrize(("side", "guidance_scale"), [(64, 4.0), (72, 1.0)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_keyframe_is_the_same_in_every_row_and_company(
    painters: dict[str, Painter], layout: str, side: int, guidance_scale: float, batch: int
) -> None:
    """Where the side is odd in cells, and nothing doubles the rows, three rows are not alike."""
    painter, shape = painters[layout], {"width": side, "height": side}
    nodes = keyframes(layout, batch, guidance_scale=guidance_scale, **shape)[: max(2, batch)]
    alone = [paint(painter, [one])[0] for one in nodes]
    for first in range(len(nodes)):
        turned = [*nodes[first:], *nodes[:first]][:batch]
        expected = [*alone[first:], *alone[:first]][:batch]
        for found, picture in zip(paint(painter, turned), expected, strict=True):
            np.testing.assert_array_equal(found, picture)
    assert len({picture.tobytes() for picture in alone}) == len(nodes)
    assert all(picture.std() > 1 for picture in alone)


def test_a_batch_paints_what_singles_paint_but_for_rounding(painters: dict[str, Painter]) -> None:
    nodes = keyframes("xl", 4)
    together = paint(painters["xl"], nodes)
    for one, picture in zip(nodes, together, strict=True):
        single = painters["xl"].paint(
            structs.replace(one, batch=1), on_step=lambda *_: None, cancelled=lambda: False
        )
        assert abs(picture.astype(int) - single).max() <= 1


def test_steps_are_reported_for_keyframes_and_not_for_repeats(painters: dict[str, Painter]) -> None:
    seen: list[tuple[Any, ...]] = []
    nodes = dict(zip((5, 9, 2), keyframes("base", 4), strict=False))
    painters["base"].paint_at_once(
        nodes, on_step=lambda *told: seen.append(told), cancelled=lambda: False
    )
    assert [told[:3] for told in seen] == [((5, 9, 2), step, 2) for step in (1, 2)]
    assert [tuple(told[3].shape) for told in seen] == [(3, 4, 8, 8)] * 2
    assert len({row.numpy().tobytes() for row in seen[0][3]}) == 3


def test_a_batch_can_be_cancelled(painters: dict[str, Painter]) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        paint(painters["base"], keyframes("base", 4), cancelled=asked.__next__)


def test_where_memory_is_short_for_a_batch_keyframes_are_painted_singly(
    painters: dict[str, Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, nodes, told = painters["base"], keyframes("base", 4), []
    forward = painter._pipe.unet.forward

    def short(sample: torch.Tensor, *args: Any, **named: Any) -> Any:
        if len(sample) > 2:  # guided, one keyframe has two rows
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(sample, *args, **named)

    def on_step(indexes: tuple[int, ...], step: int, *_: Any) -> None:
        told.append((indexes, step))

    monkeypatch.setattr(painter._pipe.unet, "forward", short)
    try:
        found = paint(painter, nodes, on_step=on_step)
        assert painter.memory.ways == [SINGLY]
        assert [painter.memory.words(rows) for rows in (4, 1)] == [["singly"], []]
    finally:
        painter.memory.relax()
    assert told == [((index,), step) for index in range(4) for step in (1, 2)]
    for one, picture in zip(nodes, found, strict=True):
        single = paint(painter, [structs.replace(one, batch=1)])[0]
        np.testing.assert_array_equal(picture, single)


def test_an_engine_that_paints_singly_has_no_such_way(painters: dict[str, Painter]) -> None:
    pipe, taken = painters["base"]._pipe, []
    Painter(pipe, CPU, "tiny@0", taken.append, ways=9)
    pipe.vae.disable_tiling()
    assert SINGLY not in taken
    assert len(taken) == 2
