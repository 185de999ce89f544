"""The sections of ``benchmarks.gpu``: each measures one part and writes a line for each row.

    python -m benchmarks.gpu_sections rife --seconds 45 [--rehearse]

Networks have random weights in the real shapes, made on the device; in a rehearsal they are small
and on the CPU. It does not know who reads the rows, nor what the other sections do.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderTiny
from msgspec import structs
from torch import Tensor

from benchmarks import batches, two_workers
from benchmarks.interpolation.moving import Scene
from benchmarks.painting import SHRINK, Ours, Plain, Watched, node, prompts
from benchmarks.real_sizes import SD15, SDXL, pipeline
from benchmarks.rife import POSITIONS, moved_pictures, plain, random_ifnet
from engine.models import OFFLINE, Model, catalogue, interpolators
from engine.render.device import Device, choose_device, forget_peak, peak_memory
from engine.render.painting.painter import Painter
from engine.render.previews.tiny_decoder import TinyDecoder
from engine.render.rife import Interpolator, interpolator
from engine.render.rife.fast_ifnet import CudaGraph
from engine.render.rife.ifnet import IFNet
from engine.render.upscale import Upscaler
from engine.render.upscale.network import recognise
from engine.render.upscale.upscaler import precision_for
from engine.render.weights.rife import find_official

Row = tuple[str, dict[str, Any]]  # what was measured, and values by name
MAX_APART = 6.0  # of 255, on average: float16 and another order of sums may change that much
RIFE_APART = 2e-3  # of 1, on average, to the plain forward in float32


class Bench(NamedTuple):
    """Where a section measures, and until when.

    Attributes:
        device: the one to measure.
        rehearse: whether everything is small, because a CPU does it.
        ends: on the monotonic clock.
    """

    device: Device
    rehearse: bool
    ends: float

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.ends - time.monotonic()

    def timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Return what a work takes in seconds, all of the GPU's part included, and its result."""
        self.wait()
        begun = time.perf_counter()
        result = work()
        self.wait()
        return time.perf_counter() - begun, result

    def repeated(self, work: Callable[[], Any], seconds: float = 1.5) -> float:
        """Return the least seconds of a work that is repeated for a while, warmed up."""
        self.timed(work)
        second, _ = self.timed(work)
        seconds = 0.1 if self.rehearse else seconds
        count = max(1, min(30, int(seconds / max(second, 1e-4))))
        return min([second, *(self.timed(work)[0] for _ in range(count))])

    def wait(self) -> None:
        """Wait until the GPU has done everything."""
        if self.device.kind == "cuda":
            torch.cuda.synchronize(torch.device(self.device.name))

    def forget_peak(self) -> None:
        """Give back what is cached, and measure the peak of memory anew."""
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        forget_peak(self.device.name)

    def peak(self) -> dict[str, float]:
        """Return the peak of memory in GB, for a row; on a CPU the process's."""
        return {"peak GB": peak_memory(self.device.name) / 1e9}


def gpu_tests(bench: Bench) -> Iterator[Row]:
    """Run the tests that need a CUDA device."""
    needed = "pytest", "pytest_timeout", "hypothesis"
    if absent := [name for name in needed if not importlib.util.find_spec(name)]:
        yield f"not run: {' and '.join(absent)} not installed", {}
        return
    marked = [
        str(path)
        for path in Path("tests").rglob("test_*.py")
        if "pytest.mark.gpu" in path.read_text()
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *marked]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", made.stdout.splitlines()[-1])
    yield "tests marked gpu", {kind: int(count) for count, kind in found}
    if made.returncode:
        raise RuntimeError(made.stdout)


# --- Painting ---


def painting(bench: Bench, family: str) -> Iterator[Row]:
    """Compare the painter with plain diffusers, without previews and with both kinds of them."""
    side, steps = (64, 2) if bench.rehearse else (1024 if family == SDXL else 512, 20)
    options = argparse.Namespace(family=family, side=side, steps=steps, count=1)
    seconds, pipe = bench.timed(lambda: a_pipeline(bench, family))
    yield f"{family}: random weights", {"s": seconds}
    subject = Plain(options, bench.device, pipe)
    subject.paint(prompts(1), 2)
    step = bench.timed(lambda: subject.paint(prompts(1), 2))[0] / 2
    room = int(0.7 * bench.left() / (4 * step))  # steps of each of the four subjects
    options.count = max(1, min(2 if bench.rehearse else 8, room // steps))
    options.steps = steps = max(2, min(steps, room))
    size = f"{side}x{side}, {steps} steps"
    base, pictures = measured(bench, subject, options)
    yield f"{family} {size}: plain diffusers", base
    ours = Ours(options, bench.device, pipe)
    ours.paint(prompts(1), 2)
    values, found = measured(bench, ours, options)
    alone, apart = values["s/keyframe"], distance(found, pictures)
    ratio = {"ratio": base["s/keyframe"] / alone, "apart of 255": apart}
    yield f"{family} {size}: ours", values | ratio
    for name, tiny in (("from latents", False), ("by the tiny decoder", True)):
        with contextlib.closing(Watched(options, bench.device, pipe)) as watched:
            watched.previewer.tiny = a_tiny_decoder(bench.device) if tiny else None
            watched.paint(prompts(1), 2)
            values, _ = measured(bench, watched, options)
        cost = 100 * (values["s/keyframe"] / alone - 1)
        seen = {"cost %": cost, "first after s": watched.first, "shown": watched.previews}
        yield f"{family} {size}: previews {name}", seen | {"of steps": steps * options.count}
    assert apart <= MAX_APART, f"ours and plain pictures are {apart:.1f} of 255 apart"


def a_pipeline(bench: Bench, family: str) -> Any:
    """Return a family's pipeline, small in a rehearsal."""
    shrink = SHRINK if bench.rehearse else 1
    return pipeline(family, bench.device.name, bench.device.torch_dtype, shrink)


def a_tiny_decoder(device: Device) -> TinyDecoder:
    """Return a decoder in TAESD's shape with random weights."""
    with torch.device(device.name):
        network: Any = AutoencoderTiny()
    return TinyDecoder(network.eval().to(device.torch_dtype))


def measured(
    bench: Bench, subject: Plain, options: argparse.Namespace
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return what a keyframe takes, and the pictures."""
    bench.forget_peak()
    seconds, pictures = bench.timed(lambda: subject.paint(prompts(options.count), options.steps))
    return {"s/keyframe": seconds / options.count, **bench.peak()}, pictures


def distance(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Return by how much pictures differ on average, of 255."""
    pairs = zip(some, others, strict=True)
    return float(np.mean([abs(one.astype(int) - other).mean() for one, other in pairs]))


def at_once(bench: Bench) -> Iterator[Row]:
    """Paint keyframes one by one, and in batches of each size."""
    side, steps, sizes = (64, 1, (1, 2)) if bench.rehearse else (512, 10, (1, 2, 4, 8))
    most = sizes[-1]
    pipe = a_pipeline(bench, SD15)
    painter = Painter(pipe, bench.device, "random@0", lambda _: None, batch=most)
    texts = prompts(most)
    alone, single = 0.0, list[np.ndarray]()
    for size in sizes:
        nodes = [
            structs.replace(node(text, seed, side, steps), batch=size)
            for seed, text in enumerate(texts)
        ]
        lone = batches.paint(painter, nodes[:1], 1)[1]  # warms up, too
        bench.forget_peak()
        seconds, pictures = batches.paint(painter, nodes, size)
        if size == 1:
            alone, single = seconds, pictures
        yield (
            f"{SD15} {side}x{side}, {steps} steps: {size} at once",
            {
                "keyframes/s": most / seconds,
                "ratio": alone / seconds,
                "apart of 255": distance(pictures, single),
                "company changes": batches.distance(lone, pictures[:1]),
                **bench.peak(),
            },
        )


# --- In-betweens ---


class Unrecorded(dict[Any, Any]):
    """Has a network call its function instead of replaying it."""

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the function of a graph that is not recorded."""
        return default.work if isinstance(default, CudaGraph) else default


def in_betweens(bench: Bench) -> Iterator[Row]:
    """Compare RIFE's network with a plain forward of it, with its graph recorded and not."""
    sizes = [(64, 64)] if bench.rehearse else [(512, 512), (576, 1024), (1080, 1920)]
    kind = "cuda" if bench.device.kind == "cuda" else "cpu"
    half = torch.float16 if kind == "cuda" else torch.bfloat16
    for height, width in sizes:
        name, net = f"RIFE 4.25 {width}x{height}", random_ifnet("4.25").to(bench.device.name)
        images = tuple(image.to(bench.device.name) for image in moved_pictures(height, width))

        def naive(net: IFNet = net, images: Any = images) -> Tensor:
            return plain(net, *images, cached=False)

        def autocast(naive: Callable[[], Tensor] = naive) -> Tensor:
            with torch.autocast(kind, half):
                return naive()

        def ours(net: IFNet = net, images: Any = images) -> Tensor:
            return net.interpolate(*images, POSITIONS)

        with torch.inference_mode():
            exact = naive()
            base = bench.repeated(naive)
            yield f"{name}: plain, float32", frame(base, base)
            bench.forget_peak()
            yield f"{name}: plain, autocast", frame(bench.repeated(autocast), base) | bench.peak()
        net.precision = half
        net.float()  # forget what was prepared in float32
        fast = net.fast()
        recorded = fast._replays
        for way, replays in (("graph", recorded), ("no graph", Unrecorded())):
            fast._replays = replays
            bench.forget_peak()
            seconds = bench.repeated(ours)
            apart = float((ours() - exact).abs().mean())
            yield (
                f"{name}: ours, {str(half)[6:]}, {way}",
                frame(seconds, base) | {"apart": apart} | bench.peak(),
            )
            assert apart <= RIFE_APART, f"ours and the plain forward are {apart:.2g} apart"


def frame(seconds: float, base: float) -> dict[str, float]:
    """Return what a frame takes of a gap's seconds, and how many times faster than the plain."""
    return {"ms/frame": 1000 * seconds / len(POSITIONS), "ratio": base / seconds}


# --- Enlarging ---


def enlarging(bench: Bench) -> Iterator[Row]:
    """Enlarge keyframes by networks of both kinds, and frames between them by their motion."""
    side = 64 if bench.rehearse else 512
    scene = Scene(6, side, side / 16)
    pair = scene.at(0.0), scene.at(0.5)
    networks = {"compact, 18 layers": compact_state(*((8, 4) if bench.rehearse else (64, 18)))}
    if not bench.rehearse:
        networks["RRDB, 23 blocks"] = rrdb_state(23)
    large: list[np.ndarray] = []
    for name, state in networks.items():
        network, device = recognise(state), torch.device(bench.device.name)
        upscaler = Upscaler(network, "random", 4, device, precision_for(network, device))
        bench.forget_peak()
        seconds = bench.repeated(lambda upscaler=upscaler: upscaler.enlarge(pair[0]), 3.0)
        values = {"s/keyframe": seconds, "format": str(upscaler.dtype)[6:], **bench.peak()}
        yield f"{side}x{side} to {4 * side}x{4 * side}: {name}", values
        large = large or [upscaler.enlarge(keyframe) for keyframe in pair]
    interpolator.MAX_DISAGREEMENT = float("inf")  # random weights explain nothing
    net = random_ifnet("4.25")
    net.precision = interpolator.precision_for(torch.device(bench.device.name))
    drawing = Interpolator(net.to(bench.device.name), "0" * 16, torch.device(bench.device.name))
    for name, shown in (("painted size", None), ("enlarged", (large[0], large[1]))):
        bench.forget_peak()
        gap = bench.repeated(lambda shown=shown: list(drawing.between(*pair, POSITIONS, shown)))
        yield (
            f"{side}x{side}, frames in the {name}",
            {"ms/frame": 1000 * gap / len(POSITIONS), **bench.peak()},
        )


def compact_state(width: int, layers: int, factor: int = 4) -> dict[str, Tensor]:
    """Return random weights of Real-ESRGAN's small kind: convolutions, PReLU between them."""
    widths, state = [3, *[width] * (layers - 1), 3 * factor**2], dict[str, Tensor]()
    for index in range(layers):
        shape = (widths[index + 1], widths[index], 3, 3)
        state[f"body.{2 * index}.weight"] = torch.randn(shape) / (3 * widths[index] ** 0.5)
        state[f"body.{2 * index}.bias"] = torch.zeros(widths[index + 1])
        if index < layers - 1:
            state[f"body.{2 * index + 1}.weight"] = torch.full((widths[index + 1],), 0.25)
    return state


def rrdb_state(blocks: int) -> dict[str, Tensor]:
    """Return random weights of Real-ESRGAN's large kind, 64 channels wide."""
    shapes = {"conv_first": (64, 3), "conv_last": (3, 64)}
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (64, 64))
    for block in range(blocks):
        for dense in (1, 2, 3):
            for index in range(1, 6):
                outputs = 32 if index < 5 else 64
                shapes[f"body.{block}.rdb{dense}.conv{index}"] = (outputs, 32 + 32 * index)
    state: dict[str, Tensor] = {}
    for name, (outputs, inputs) in shapes.items():
        state[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3) / (9 * inputs**0.5)
        state[f"{name}.bias"] = torch.zeros(outputs)
    return state


# --- A film ---


def film(bench: Bench) -> Iterator[Row]:
    """Make a film with one worker, and with a second one that draws while the first paints."""
    seconds, steps = (2.125, 1) if bench.rehearse else (4.125, 10)
    with tempfile.TemporaryDirectory() as folder:
        model, side = a_model(bench, Path(folder))
        size = {"model": model.name, "width": side, "height": side}
        recipe = two_workers.a_film(seconds, **size, num_inference_steps=steps, **two_workers.EVEN)
        rife = str(find_official(interpolators.AUTO) or "") or interpolators.DIS
        way = {"device": bench.device.name, "rife": rife}
        made: list[two_workers.Made] = []
        for workers in (1, 2):
            more = {"has_room": lambda _, two=workers == 2: two}
            work = two_workers.measured(way | more, workers, model, recipe)
            with contextlib.redirect_stdout(sys.stderr):
                made.append(asyncio.run(work))
            film = made[-1]
            yield (
                f"film, {model.name} {side}x{side}, {workers} worker{'s' * (workers - 1)}",
                {
                    "s": film.seconds,
                    "of one": film.seconds / made[0].seconds,
                    "first preview after s": film.first,
                    "with loading": film.cold,
                    "drawn by": "DIS" if rife == interpolators.DIS else "RIFE",
                },
            )
        assert made[0].parts == made[1].parts, "two workers made other frames than one"


def a_model(bench: Bench, folder: Path) -> tuple[Model, int]:
    """Return what a film is painted with: real shapes on a GPU."""
    if bench.rehearse:
        return catalogue()[OFFLINE], 64
    pipeline(SD15, bench.device.name, bench.device.torch_dtype).save_pretrained(folder / SD15)
    if bench.device.kind == "cuda":
        torch.cuda.empty_cache()
    return catalogue([str(folder / SD15)])[SD15], 512


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "tests": gpu_tests,
    "rife": in_betweens,
    "enlarging": enlarging,
    "sd15": lambda bench: painting(bench, SD15),
    "sdxl": lambda bench: painting(bench, SDXL),
    "batches": at_once,
    "film": film,
}


def main() -> None:
    """Measure one section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--seconds", type=float, default=60.0, help="that it may take")
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    ends = time.monotonic() + options.seconds
    device = choose_device("cpu" if options.rehearse else "auto")
    for case, values in SECTIONS[options.section](Bench(device, options.rehearse, ends)):
        print(json.dumps({"case": case, "values": values}), flush=True)


if __name__ == "__main__":
    main()
