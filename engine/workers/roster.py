"""Which workers an engine has: from what its operator asks for to a crew.

It asks torch or Ray in a process of their own, so the server loads neither.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import psutil

from engine.errors import InvalidParameterError
from engine.wire.messages.responses import DeviceInfo
from engine.workers.pool import Crew
from engine.workers.process import ROOT, Foreman

ALL = "all"
PATIENCE = 90.0  # seconds until a question counts as unanswered
ROOM = 4_000_000_000  # free bytes beside a model: what it paints with, and a second worker
BRIDGE = (sys.executable, "-m", "engine.workers.ray_bridge")
SILENT = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is told to Ray's makers


async def muster(
    devices: str,
    worker: Sequence[str],
    on_preview: Callable[[bytes], None],
    has_room: Callable[[DeviceInfo], bool],
) -> Crew:
    """Return the crew for the devices of this machine.

    Args:
        devices: names with commas between them, as ``render.device`` knows them, or ``all``.
        worker: command that starts one; ``--device`` is appended.
        on_preview: as ``Foreman`` wants it.
        has_room: tells whether a device on which a model is loaded gets a second worker.

    Raises:
        InvalidParameterError: torch did not tell which devices there are.
    """
    if devices == ALL:
        devices = await _answer((*worker, "--list"), "device", "name the devices")
    names = [name.strip() for name in devices.split(",")]
    environment = _threads(len(names)) if len(names) > 1 else {}

    def second(device: DeviceInfo) -> Foreman | None:
        there = has_room(device)
        return Foreman(worker, device.kind, on_preview, environment) if there else None

    return Crew([Foreman(worker, name, on_preview, environment) for name in names], second)


async def muster_cluster(address: str, rife: str, on_preview: Callable[[bytes], None]) -> Crew:
    """Return the crew for a Ray cluster: a worker for each share of it that was there just now.

    Args:
        address: of the cluster's head, ``host:port``; this machine is one of its nodes.
        rife: the operator's choice of a network.
        on_preview: as ``Foreman`` wants it.

    Raises:
        InvalidParameterError: no cluster answers, or it has no room for a worker.
    """
    command = (*BRIDGE, "--ray", address, "--rife", rife)
    remedy = "pip install -r engine/requirements-ray.txt, and ray start on every machine"
    shares = (await _answer(command, "ray", remedy)).split()
    return Crew([Foreman(command, share, on_preview, SILENT) for share in shares])


def roomy(device: DeviceInfo) -> bool:
    """Tell whether a GPU has room for a worker that draws beside the one that paints."""
    return device.kind.startswith("cuda") and device.free_memory >= ROOM


async def _answer(command: Sequence[str], field: str, remedy: str) -> str:
    """Return what a command prints; it must print something and end well."""
    asked = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, **SILENT}
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await asked.communicate()
    except TimeoutError:
        asked.kill()
        await asked.wait()
        said = b""
    if asked.returncode or not said:
        raise InvalidParameterError(field, "nothing answers that could do the work", remedy)
    return said.decode()


def _threads(workers: int) -> dict[str, str]:
    """Return the variable by which workers of one machine share its cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(asked) if asked.isdecimal() else psutil.cpu_count(logical=False) or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // workers))}
