"""Starts, finds and stops the engine, a process that outlives the notebook.

It knows the engine's command line and the files in its folder.
"""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PORT = 8765
_started: list[subprocess.Popen[bytes]] = []  # they may outlive this process
START_TIMEOUT = 180.0  # seconds until an engine must be reachable
STOP_TIMEOUT = 20.0  # seconds until an engine that does not stop is killed


class Trouble(Exception):
    """A problem that the notebook's user can solve; shown without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [str(self)]


@dataclass(frozen=True)
class Options:
    """The values of the notebook's form."""

    tunnel: str = "none"
    token: str = ""
    domain: str = ""
    model: str = ""

    def __repr__(self) -> str:
        return f"Options(tunnel={self.tunnel!r}, model={self.model!r}, token=…)"

    def fingerprint(self, key: str) -> str:
        """Return a hash that identifies these values and does not reveal the token."""
        told = json.dumps([self.tunnel, self.token, self.domain, self.model])
        return hmac.new(key.encode(), told.encode(), hashlib.sha256).hexdigest()


def start(data: Path, key: str, options: Options, *, port: int = PORT) -> str:
    """Start the engine, unless one runs with the same values; return its pairing link.

    Args:
        data: the folder for films and jobs.
        key: the engine's key, 64 hexadecimal digits.
        options: the values of the form.
        port: of this machine; if it is in use, a free one is taken.

    Raises:
        Trouble: it did not start, with the reason.
    """
    folder = data / "engine"
    asked = options.fingerprint(key)
    if alive(data) and _noted(data).get("asked") == asked:
        print("The engine runs already with these settings.")
    else:
        stop(data)
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(folder / "engine.key", key)
        _launch(data, asked, options, _free(port))
    return _link(data, folder / ("engine.link" if options.tunnel == "none" else "tunnel.link"))


def stop(data: Path) -> None:
    """Stop the engine and its child processes; its jobs resume when it is started again."""
    pid: int = _noted(data).get("pid", 0)
    if alive(data):
        print("Ending the engine that runs…")
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        while alive(data) and time.monotonic() < deadline:
            time.sleep(0.1)
    if pid and (alive(data) or _over(pid)):  # else its id belongs to another process
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def alive(data: Path) -> bool:
    """Return whether the engine that was started for ``data`` still runs."""
    import psutil

    for started in _started:
        started.poll()  # reaps it if it has ended
    with suppress(psutil.NoSuchProcess, KeyError):
        noted = _noted(data)
        process = psutil.Process(noted["pid"])
        same = abs(process.create_time() - noted["began"]) < 2  # ids are reused
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _over(pid: int) -> bool:
    """Return whether a process has ended, even if it was not reaped yet."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


def _free(port: int) -> int:
    """Return ``port`` if it is free, else 0, by which the system chooses a free one."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return port
    print(f"Port {port} is taken; the engine takes another.")
    return 0


def _launch(data: Path, asked: str, options: Options, port: int) -> None:
    import psutil

    command = [sys.executable, "-m", "engine", "serve", "--data", str(data), "--port", str(port)]
    command += ["--tunnel", options.tunnel, "--domain", options.domain]
    command += ["--model", options.model] if options.model else []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if options.tunnel == "ngrok":
        environment["NGROK_AUTHTOKEN"] = options.token
    for name in ("engine.link", "tunnel.link"):
        (data / "engine" / name).unlink(missing_ok=True)
    with log_file(data).open("wb") as log:
        engine = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # it prints its link there, which no log may hold
            stderr=log,
            start_new_session=True,  # the kernel may be restarted without it
        )
    _started.append(engine)
    began = psutil.Process(engine.pid).create_time()
    noted = {"pid": engine.pid, "began": began, "asked": asked, "tunnel": options.tunnel}
    _write_private(data / "hosted.json", json.dumps(noted))


def _link(data: Path, file: Path) -> str:
    """Wait for the pairing link of the engine that was started."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and alive(data):
        with suppress(FileNotFoundError):
            return file.read_text()
        time.sleep(0.2)
    raise Trouble(f"The engine could not be reached.\n{last_words(data)}")


def log_file(data: Path) -> Path:
    """Return the path of the engine's log."""
    return data / "engine.log"


def last_words(data: Path) -> str:
    """Return the end of the engine's log, from its last error on if there is one."""
    lines = log_file(data).read_text(errors="replace").strip().splitlines()
    errors = [index for index, line in enumerate(lines) if line.startswith("E_")]
    return "\n".join(lines[errors[-1] :] if errors else lines[-8:])


def chosen_tunnel(data: Path) -> str:
    """Return the name of the tunnel that the running engine was started with."""
    return str(_noted(data).get("tunnel", "none"))


def _noted(data: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads((data / "hosted.json").read_text())
        return found
    return {}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
