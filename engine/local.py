"""The engine on this computer: find the engine of a data folder, start it as a child, stop it.

The app and the command line use it; it knows nothing of what engines do.
"""

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path

import platformdirs

from engine.errors import EngineError, EngineUnreachableError
from engine.wire.messages.limits import HEALTH_PATH
from engine.wire.pairing import LINK_FILE, Pairing

START_TIMEOUT = 60.0  # seconds that an engine may take until it answers
STOP_TIMEOUT = 10.0  # seconds that it may take to end by itself
ROOT = Path(__file__).parent.parent

_children: defaultdict[Path, list[subprocess.Popen[bytes]]] = defaultdict(list)  # by data folder


def data_folder() -> Path:
    """Return the folder of VisionFlux on this computer; VISIONFLUX_DATA overrides it.

    It is absolute, for an engine that is started as a child runs in another folder.
    """
    given = os.environ.get("VISIONFLUX_DATA")
    return absolute(given) if given else Path(platformdirs.user_data_dir("visionflux"))


def absolute(path: str) -> Path:
    """Return a folder that the user named, whatever the current one will be."""
    return Path(path).expanduser().absolute()


# Never through a proxy that the environment names: the engine is on this computer.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def find_engine(data: Path) -> Pairing | None:
    """Return the engine that runs on ``data`` and answers, if there is one."""
    with contextlib.suppress(OSError):
        engine = Pairing.parse((data / LINK_FILE).read_text())
        if healthy(engine):
            return engine
    return None


def healthy(engine: Pairing) -> bool:
    """Tell whether an engine answers on its address."""
    try:
        with DIRECT.open(engine.url + HEALTH_PATH, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def ensure_local_engine(data: Path) -> Pairing:
    """Return the engine of a data folder, started as a child of this process if none runs.

    Args:
        data: VisionFlux's folder; the engine keeps its things in ``engine`` there.

    Raises:
        EngineUnreachableError: it could not be started; its log says why.
    """
    folder = data / "engine"
    if engine := find_engine(folder):
        return engine
    folder.mkdir(parents=True, exist_ok=True)
    log_file = folder / "engine.log"
    child = _start(data, log_file)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and child.poll() is None:
        if engine := find_engine(folder):
            return engine
        time.sleep(0.1)
    raise EngineUnreachableError(
        "the engine on this computer did not start",
        remedy=f"read the end of {log_file}, or run: python -m engine doctor",
    )


def end_local_engine(data: Path) -> None:
    """Stop the engine of a data folder; it resumes its jobs when it is started again.

    Raises:
        EngineError: another program started it.
    """
    for child in _children.pop(data, []):
        assert child.stdin
        child.stdin.close()
        try:
            child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if find_engine(data / "engine"):
        raise EngineError(
            "another program started the engine on this computer", remedy="end it there"
        )


def _start(data: Path, log_file: Path) -> subprocess.Popen[bytes]:
    """Start an engine that ends when this process does."""
    with log_file.open("ab") as log:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "engine", "serve", "--data", str(data)),
                *("--port", "0", "--until-input-ends"),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # it prints its pairing link there, which no log may hold
            stderr=log,
        )
    _children[data].append(child)  # its standard input ends with this process, and it with that
    return child
