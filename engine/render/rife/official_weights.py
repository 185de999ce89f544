"""Downloads official weights once, reports bytes, and accepts only files with a pinned hash.

The hub's safetensors come first: a repack of the author's files without what only training
needs. The author's pickles, as vs-rife's release carries them, are the mirror; they are only
ever read by the weights-only loader. Knows the sources of files and where they are kept, not
their content.

The hashes were published by several projects that use these files. Each download is
compared with them, so a wrong hash causes a refusal, never a wrong network.
"""

import contextlib
import errno
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
from engine.render.rife.checkpoint import KNOWN_FILES
from engine.render.weights.hub import OnBytes, counter

REPO = "Comfy-Org/frame_interpolation"  # MIT, as the weights themselves
REVISION = "219da3c9d8c357ceaf457fc1d5932c6e861b8dee"
REPACKED = {
    "4.25": "1505884b9bdae956795430d2a70f7e2317b2abd8f130f8cfdb35a5759f909481",
    "4.25.lite": "e5e5fe0286d30708f4c36aa23639a38d3d7cd0c724922c66e6b04130ae12c6e4",
    "4.25.heavy": "40aa1838b91531f829caaac026f40d9d2e2f1eb12b65d1d6029a58ae4c703191",
    "4.26": "151874592c877740e5db11522f4514df569eeafb0a0fcb2696f16e9e8d317c94",
    "4.26.heavy": "d2448f68503134b8c7c5430ce6032d6c76681a9a72f0ea8e0a56c7bee813482f",
}
MIRROR = "https://github.com/HolyWu/vs-rife/releases/download/model/"
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
        folder = self.folder or cached_assets_path("visionflux", "rife", "official")
        return folder / Path(self.url).name

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


Origin = HubFile | WebFile


def origins(version: str) -> list[Origin]:
    """Return the sources of a version's weights, the safest first."""
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
        version: one of ``engine.models.interpolators.FETCHABLE``.
        on_bytes: called with bytes done and in total while it is fetched.
        places: where to look; ``origins(version)`` if empty.

    Raises:
        ModelLoadError: no source has the right file; the message has the reason for each.
        StorageError: the disk is full.
    """
    places = places or origins(version)
    if kept := find_official(version, places):
        return kept
    reasons: list[str] = []
    for place in places:
        try:
            return _checked(place.fetch(on_bytes), place)
        except (OSError, httpx2.HTTPError) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                problem = f"RIFE {version} could not be stored: {error}"
                raise StorageError(problem) from error
            reasons.append(f"{place.host}: {_reason(error)}")
    raise ModelLoadError(f"RIFE {version}", "; ".join(reasons), REMEDY)


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
