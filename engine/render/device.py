"""Devices: which one renders, and in which number format.

It knows torch's devices; it knows no model and no job.
"""

import contextlib
import functools
import math
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import psutil
import torch
import torch.nn.functional as F

from engine.errors import DeviceMemoryError, InvalidParameterError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PROBES = 5  # convolutions that are timed in each number format
DTYPES = {"float16": torch.float16, "float32": torch.float32}
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
)  # MPS, POSIX, Windows


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device and the number format that suits it.

    Attributes:
        name: torch's name, ``cuda:0``, ``mps`` or ``cpu``.
        label: the maker's name for it.
        dtype: ``float16`` or ``float32``.
        total_bytes: its memory; on a CPU or a Mac, the machine's.
        free_bytes: what was free of it when it was chosen.
        threads: CPU threads that torch uses for one operation.
    """

    name: str
    label: str
    dtype: str
    total_bytes: int
    free_bytes: int
    threads: int

    @property
    def torch_dtype(self) -> torch.dtype:
        """The number format as a torch dtype."""
        return DTYPES[self.dtype]

    @property
    def kind(self) -> str:
        """``cuda``, ``mps`` or ``cpu``."""
        return self.name.partition(":")[0]


def choose_device(name: str = "auto") -> Device:
    """Return the device to draw on and set torch up for it.

    Args:
        name: ``auto`` (the CUDA device with most free memory, else MPS, else the CPU), ``cpu``,
            ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        InvalidParameterError: this machine has no such device.
    """
    if name not in available() and name not in ("auto", "cuda"):
        raise _unknown(name)
    torch.set_num_threads(cpu_threads())
    torch.backends.cudnn.deterministic = True  # the same node, the same picture
    if name in ("auto", "cuda"):
        cards = [card for card in available() if card.startswith("cuda")]
        if name == "cuda" and not cards:
            raise _unknown(name)
        name = max(cards, key=lambda card: memory(card)[0], default=available()[0])
    free, total = memory(name)
    return Device(
        name=name,
        label=_label(name),
        dtype=_dtype(name),
        total_bytes=total,
        free_bytes=free,
        threads=torch.get_num_threads(),
    )


def available() -> list[str]:
    """Return the devices of this machine, the best kind first."""
    cards = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [*cards, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def memory(name: str) -> tuple[int, int]:
    """Return a device's free and total memory in bytes, as of now."""
    if name.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(torch.device(name))
        return int(free), int(total)
    machine = psutil.virtual_memory()
    return min(int(machine.available), _address_space()), int(machine.total)


def forget_peak(name: str) -> None:
    """Reset ``peak_memory``, where the device supports it."""
    if name.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(torch.device(name))


def peak_memory(name: str) -> int:
    """Return the most bytes of a device that this process has used; 0 if unknown."""
    if name.startswith("cuda"):
        return int(torch.cuda.max_memory_reserved(torch.device(name)))
    if resource is None:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def cpu_threads() -> int:
    """Return the number of threads to compute with: physical cores that this process may use.

    ``OMP_NUM_THREADS`` is obeyed. Two threads on one physical core only wait for each other.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    return max(1, min(usable, psutil.cpu_count(logical=False) or usable))


@functools.cache
@torch.inference_mode()
def bfloat16_is_faster() -> bool:
    """Return whether a convolution takes less time in bfloat16 on this machine's CPU."""
    has = torch.cpu.get_capabilities()
    if not (has.get("amx_bf16") or has.get("avx512_bf16")):
        return False
    seconds = {torch.float32: math.inf, torch.bfloat16: math.inf}
    for _ in range(PROBES):
        for dtype, best in seconds.items():
            weight = torch.ones((64, 64, 3, 3), dtype=dtype)
            image = torch.ones((1, 64, 64, 64), dtype=dtype)
            image = image.contiguous(memory_format=torch.channels_last)
            start = time.perf_counter()
            F.conv2d(image, weight, padding=1)
            seconds[dtype] = min(best, time.perf_counter() - start)
    return seconds[torch.bfloat16] < seconds[torch.float32]


def describe(device: Device) -> dict[str, Any]:
    """Return what a client or ``doctor`` shows of the device, as plain JSON values."""
    free, total = memory(device.name)
    return {
        "name": device.name,
        "label": device.label,
        "dtype": device.dtype,
        "total_bytes": total,
        "free_bytes": free,
        "threads": device.threads,
        "torch": torch.__version__,
    }


@contextlib.contextmanager
def memory_errors(device: Device, doing: str) -> Iterator[None]:
    """Turn torch's memory errors into ours, with numbers; ``doing`` is as in "painting 64x64"."""
    before = _used(device.name)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        held = max(0, _used(device.name) - before)  # the traceback keeps it alive
        asked, free = _asked_for(str(error)), held + memory(device.name)[0]
        needs = f"at least {(held + asked) / 1e9:.2g} GB are needed and " if asked else ""
        raise DeviceMemoryError(
            f"{device.label} ran out of memory while {doing}: {needs}{free / 1e9:.2g} GB are free"
        ) from error


@contextlib.contextmanager
def room_errors(device: torch.device, problem: str) -> Iterator[None]:
    """Turn torch's memory errors into ours; ``problem`` is as in "two frames do not fit"."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        free = memory(str(device))[0] / 1e9
        raise DeviceMemoryError(f"{problem} into {free:.2g} GB of memory") from error


def _used(name: str) -> int:
    """Return the bytes that this process has in use on a device."""
    if name.startswith("cuda"):
        return int(torch.cuda.memory_allocated(torch.device(name)))
    if name == "mps":
        return int(torch.mps.current_allocated_memory())
    return int(psutil.Process().memory_info().rss)


def _address_space() -> int:
    """Return the bytes that this process may still map; ``ulimit -v`` may limit it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 2**63
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    unlimited = limit == resource.RLIM_INFINITY
    return 2**63 if unlimited else max(0, limit - int(psutil.Process().memory_info().vms))


def _asked_for(text: str) -> int:
    """Return the bytes of the failed allocation from torch's message; 0 if it has none."""
    found = re.search(r"ried to allocate ([\d.]+) ?(bytes|[KMG]iB)", text)
    units = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    return int(float(found[1]) * units[found[2]]) if found else 0


def _unknown(name: str) -> InvalidParameterError:
    choice = ", ".join(["auto", *available()])
    return InvalidParameterError(
        "device", f"this machine has no device {name[:40]!r}", f"choose one of: {choice}"
    )


def _label(name: str) -> str:
    if name.startswith("cuda"):
        return str(torch.cuda.get_device_name(torch.device(name)))
    if name == "mps":
        return "Apple GPU"
    return _processor() or platform.machine() or "CPU"


def _processor() -> str:
    """Return the processor's name as Linux reports it; "" elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
            return next(names, "")
    except OSError:
        return platform.processor()


def _dtype(name: str) -> str:
    """Return half precision where the hardware is made for it (Volta, T4 and newer).

    float16 also where bfloat16 is native: it rounds eight times finer, and Stable Diffusion 1.5
    was made to fit its range. On MPS others got black pictures from float16; float32 there.
    """
    if name.startswith("cuda") and torch.cuda.get_device_capability(torch.device(name)) >= (7, 0):
        return "float16"
    return "float32"


def is_memory_error(error: BaseException) -> bool:
    """Recognise CUDA's own class, and the bare RuntimeErrors of MPS, of the CPU and of oneDNN."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        any(words in text for words in OUT_OF_MEMORY) or text == "could not create a primitive"
    )
