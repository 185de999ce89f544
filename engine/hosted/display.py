"""Shows the state of the engine in the notebook, and makes films without the app."""

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from engine.hosted.process import ROOT, Trouble, alive, chosen_tunnel, last_words

# Never through a proxy of the environment: the engine is on this machine.
DIRECT_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def status(data: Path) -> str:
    """Return the state of the engine in one line."""
    if not alive(data):
        return f"● The engine has ended. Run the cell above again.\n{last_words(data)}"
    with suppress(OSError, ValueError):
        url = (data / "engine" / "engine.link").read_text().partition("/#")[0]
        with DIRECT_OPENER.open(url + "/healthz", timeout=5) as answer:
            found = json.load(answer)
        queue = f"{found['queue']} waiting" if found["queue"] else "nobody waits"
        device = "warms up" if found["device"] == "starting" else f"runs on {found['device']}"
        return f"● The engine {device} · {queue} · {_reached(data)}"
    return "● The engine runs, but does not answer at the moment."


def _reached(data: Path) -> str:
    with suppress(FileNotFoundError):
        link = (data / "engine" / "tunnel.link").read_text()
        return f"reached by {link.partition('/#')[0]}\n  Pairing link: {link}"
    tunnel = chosen_tunnel(data)
    return "reached on this machine only" if tunnel == "none" else f"{tunnel} is being opened again"


def watch(data: Path, minutes: float) -> None:
    """Show the state of the engine for a while; the engine does not depend on it."""
    from IPython.display import display, update_display

    deadline = time.monotonic() + 60 * minutes
    shown = {"raw": True, "display_id": "visionflux"}
    display({"text/plain": status(data)}, **shown)
    while time.monotonic() < deadline:
        time.sleep(3)
        now = f"{time.strftime('%H:%M:%S')} {status(data)}"
        update_display({"text/plain": now}, **shown)


def film(data: Path, prompts: list[str], seconds: float, model: str, file: Path) -> None:
    """Make a film with the engine and save it, without the app.

    Raises:
        Trouble: the engine could not make it, with the reason.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "engine", "render", *prompts, "--seconds", str(seconds)]
    command += ["--data", str(data), "--model", model, "--output", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as making:
        assert making.stderr
        told = []
        for line in map(str.strip, making.stderr):  # a bar begins its line anew each time
            if "%|" in line:
                print(f"\r{line:<100}", end="", flush=True)
            else:
                told.append(line)
    if making.returncode:
        raise Trouble("\n".join(told))
    print("\n".join(["", *told, f"Saved: {file}"]))


def drive() -> Path:
    """Return a folder of the user's Drive on Colab, which asks for permission; else a local one."""
    try:
        from google.colab import drive
    except ImportError:
        return Path.cwd() / "films"
    drive.mount("/content/drive")
    return Path("/content/drive/MyDrive/VisionFlux")
