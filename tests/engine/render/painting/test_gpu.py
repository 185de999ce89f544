"""engine.render.painting on a CUDA device: in half precision, with previews beside it."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.render.device import choose_device
from engine.render.painting.painter import Painter
from engine.render.previews.previewer import Previewer
from engine.render.previews.tiny_decoder import read_tiny
from tests.engine.render.painting.test_painter import ignore, model, node
from tests.engine.render.test_half_precision import CPU, GROUNDS, assert_close, paint
from tests.stand_ins.pipelines import (
    let_the_vae_overflow,
    save_tiny_decoder,
    save_tiny_pipeline,
    save_tiny_xl,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module", params=["base", "xl"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "base":
        return save_tiny_pipeline(root / "base", sample_size=32)
    return let_the_vae_overflow(save_tiny_xl(root / "xl", sample_size=32))


@pytest.fixture(scope="module")
def painter(folder: Path) -> Painter:
    return Painter.load(model(folder), choose_device("cuda"), ignore)


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_gpu_paints_what_a_cpu_paints(painter: Painter, folder: Path, ground: str) -> None:
    changes, pictures = GROUNDS[ground]
    wanted = node(**{"scheduler": "euler", **changes})
    expected = paint(Painter.load(model(folder), CPU, ignore), wanted, **pictures)
    assert_close(paint(painter, wanted, **pictures), expected)


def test_every_way_to_save_memory_works(painter: Painter) -> None:
    """The last one, layer by layer, needs a GPU."""
    expected = paint(painter, node())
    try:
        while painter.memory._left():
            painter.memory._climb()
            assert paint(painter, node()).std() > 1
    finally:
        painter.memory.relax()
    assert_close(paint(painter, node()), expected)


def test_previews_are_made_beside_painting(painter: Painter, tmp_path: Path) -> None:
    sent, came = [], threading.Event()

    def send(header: Any, jpeg: bytes) -> None:
        sent.append((header["step"], len(jpeg)))
        came.set()

    previewer = Previewer(send, painter.projection)
    try:
        for tiny in (None, read_tiny(save_tiny_decoder(tmp_path / "tiny"), painter.device)):
            previewer.tiny = tiny
            came.clear()
            previewer.credit()
            painter.paint(
                node(),
                on_step=lambda step, steps, latents: previewer.offer(
                    latents, {"kind": "step", "step": step, "steps": steps}
                ),
                cancelled=lambda: False,
            )
            assert came.wait(30)
    finally:
        previewer.close()
    assert len(sent) == 2
    assert all(size > 500 for _, size in sent)
