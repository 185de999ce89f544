"""One command that measures a GPU: at most eight minutes, one table and one JSON file.

    python -m benchmarks.gpu [--out FOLDER]       # any CUDA card; no network is needed
    python -m benchmarks.gpu --rehearse           # the same on a CPU, with tiny networks

Each section (``benchmarks.gpu_sections``) has a process of its own, with the GPU's memory to itself
and its share of the time. A section that fails or runs out of time keeps what it has measured
until then, and its traceback stands in the JSON; the others run all the same. This module knows
sections by name only, and no torch.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

# Seconds of each section, in the order in which they run; the last one gets what is left over.
SECTIONS = {
    "tests": 60,
    "rife": 45,
    "enlarging": 40,
    "sd15": 75,
    "sdxl": 110,
    "batches": 60,
    "film": 80,
}
MOST_SECONDS = 480.0
GRACE_SECONDS = 5.0  # beyond its time, until a section is ended
KEPT_CHARACTERS = 8_000  # of what a section wrote to its standard error
NO_GPU = "No CUDA device was found; `python -m benchmarks.gpu --rehearse` tries the CPU."


def main() -> None:
    """Run the sections and write the table and the JSON; exit status 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(), help="folder of gpu.md and gpu.json")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny networks")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    machine = describe(options.rehearse)
    if not machine:
        print(NO_GPU, file=sys.stderr)
        raise SystemExit(2)
    print(f"{machine['label']}, torch {machine['torch']}", flush=True)
    ends, found = time.monotonic() + MOST_SECONDS, []
    for name in options.sections:
        left = ends - time.monotonic() - GRACE_SECONDS
        seconds = left if name == options.sections[-1] else min(SECTIONS[name], left)
        found.append(run(name, seconds, options.rehearse))
        print("\n".join(lines(found[-1])), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine, "rehearsal": options.rehearse, "sections": found}
    (options.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "gpu.md").write_text(table(report))
    print(f"written: {options.out / 'gpu.md'}, {options.out / 'gpu.json'}")
    raise SystemExit(any(section["error"] for section in found))


def describe(rehearse: bool) -> dict[str, Any]:
    """Return what is measured, as a process of its own finds it; nothing if there is no GPU."""
    code = (
        "import json; from engine.render.device import choose_device, describe;"
        f"device = choose_device({'cpu' if rehearse else 'auto'!r});"
        "print(json.dumps(describe(device)))"
    )
    made = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found if rehearse or found["name"].startswith("cuda") else {}


def run(name: str, seconds: float, rehearse: bool) -> dict[str, Any]:
    """Run one section and return its rows, however it ends.

    Returns:
        ``name``, ``seconds`` that it took, ``rows`` and ``error``: "" or what went wrong.
    """
    section: dict[str, Any] = {"name": name, "seconds": 0.0, "rows": [], "error": ""}
    if seconds <= 0:
        return section | {"error": "no time was left"}
    command = [sys.executable, "-m", "benchmarks.gpu_sections", name, f"--seconds={seconds:.0f}"]
    command += ["--rehearse"] if rehearse else []
    begun = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        said = Lines(process)
        section["rows"], late = rows_of(said, begun + seconds + GRACE_SECONDS)
        try:
            status = process.wait(0 if late else GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(process.pid, signal.SIGKILL)  # and the workers that it has started
            status = process.wait()
        said.join()
        section["seconds"] = round(time.monotonic() - begun, 1)
        if late or status:
            errors.seek(0)
            wrote = errors.read().decode(errors="replace")[-KEPT_CHARACTERS:]
            reason = f"it was not done after {seconds:.0f} s" if late else f"exit status {status}"
            section["error"] = f"{reason}\n{wrote}".strip()
    return section


class Lines(threading.Thread):
    """Reads what a process writes, line by line, so that waiting for a line can have an end.

    Attributes:
        heard: the lines; None after the last.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        super().__init__(daemon=True)
        self._process = process
        self.heard: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        """Read until the process closes its output."""
        assert self._process.stdout
        with self._process.stdout as output:
            for line in output:
                self.heard.put(line)
        self.heard.put(None)


def rows_of(said: Lines, until: float) -> tuple[list[dict[str, Any]], bool]:
    """Return the rows that a section writes, one a line, and whether it was still at it."""
    rows: list[dict[str, Any]] = []
    while True:
        try:
            line = said.heard.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return rows, True
        if line is None:
            return rows, False
        if line.startswith(b'{"case"'):  # other lines are of libraries
            rows.append(json.loads(line))


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown for docs/performance.md."""
    machine = report["machine"]
    head = [
        f"`python -m benchmarks.gpu`{' --rehearse' if report['rehearsal'] else ''}: "
        f"{machine['label']}, {machine['total_bytes'] / 1e9:.0f} GB, {machine['dtype']}, "
        f"torch {machine['torch']}.",
        "",
        "| section | case | measured |",
        "| --- | --- | --- |",
    ]
    body = [line for section in report["sections"] for line in lines(section)]
    return "\n".join([*head, *body]) + "\n"


def lines(section: dict[str, Any]) -> list[str]:
    """Return a section's rows of the table, and one for its error."""
    found = [
        f"| {section['name']} | {row['case']} | {figures(row['values'])} |"
        for row in section["rows"]
    ]
    if section["error"]:
        about = section["error"].splitlines()
        last = about[0] if len(about) == 1 else f"{about[0]}: {about[-1][:160]}"
        found.append(f"| {section['name']} | **failed** | {last.replace('|', '/')} |")
    return found


def figures(values: dict[str, Any]) -> str:
    """Return values with their names, as in "ratio 1.52, peak GB 4.1"."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


if __name__ == "__main__":
    main()
