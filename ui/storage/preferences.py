"""Settings of the user that apply to all films, in a JSON file.

It does not know how they are used.
"""

import threading
from pathlib import Path

import msgspec

from ui.storage.files import read_json, write_json

MEGABYTE = 1_000_000  # bytes


class SavedPreferences(msgspec.Struct):
    """The file's content, in megabytes per film."""

    mirror: int = 50
    previews: int = 6


class Preferences:
    """Reads the file once and writes it on every change; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._saved = read_json(path, SavedPreferences) or SavedPreferences()

    @property
    def mirror(self) -> int:
        """Megabytes of each unfinished film that may be kept on this laptop."""
        return self._saved.mirror

    @mirror.setter
    def mirror(self, megabytes: int) -> None:
        self._change(mirror=megabytes)

    @property
    def mirror_budget(self) -> int:
        """Bytes of each unfinished film that may be kept on this laptop."""
        return self.mirror * MEGABYTE

    @property
    def previews(self) -> int:
        """Megabytes that the previews of a film from a remote engine may take."""
        return self._saved.previews

    @previews.setter
    def previews(self, megabytes: int) -> None:
        self._change(previews=megabytes)

    @property
    def preview_budget(self) -> int:
        """Bytes that the previews of a film from a remote engine may take."""
        return self.previews * MEGABYTE

    def _change(self, **megabytes: int) -> None:
        with self._lock:
            limited = {name: max(0, value) for name, value in megabytes.items()}
            self._saved = msgspec.structs.replace(self._saved, **limited)
            write_json(self._path, self._saved)
