"""Fetches a model from a hub into the local cache, counting bytes.

It knows the hub's API and which files of a pipeline are needed: safetensors and configuration,
never pickles and never code. It does not load anything.
"""

import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from tqdm import tqdm

from engine.errors import ModelLoadError, StorageError

OnBytes = Callable[[int, int], None]
CONFIGURATION = {".json", ".txt", ".model"}


def fetch(
    repo: str,
    on_bytes: OnBytes,
    *,
    half: bool = False,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Path:
    """Return the folder of a hub's model, fetching what the cache lacks.

    Args:
        repo: hub id, ``owner/name``.
        on_bytes: called with bytes done and in total; from several threads, one at a time.
        half: prefer float16 files where the model offers them: half the bytes.
        endpoint: another hub's address; None is the default one, or ``HF_ENDPOINT``.
        cache: another cache folder; None is the usual one, or ``HF_HOME``.

    Raises:
        ModelLoadError: no such model, no access, no network and no copy in the cache, or no
            safetensors in it.
        StorageError: the disk is full.
    """
    try:
        sizes = _sizes(HfApi(endpoint=endpoint), repo)
        names = needed(repo, list(sizes), half=half)
        count = counter(on_bytes, sum(sizes[name] for name in names))
        folder = snapshot_download(
            repo, allow_patterns=names, endpoint=endpoint, cache_dir=cache, tqdm_class=count
        )
    except (httpx2.TransportError, OfflineModeIsEnabled, LocalEntryNotFoundError):
        return _cached(repo, cache)
    except HfHubHTTPError as error:
        raise _refused(repo, error) from error
    except OSError as error:
        raise StorageError(f"the model {repo} could not be stored: {error}") from error
    return Path(folder)


def needed(repo: str, names: list[str], *, half: bool) -> list[str]:
    """Choose the files to fetch: configuration, and of each component one safetensors set.

    Raises:
        ModelLoadError: a component comes as a pickle only, or this is no diffusers pipeline.
    """
    if "model_index.json" not in names:
        raise ModelLoadError(
            repo, "it is not in diffusers layout", "choose a repository with a model_index.json"
        )
    inside = [name for name in names if name.count("/") <= 1]
    chosen = [name for name in inside if PurePosixPath(name).suffix in CONFIGURATION]
    for folder in sorted({name.partition("/")[0] for name in inside if "/" in name}):
        chosen += _weights(repo, [name for name in inside if name.startswith(f"{folder}/")], half)
    return chosen


def has_half(folder: Path) -> bool:
    """Tell whether a model folder holds float16 files under their usual names."""
    return any(folder.glob("unet/*.fp16.safetensors"))


def _weights(repo: str, names: list[str], half: bool) -> list[str]:
    safe = [name for name in names if name.endswith(".safetensors")]
    plain = [name for name in safe if ".fp16" not in name and ".non_ema" not in name]
    small = [name for name in safe if ".fp16." in name]
    pickled = [name for name in names if name.endswith((".bin", ".ckpt", ".pt"))]
    if pickled and not safe:
        raise ModelLoadError(
            repo,
            f"{pickled[0]} is a pickle, which can run code when it is opened",
            "choose a repository whose weights are safetensors",
        )
    return small if half and small else plain or small


def _sizes(api: HfApi, repo: str) -> dict[str, int]:
    """Return the repository's files and their sizes in bytes."""
    files = api.model_info(repo, files_metadata=True, timeout=20).siblings or []
    return {file.rfilename: file.size or 0 for file in files}


def _cached(repo: str, cache: Path | None) -> Path:
    """Return the copy that an earlier download left."""
    try:
        return Path(snapshot_download(repo, cache_dir=cache, local_files_only=True))
    except (OSError, ValueError) as error:
        # To the hub's library a snapshot without the files that we left out is incomplete.
        if folder := getattr(error, "snapshot_path", None):
            return Path(folder)
        raise ModelLoadError(
            repo,
            "the hub cannot be reached and no copy is in the cache",
            "check the network of the machine that runs the engine, or give it a local folder",
        ) from error


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
            # Other bars count files, or bytes received, which compression may make fewer.
            received = "downloading bytes" in str(kwargs.get("desc", "")).lower()
            self.counts = kwargs.get("unit") == "B" and not received
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
