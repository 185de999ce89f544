"""Downloads models from a hub into the local cache, and reports bytes.

It knows the hub's API and its cache: commits, pins, and how to work offline. It does not know which
files are needed, and loads nothing.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from tqdm import tqdm

from engine._compat import counts_written_bytes
from engine.errors import ModelLoadError, StorageError
from engine.render.weights.files import Choose

OnBytes = Callable[[int, int], None]
PIN_REF = "visionflux"  # a reference beside "main", to the commit that was downloaded first
UNREACHABLE_ERRORS = (httpx2.TransportError, OfflineModeIsEnabled, LocalEntryNotFoundError)


class Wanted(NamedTuple):
    """Files of one repository.

    Attributes:
        repo: hub id, ``owner/name``.
        revision: a commit; "" takes the first one downloaded on this machine, and pins it.
        choose: given the names of its files, and a way to read one, returns those to fetch.
    """

    repo: str
    revision: str
    choose: Choose


def fetch(
    wanted: Sequence[Wanted],
    on_bytes: OnBytes,
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> list[Path]:
    """Return the folders of models of a hub, after downloading what the cache lacks.

    Args:
        wanted: in the order in which the folders are returned.
        on_bytes: called with bytes done and in total; from several threads, one at a time.
        endpoint: another hub's address; None is the default one, or ``HF_ENDPOINT``.
        cache: another cache folder; None is the usual one, or ``HF_HOME``.

    Raises:
        ModelLoadError: no such model, no access, no network and no copy in the cache, or no
            safetensors in it.
        StorageError: the disk is full.
    """
    hub = _Hub(endpoint, cache or Path(constants.HF_HUB_CACHE))
    listed = [hub.list(one) for one in wanted]
    total = sum(files.bytes for files in listed if files)
    count = counter(on_bytes, total)
    folders = [hub.locate(one, files, count) for one, files in zip(wanted, listed, strict=True)]
    if total:
        on_bytes(total, total)  # files of the cache were not counted
    return folders


class _Files(NamedTuple):
    """The files to download from a repository: commit, names and total bytes."""

    commit: str
    names: list[str]
    bytes: int


class _Hub:
    """A hub and the cache of its files, which serves where the hub cannot be reached."""

    def __init__(self, endpoint: str | None, cache: Path) -> None:
        self._endpoint, self._cache = endpoint, cache

    def list(self, wanted: Wanted) -> _Files | None:
        """Return the files to download; None if the hub cannot be reached."""
        with _translated(wanted.repo):
            try:
                revision = wanted.revision or self._pin(wanted.repo)
                info = HfApi(endpoint=self._endpoint).model_info(
                    wanted.repo, revision=revision or None, files_metadata=True, timeout=20
                )
                commit = str(info.sha)
                sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
                names = wanted.choose(list(sizes), partial(self._read, wanted.repo, commit))
            except UNREACHABLE_ERRORS:
                return None
        return _Files(commit, names, sum(sizes[name] for name in names))

    def locate(self, wanted: Wanted, files: _Files | None, count: type[Any]) -> Path:
        """Return the folder with a repository's files."""
        if files is None:
            return self._kept(wanted)
        with _translated(wanted.repo):
            try:
                folder = snapshot_download(
                    wanted.repo,
                    revision=files.commit,
                    allow_patterns=files.names,
                    endpoint=self._endpoint,
                    cache_dir=self._cache,
                    tqdm_class=count,
                )
            except UNREACHABLE_ERRORS:
                return self._kept(wanted)
        if not wanted.revision:
            self._pin_file(wanted.repo).parent.mkdir(parents=True, exist_ok=True)
            self._pin_file(wanted.repo).write_text(files.commit)
        return Path(folder)

    def _read(self, repo: str, commit: str, name: str) -> bytes:
        path = hf_hub_download(
            repo, name, revision=commit, endpoint=self._endpoint, cache_dir=self._cache
        )
        return Path(path).read_bytes()

    def _pin(self, repo: str) -> str:
        """Return the commit of an unpinned repository that was downloaded first."""
        pin = self._pin_file(repo)
        return pin.read_text().strip() if pin.is_file() else ""

    def _pin_file(self, repo: str) -> Path:
        """The file in which the cache keeps the commit of our reference."""
        folder = str(repo_folder_name(repo_id=repo, repo_type="model"))
        return self._cache / folder / "refs" / PIN_REF

    def _kept(self, wanted: Wanted) -> Path:
        """Return the copy of an earlier download."""
        revision = wanted.revision or self._pin(wanted.repo) or None
        try:
            return Path(
                snapshot_download(
                    wanted.repo, revision=revision, cache_dir=self._cache, local_files_only=True
                )
            )
        except (OSError, ValueError) as error:
            # The hub's library takes a snapshot without the files that we leave out as incomplete.
            if folder := getattr(error, "snapshot_path", None):
                return Path(folder)
            raise ModelLoadError(
                wanted.repo,
                "the hub cannot be reached and no copy is in the cache",
                "check the network of the machine that runs the engine, or give it a local folder",
            ) from error


@contextlib.contextmanager
def _translated(repo: str) -> Iterator[None]:
    """Translate errors of the hub's library into ours."""
    try:
        yield
    except HfHubHTTPError as error:
        raise _refused(repo, error) from error
    except OSError as error:
        raise StorageError(f"the model {repo} could not be stored: {error}") from error


def _refused(repo: str, error: HfHubHTTPError) -> ModelLoadError:
    if isinstance(error, GatedRepoError):
        return ModelLoadError(
            repo,
            "its owner wants to be asked first",
            "accept its terms on the hub, then log in on the engine's machine: hf auth login",
        )
    if isinstance(error, RepositoryNotFoundError):
        return ModelLoadError(
            repo,
            "the hub has no such model, or it is private",
            "check the spelling; for a private model log in: hf auth login",
        )
    return ModelLoadError(repo, f"the hub answered: {error}", "try again in some minutes")


def counter(on_bytes: OnBytes, total: int | None = None) -> type[Any]:
    """Return a silent progress bar class that reports bytes written instead of drawing.

    Args:
        on_bytes: called with bytes done and in total, from one thread at a time.
        total: of all files; None takes it from the bar, as suits a single file.
    """
    lock = threading.Lock()
    done = 0

    class Counter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.counts = counts_written_bytes(kwargs)
            self.whole = total or kwargs.get("total") or 0
            kwargs["disable"] = True
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal done
            if self.counts and n:
                with lock:
                    done = min(self.whole or done + int(n), done + int(n))
                    on_bytes(done, self.whole)
            return None

    return Counter
