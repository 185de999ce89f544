"""The engine as a process that goes on without the notebook: started, found again, ended.

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
START_TIMEOUT = 180.0  # seconds that an engine may take until it is reached
STOP_TIMEOUT = 20.0  # seconds that an engine may take to end


class Trouble(Exception):
    """Something that whoever runs the notebook can put right; shown without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [str(self)]


@dataclass(frozen=True)
class Wishes:
    """What the notebook's form says."""

    tunnel: str = "none"
    token: str = ""
    domain: str = ""
    model: str = ""

    def __repr__(self) -> str:
        return f"Wishes(tunnel={self.tunnel!r}, model={self.model!r}, token=…)"

    def fingerprint(self, key: str) -> str:
        """Return what tells these wishes from others without telling the token."""
        told = json.dumps([self.tunnel, self.token, self.domain, self.model])
        return hmac.new(key.encode(), told.encode(), hashlib.sha256).hexdigest()


def start(data: Path, key: str, wishes: Wishes, *, port: int = PORT) -> str:
    """Start the engine, or take the one that runs as wished; return its pairing link.

    Args:
        data: the folder for films and jobs.
        key: of the engine, 64 hexadecimal digits.
        wishes: of the form.
        port: of this machine; another is taken if somebody has it.

    Raises:
        Trouble: it did not start; says why.
    """
    folder = data / "engine"
    asked = wishes.fingerprint(key)
    if alive(data) and _noted(data).get("asked") == asked:
        print("The engine runs already, as wished.")
    else:
        stop(data)
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(folder / "engine.key", key)
        _launch(data, asked, wishes, _free(port))
    return _link(data, folder / ("engine.link" if wishes.tunnel == "none" else "tunnel.link"))


def stop(data: Path) -> None:
    """End the engine and what it left behind; its jobs go on when it is started again."""
    pid: int = _noted(data).get("pid", 0)
    if alive(data):
        print("Ending the engine that runs…")
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        while alive(data) and time.monotonic() < deadline:
            time.sleep(0.1)
    if pid and (alive(data) or _over(pid)):  # else its number is somebody else's
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def alive(data: Path) -> bool:
    """Tell whether the engine that was started for ``data`` still runs."""
    import psutil

    for started in _started:
        started.poll()  # lets the system forget one that has ended
    with suppress(psutil.NoSuchProcess, KeyError):
        noted = _noted(data)
        process = psutil.Process(noted["pid"])
        same = abs(process.create_time() - noted["began"]) < 2  # numbers come again
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _over(pid: int) -> bool:
    """Tell whether a process has ended, even if nobody has taken note of it yet."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


def _free(port: int) -> int:
    """Return ``port`` if nobody has it, else 0, which takes a free one."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return port
    print(f"Port {port} is taken; the engine takes another.")
    return 0


def _launch(data: Path, asked: str, wishes: Wishes, port: int) -> None:
    import psutil

    command = [sys.executable, "-m", "engine", "serve", "--data", str(data), "--port", str(port)]
    command += ["--tunnel", wishes.tunnel, "--domain", wishes.domain]
    command += ["--model", wishes.model] if wishes.model else []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if wishes.tunnel == "ngrok":
        environment["NGROK_AUTHTOKEN"] = wishes.token
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
    noted = {"pid": engine.pid, "began": began, "asked": asked, "tunnel": wishes.tunnel}
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
    """Return where the engine's log goes."""
    return data / "engine.log"


def last_words(data: Path) -> str:
    """Return the end of the engine's log, from its last error on if there is one."""
    lines = log_file(data).read_text(errors="replace").strip().splitlines()
    errors = [index for index, line in enumerate(lines) if line.startswith("E_")]
    return "\n".join(lines[errors[-1] :] if errors else lines[-8:])


def wished_tunnel(data: Path) -> str:
    """Return the tunnel that the running engine was started with."""
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
