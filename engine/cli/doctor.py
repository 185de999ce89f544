"""``python -m engine doctor``: reports what this machine can do, and what is missing.

It changes nothing.
"""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from engine import __version__
from engine.errors import VisionFluxError
from engine.local import find_engine
from engine.models import KNOWN, catalogue, interpolators

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "websockets", "moviepy")
MIN_FREE_BYTES = 2 * 2**30  # bytes of a few films and their nodes
GIB = 2**30

Finding = tuple[bool, str, str]  # good, what was found, what to do


def run(data: Path, sources: list[str], rife: str = interpolators.AUTO) -> int:
    """Print one line for each finding; return 0 if the machine can make films."""
    print(f"VisionFlux {__version__} on Python {platform.python_version()}, {platform.platform()}")
    good = True
    for fine, found, remedy in findings(data, sources, rife):
        good &= fine
        print(
            f"  {'ok  ' if fine else 'MISS'}  {found}" + (f"\n        → {remedy}" if remedy else "")
        )
    print("This machine can make films." if good else "Something is missing; see above.")
    return 0 if good else 1


def findings(data: Path, sources: list[str], rife: str = interpolators.AUTO) -> Iterator[Finding]:
    """Yield the findings, in the order in which things are needed."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _packages,
        _device,
        _encoder,
        lambda: _models(sources),
        lambda: _network(rife),
        lambda: _folder(data),
    ]
    for check in checks:
        try:
            yield from check()
        except VisionFluxError as error:
            yield False, str(error), error.remedy
        except ImportError as error:
            yield (
                False,
                str(error),
                "install the packages: make run, or pip install -r requirements.txt",
            )


def _python() -> Iterator[Finding]:
    fine = sys.version_info >= (3, 11)
    yield fine, f"Python {platform.python_version()}", "" if fine else "use Python 3.11 or newer"


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield True, f"{name} {importlib.metadata.version(name)}", ""
        except importlib.metadata.PackageNotFoundError:
            yield False, f"{name} is not installed", "pip install -r requirements.txt"


def _device() -> Iterator[Finding]:
    from engine.render.device import available, choose_device, describe

    for name in available():
        found = describe(choose_device(name))
        memory = f"{found['free_bytes'] / GIB:.1f} of {found['total_bytes'] / GIB:.1f} GiB free"
        yield True, f"{name}: {found['label']}, {found['dtype']}, {memory}", ""
    if available() == ["cpu"]:
        tip = "the offline model paints well on it; Stable Diffusion wants a GPU engine"
        yield True, "no GPU here", tip


def _encoder() -> Iterator[Finding]:
    from engine.render.video.ffmpeg import version

    yield True, f"ffmpeg {version()}", ""


def _models(sources: list[str]) -> Iterator[Finding]:
    from engine.render.device import choose_device

    device = choose_device()
    offered = catalogue(sources)
    for model in offered.values():
        card = model.card
        size = f", {card.download / 1e9:.1f} GB" if card.download else ""
        place = "here" if model.here else f"downloaded at its first film{size}"
        licence = f"; licence: {card.licence}" if card.licence else ""
        tight = device.kind == "cuda" and card.memory > device.total_bytes
        tip = f"it wants {card.memory / 1e9:.1f} GB of a GPU; it will paint slowly" if tight else ""
        yield True, f"model {model.name} ({place}{licence})", tip
    others = [f"{name} ({KNOWN[name].card.download / 1e9:.1f} GB)" for name in KNOWN]
    unused = [text for name, text in zip(KNOWN, others, strict=True) if name not in offered]
    if unused:
        yield True, f"more models: {', '.join(unused)}", "offer one with --model NAME"


def _network(rife: str) -> Iterator[Finding]:
    from engine.render.rife.interpolator import open_interpolator
    from engine.render.weights.rife import find_official

    if rife in (interpolators.AUTO, *interpolators.FETCHABLE) and not find_official(rife):
        tip = "download it now with: python -m engine fetch; without it DIS optical flow draws"
        yield True, f"in-betweens: {interpolators.label(rife)}, downloaded at the first film", tip
        return
    drawing, _ = open_interpolator(rife, "cpu", lambda done, total: None)
    yield True, f"in-betweens: {interpolators.display_name(drawing.identity)}", ""


def _folder(data: Path) -> Iterator[Finding]:
    existing = next(path for path in (data, *data.parents) if path.exists())
    writable = os.access(existing, os.W_OK)
    yield writable, f"data folder {data}", "" if writable else "choose another with --data"
    free = shutil.disk_usage(existing).free
    remedy = (
        "" if free > MIN_FREE_BYTES else "free some disk space: films and keyframes are kept there"
    )
    yield free > MIN_FREE_BYTES, f"{free / GIB:.1f} GiB free on its disk", remedy
    running = find_engine(data)
    yield True, "an engine runs on it" if running else "no engine runs on it", ""
