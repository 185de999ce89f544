"""Does the live channel keep up? Twenty previews a second for a minute, from an engine to pixels.

    python -m benchmarks.live [--seconds 60] [--rate 20] [--still]

An engine whose worker paints numbered pictures at an even pace, the app as a user serves it, and a
Chromium that watches the film being made. All between is real: pipe, credit, engine protocol,
hub, relay, stage. The page reads the number that its canvas shows, once per frame of the browser,
and the worker writes down when it sent each one. Prints how many were shown a second, how long they
took, what the app's process needed, and whether the stage was ever mounted anew, and fails where
that is more than ``LIMITS`` allow. The clock of the page ticks with its frames: 17 ms.
"""

import argparse
import asyncio
import io
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from playwright.sync_api import Page

from benchmarks.library import browser_of
from engine import daemon
from engine.film.preview_budget import PreviewQuality
from engine.film.recipe import Recipe, Scene
from engine.models import Card, Model
from tests.browser.conftest import ROOT, serving
from tests.stand_ins import worker as stand_in_worker
from ui.storage.saved_draft import DraftFile, SavedDraft

SCENE = Scene(prompt="numbers", seconds=12)
FILM = Recipe(scenes=(SCENE,), model="numbers", num_inference_steps=100)  # long enough
BITS = 16  # blocks in the uppermost rows of a picture, white for 1
WARM = 5.0  # seconds before the measurement
LIMITS = {"shown": 0.95, "latency": 0.060, "processor": 0.10, "memory": 1.02}
BASE = ROOT / "static" / "showcase" / "a-day-at-the-lake.jpg"
SAMPLE = """({bits, canvas}) => {
  const context = canvas.getContext("2d");
  const seen = window.seen = [];
  canvas.marked = true;
  let last = -1;
  const look = () => {
    const {width} = canvas, row = context.getImageData(0, 4, width, 1).data;
    let number = 0;
    for (let bit = 0; bit < bits; bit++) {
      number = 2 * number + (row[4 * Math.floor((bit + 0.5) * width / bits)] > 127);
    }
    if (number !== last) seen.push([number, performance.timeOrigin + performance.now()]);
    last = number;
    requestAnimationFrame(look);
  };
  look();
}"""


# The engine's side, in processes of its own


def work(rate: float, notes: Path) -> None:
    """Be a worker that makes ``rate`` steps a second and notes when each picture left."""
    begun, steps = time.monotonic(), itertools.count(1)
    numbers, file = itertools.count(1), notes.open("a", buffering=1)

    def pace() -> None:
        time.sleep(max(0.0, begun + next(steps) / rate - time.monotonic()))

    def picture(setting: PreviewQuality) -> bytes:
        number = next(numbers) % 2**BITS
        jpeg = numbered(number, setting.side, setting.quality)
        file.write(f"{number} {time.time()}\n")
        return jpeg

    stand_in_worker.pace, stand_in_worker.picture = pace, picture
    stand_in_worker.main()


def numbered(number: int, side: int, quality: int) -> bytes:
    """Return a picture that says its number in black and white."""
    image, block = scenery(side).copy(), side // BITS
    for bit in range(BITS):
        colour = "white" if number >> (BITS - 1 - bit) & 1 else "black"
        image.paste(colour, (bit * block, 0, (bit + 1) * block, 16))
    image.save(jpeg := io.BytesIO(), "JPEG", quality=quality)
    return jpeg.getvalue()


@cache
def scenery(side: int) -> Image.Image:
    """Return what is below the number."""
    return Image.open(BASE).convert("RGB").resize((side, side))


def serve(data: Path, rate: float, notes: Path) -> None:
    """Be an engine with that worker."""
    worker = (sys.executable, "-m", "benchmarks.live", f"--work={rate}", f"--notes={notes}")
    models = {"numbers": Model(name="numbers", source="nowhere", card=Card(title="Numbers"))}
    options = daemon.Options(data=data / "engine", models=models, worker=worker)
    asyncio.run(daemon.serve(options, until_input_ends=True))


@contextmanager
def an_engine(data: Path, rate: float, notes: Path) -> Iterator[None]:
    """Run it where the app looks for the engine of this computer."""
    command = [sys.executable, "-m", "benchmarks.live", f"--serve={rate}", f"--notes={notes}"]
    process = subprocess.Popen(
        [*command, f"--data={data}"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline().startswith(b"Pairing link")
    try:
        yield
    finally:
        process.terminate()
        process.wait()


# The measurement


def watch(page: Page, address: str, seconds: float, app: psutil.Process) -> dict[str, Any]:
    """Have a film made, watch it for a while, and return what was seen and what it took."""
    page.goto(f"{address}/create")
    page.get_by_role("button", name="Generate", disabled=False).click()
    canvas = page.locator("canvas.picture[data-previews]")
    canvas.wait_for()
    page.wait_for_timeout(1000 * WARM)
    page.evaluate(SAMPLE, {"bits": BITS, "canvas": canvas.element_handle()})
    before, memory, begun = app.cpu_times(), [app.memory_info().rss], time.time()
    while time.time() < begun + seconds:
        page.wait_for_timeout(5_000)
        memory.append(app.memory_info().rss)
    after, ended = app.cpu_times(), time.time()
    used = after.user + after.system - before.user - before.system
    same = page.locator("canvas.picture").evaluate("canvas => canvas.marked === true")
    seen = [(number, at / 1000) for number, at in page.evaluate("window.seen")]
    return {
        "seen": [(number, at) for number, at in seen if begun < at < ended],
        "seconds": ended - begun,
        "processor": used / (ended - begun),
        "memory": memory,
        "same": same,
    }


def report(found: dict[str, Any], notes: Path, rate: float) -> bool:
    """Print what was found; return whether it is within the limits."""
    sent = {int(number): float(at) for number, at in map(str.split, notes.read_text().splitlines())}
    waits = sorted(at - sent[number] for number, at in found["seen"][1:] if number in sent)
    shown, memory = len(waits) / found["seconds"], found["memory"]
    late = waits[int(0.95 * len(waits))]
    gaps = [b[1] - a[1] for a, b in itertools.pairwise(found["seen"])]
    print(
        f"{rate:g} a second for {found['seconds']:.0f} s: {shown:.2f} shown a second, "
        f"engine to pixel median {1000 * statistics.median(waits):.0f} ms, "
        f"95 of 100 within {1000 * late:.0f} ms, worst {1000 * waits[-1]:.0f} ms, "
        f"longest pause {1000 * max(gaps):.0f} ms\n"
        f"app: {100 * found['processor']:.1f} % of a core, memory {memory[0] / 2**20:.1f} MiB, "
        f"then {min(memory) / 2**20:.1f} to {max(memory) / 2**20:.1f}; "
        f"stage mounted {'once' if found['same'] else 'ANEW'}; "
        f"load of the machine {os.getloadavg()[0]:.1f}"
    )
    return (
        shown >= LIMITS["shown"] * rate
        and late <= LIMITS["latency"]
        and found["processor"] <= LIMITS["processor"]
        and memory[-1] <= LIMITS["memory"] * memory[0]
        and found["same"]
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=20.0, help="previews a second")
    parser.add_argument("--still", action="store_true", help="pause the film behind the page")
    for hidden, kind in (("serve", float), ("work", float), ("notes", Path), ("data", Path)):
        parser.add_argument(f"--{hidden}", type=kind, help=argparse.SUPPRESS)
    wanted, _ = parser.parse_known_args()  # a worker is told its device, too
    if wanted.work:
        work(wanted.work, wanted.notes)
    elif wanted.serve:
        serve(wanted.data, wanted.serve, wanted.notes)
    else:
        return measure(wanted.rate, wanted.seconds, still=wanted.still)
    return 0


def measure(rate: float, seconds: float, *, still: bool) -> int:
    """Start everything, watch, and tell by the exit status whether it was good enough."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "data").mkdir()
        notes = folder / "sent.txt"
        DraftFile(folder / "data" / "storyboard.json").write(SavedDraft(FILM))
        stack.enter_context(an_engine(folder / "data", rate, notes))
        app = stack.enter_context(serving(folder / "data", folder / "app.log"))
        page = browser_of(stack).new_context(viewport={"width": 1440, "height": 900}).new_page()
        if still:
            page.add_init_script("localStorage.setItem('visionflux-motion', 'off')")
        found = watch(page, app.address, seconds, psutil.Process(app.process.popen.pid))
        return 0 if report(found, notes, rate) else 1


if __name__ == "__main__":
    sys.exit(main())
