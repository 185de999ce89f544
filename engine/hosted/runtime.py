"""The hosted machine: its packages, its GPU, and the ngrok token that its user keeps there."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.hosted.process import ROOT, Trouble

REQUIREMENTS = Path(__file__).parent.with_name("requirements.txt")
NO_DEPS = Path(__file__).parent.with_name("requirements-no-deps.txt")
# Installed by the machine, and left as they are.
PRESERVED_PACKAGES = ("torch", "torchvision", "torchaudio", "triton", "numpy")
SMALL_GPU_BYTES = 6 * 2**30  # bytes of a GPU below which Stable Diffusion is cramped
INSPECTION_CODE = """
import json, torch
found = {"torch": torch.__version__}
if torch.cuda.is_available():
    free, total = torch.cuda.mem_get_info()
    found |= {"name": torch.cuda.get_device_name(), "free": free, "total": total}
print(json.dumps(found))
"""


def install() -> None:
    """Install the engine's packages and keep the machine's own torch.

    Raises:
        Trouble: there is no torch, or the packages cannot be installed.
    """
    torch = _version("torch")
    if torch is None:
        raise Trouble("This runtime has no torch. Choose another: Runtime → Change runtime type.")
    print("Installing packages around the runtime's own torch. The first time takes a minute.")
    constraints = ROOT / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in _kept()))
    _pip_install("--requirement", str(REQUIREMENTS), "--constraint", str(constraints))
    _pip_install("--requirement", str(NO_DEPS), "--no-deps")
    if _version("torch") != torch:
        raise Trouble("pip changed the runtime's torch. Restart the runtime from scratch.")
    print(f"Packages are there; torch {torch} is as it was.")


def fetch_network() -> None:
    """Download the network for in-betweens; films are made without it, too."""
    command = [sys.executable, "-m", "engine", "fetch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
    print(reason if done.returncode else "RIFE, which draws in-betweens, is there.")


def _pip_install(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise Trouble(f"pip could not install the packages:\n{tail}")


def _kept() -> Iterator[str]:
    for name in PRESERVED_PACKAGES:
        if version := _version(name):
            yield f"{name}=={version}"


def _version(name: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def look_at_gpu() -> None:
    """Return in plain words what the GPU is suited for."""
    looked = subprocess.run([sys.executable, "-c", INSPECTION_CODE], capture_output=True, text=True)
    if looked.returncode:
        reason = (looked.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise Trouble(f"The runtime's torch does not work: {reason}")
    print(verdict(json.loads(looked.stdout)))


def verdict(found: dict[str, str | int]) -> str:
    """Return what a GPU is suited for; ``found`` as ``INSPECTION_CODE`` prints it."""
    if "name" not in found:
        return (
            "There is no GPU here. Runtime → Change runtime type → T4 GPU, then Run all again.\n"
            "The engine starts all the same, but Stable Diffusion takes minutes for each picture."
        )
    free, total = (int(found[name]) / 2**30 for name in ("free", "total"))
    said = f"GPU: {found['name']}, {free:.1f} of {total:.1f} GiB free."
    if int(found["free"]) < SMALL_GPU_BYTES:
        return f"{said}\nThat is little: choose small pictures, or end what else uses it."
    return f"{said} Stable Diffusion 1.5 fits well." + (" SDXL fits, too." if free > 12 else "")


def ngrok_token(given: str) -> str:
    """Return the token of the form, of Colab's secrets, or of the environment, in that order."""
    if given.strip():
        return given.strip()
    try:
        from google.colab import userdata
    except ImportError:
        return os.environ.get("NGROK_AUTHTOKEN", "")
    with suppress(userdata.SecretNotFoundError, userdata.NotebookAccessError):
        return str(userdata.get("NGROK_AUTHTOKEN") or "")
    return ""
