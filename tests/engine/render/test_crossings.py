"""What the host and a GPU wait for each other: counted per step, per frame and per tile.

A copy between them, or a value that the host reads, empties the GPU's queue: a step that has one
more than below is slower on every GPU, and no test of pictures shows it. Numbers of diffusers' own
are upper limits, since they may fall when it is upgraded. Everything runs on ``StandInGPU``, which
also refuses to mix devices.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs

from benchmarks.interpolation.moving import Scene
from benchmarks.rife import random_ifnet
from engine.film.graph import Blend
from engine.models import FINE_CELLS
from engine.render.device import choose_device
from engine.render.painting.painter import Painter
from engine.render.painting.schedulers import SCHEDULERS
from engine.render.previews.tiny_decoder import read_tiny
from engine.render.rife import Interpolator, interpolator
from engine.render.rife.moving import MovingPair
from engine.render.upscale import Upscaler, open_upscaler
from tests.engine.render.painting.test_painter import ignore, model, node
from tests.engine.render.painting.test_warp import a_picture
from tests.engine.render.test_half_precision import GROUNDS, SOURCE
from tests.engine.render.upscale.networks import compact_file
from tests.stand_ins.gpu import NAME, StandInGPU
from tests.stand_ins.pipelines import (
    let_the_vae_overflow,
    save_tiny_decoder,
    save_tiny_pipeline,
    save_tiny_xl,
)

GPU = structs.replace(choose_device("cpu"), name=NAME, dtype="float16")


@pytest.fixture(scope="module")
def gpu() -> Iterator[StandInGPU]:
    with StandInGPU() as found:
        yield found


@pytest.fixture(scope="module")
def painters(gpu: StandInGPU, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Painter]:
    root, fine = tmp_path_factory.mktemp("gpu"), {"sample_size": FINE_CELLS}
    folders = {
        "base": save_tiny_pipeline(root / "base", **fine),
        "xl": let_the_vae_overflow(save_tiny_xl(root / "xl", **fine)),
    }
    return {
        name: Painter.load(model(folder), GPU, ignore, batch=2) for name, folder in folders.items()
    }


def crossings_of(gpu: StandInGPU, work: Callable[[Callable[..., None]], Any]) -> list[Counter[Any]]:
    """Return the crossings before each report of a work and those after the last one."""
    marks = [gpu.crossings.copy()]
    work(lambda *_: marks.append(gpu.crossings.copy()))
    marks.append(gpu.crossings.copy())
    return [after - before for before, after in itertools.pairwise(marks)]


def by_kind(crossings: Counter[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (kind, _), count in crossings.items():
        found[kind] += count
    return found


def ours(crossings: Counter[Any]) -> dict[str, int]:
    """Return those that the engine's own code caused, by kind and function."""
    return {
        f"{kind}, {place.rpartition('/')[2]}": count
        for (kind, place), count in crossings.items()
        if place.startswith("engine/")
    }


# Of a step in the middle of a picture. DPM-Solver++ and Euler wait for nothing. DDIM and LCM read
# their tables on the host, UniPC makes small tensors there: all that is in diffusers.
STEP: dict[str, dict[str, int]] = {
    "dpmsolver++": {},
    "dpmsolver++karras": {},
    "euler": {},
    "ddim": {"item": 6},
    "unipc": {"to device": 6},
    "lcm": {"item": 4, "to device": 1},
}
# Of a step with more than noise, in addition: the place in the table that ``add_noise`` looks up.
GROUND: dict[str, dict[str, int]] = {
    "picture": {},
    "camera": {"to device": 2},
    "subject": {"to device": 2, "nonzero": 1, "item": 1},
    "all": {"to device": 4},
}
NOISE = {"to device, schedulers.py:step": 1, "item, schedulers.py:step": 1}  # LCM's, each step's


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_step_waits_for_no_more_than_its_sampler(
    gpu: StandInGPU, painters: dict[str, Painter], scheduler: str
) -> None:
    step = steps_of(gpu, painters["base"], "noise", scheduler=scheduler, num_inference_steps=4)[2]
    assert by_kind(step) <= Counter(STEP[scheduler])
    assert ours(step) == (NOISE if scheduler == "lcm" else {})


@pytest.mark.parametrize(
    ("layout", "scheduler", "ground"),
    [("base", "dpmsolver++", ground) for ground in GROUND]
    + [("xl", "euler", ground) for ground in ("camera", "subject")],
)
def test_a_step_over_a_picture_waits_for_no_more_than_its_noise(
    gpu: StandInGPU, painters: dict[str, Painter], layout: str, scheduler: str, ground: str
) -> None:
    step = steps_of(gpu, painters[layout], ground, scheduler=scheduler, num_inference_steps=6)[2]
    assert by_kind(step) <= Counter(GROUND[ground])
    assert not ours(step)


def test_a_batch_crosses_as_often_as_one_picture(
    gpu: StandInGPU, painters: dict[str, Painter]
) -> None:
    painter, nodes = painters["base"], {}
    for seed in (3, 4):
        nodes[seed] = node(noise=Blend(seed, seed, 0.0), batch=2, num_inference_steps=3)
    found = crossings_of(
        gpu,
        lambda report: painter.paint_at_once(nodes, on_step=report, cancelled=lambda: False),
    )
    assert not any(found[1:-1])
    # Whether the VAE gave numbers, and the pictures.
    assert by_kind(found[-1]) == {"item": 1, "to host": 1}


def steps_of(gpu: StandInGPU, painter: Painter, ground: str, **settings: Any) -> list[Counter[Any]]:
    """Return the crossings of each step of a keyframe: what begins it, the steps, what ends it."""
    changes, pictures = GROUNDS[ground]
    wanted = node(**{**changes, **settings})
    return crossings_of(
        gpu,
        lambda report: painter.paint(wanted, on_step=report, cancelled=lambda: False, **pictures),
    )


def test_a_preview_is_one_copy(
    gpu: StandInGPU, painters: dict[str, Painter], tmp_path: Path
) -> None:
    latents, projection = torch.randn(1, 4, 8, 8).half().to(NAME), painters["base"].projection
    tiny = read_tiny(save_tiny_decoder(tmp_path / "tiny"), GPU)
    assert projection
    for render in (
        lambda: projection.picture(latents),
        lambda: tiny.picture(lambda work: work(latents).to("cpu")),
    ):
        (found,) = crossings_of(gpu, lambda _, render=render: render())[:1]
        assert by_kind(found) == {"to host": 1}


@pytest.mark.parametrize("version", ["4.0", "4.25"])
def test_a_frame_is_one_copy(
    gpu: StandInGPU, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Beside that, a gap takes its new keyframe, its positions twice, and one verdict."""
    without_inference_mode(monkeypatch, Interpolator, "_interpolate")
    monkeypatch.setattr(interpolator, "MAX_DISAGREEMENT", 9.0)  # of random weights
    net = random_ifnet(version)
    net.precision = torch.float16
    net.to(NAME)
    net.fast()
    drawing = Interpolator(net, "0" * 16, torch.device(NAME))
    keyframes = [Scene(6, 128, 10.0).at(0.3 * index) for index in range(3)]

    def draw(first: int) -> list[Counter[Any]]:
        pair, positions = keyframes[first : first + 2], [0.2, 0.4, 0.6, 0.8]
        return crossings_of(
            gpu, lambda report: [report() for _ in drawing.between(*pair, positions)]
        )

    draw(0)  # what is prepared for a size is copied once
    begun, *frames, ended = draw(1)
    copied = {"to host, interpolator.py:to_frame": 1}
    alone = {"to device, interpolator.py:_prepare": 1, "item, interpolator.py:disagreement": 1}
    if version == "4.0":  # far motion is drawn again, and whether it is far is read
        assert ours(frames[0]) == ours(frames[2]) == copied
        assert ours(begun).items() > {**copied, **alone}.items()
    else:
        assert ours(begun) == {**copied, **alone, "to device, fast_ifnet.py:_run": 2}
        assert [ours(frame) for frame in frames] == [
            copied,
            {**copied, "to device, fast_ifnet.py:_run": 1},
            copied,
        ]
    assert not ended


def test_an_enlarged_frame_is_one_copy(gpu: StandInGPU) -> None:
    large = a_picture(64, 64), 255 - a_picture(64, 64)
    moving = MovingPair(*large, torch.device(NAME))
    moving._tensors = tuple(map(moving._planes, large))  # as on an NVIDIA GPU
    track = torch.rand(5, 32, 32, generator=torch.Generator().manual_seed(1))
    there, before = track.to(NAME), gpu.crossings.copy()
    frame = moving.frame(there)
    assert ours(gpu.crossings - before) == {"to host, moving.py:frame": 1}
    expected = MovingPair(*large, torch.device("cpu")).frame(track)
    assert abs(frame.astype(int) - expected).mean() < 1


def test_a_tile_is_copied_there_and_back(
    gpu: StandInGPU, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_inference_mode(monkeypatch, Upscaler, "_tile")
    enlarging = open_upscaler(str(compact_file(tmp_path)), 3, NAME, ignore)
    enlarging._side = 32
    before = gpu.crossings.copy()
    enlarging.enlarge(SOURCE)
    assert ours(gpu.crossings - before) == {
        "to device, upscaler.py:_tile": 4,
        "to host, upscaler.py:_tile": 4,
    }


def without_inference_mode(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Have a function run without it: in this mode torch does not show modes what it copies."""
    monkeypatch.setattr(owner, name, torch.no_grad()(getattr(owner, name).__wrapped__))


# --- The stand-in itself ---


def test_the_stand_in_refuses_what_a_gpu_refuses(gpu: StandInGPU) -> None:
    there, here = torch.ones(2, 3, device=NAME), torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        torch.cat([here, there])
    assert (there + here.to(NAME)).device == torch.device(NAME)
    assert (there + torch.tensor(1.0)).device == torch.device(NAME)  # numbers are passed along


@pytest.mark.parametrize(
    ("work", "kinds"),
    [
        (lambda x: x.sum().item(), ["item"]),
        (lambda x: bool(x.any()), ["item"]),
        (lambda x: x.cpu().numpy(), ["to host"]),
        (lambda x: x.tolist(), ["to host"]),
        (lambda x: torch.tensor([1.0], device=x.device), ["to device"]),
        (lambda x: x[[0, 1]], ["to device"]),
        (lambda x: x[x > 0], ["nonzero"]),
        (lambda x: (x.half() + 1).float().clone().mean(), []),
    ],
)
def test_the_stand_in_counts(
    gpu: StandInGPU, work: Callable[[torch.Tensor], Any], kinds: list[str]
) -> None:
    values = torch.ones(2, 3, device=NAME)
    before = gpu.crossings.copy()
    work(values)
    assert list(by_kind(gpu.crossings - before)) == kinds
