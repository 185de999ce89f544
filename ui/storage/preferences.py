"""What the user has set for all films, kept in one small file. It does not know what it is for."""

from pathlib import Path

import msgspec

from ui.storage.files import keep, recall

MEGABYTE = 1_000_000  # bytes


class SavedPreferences(msgspec.Struct):
    """The file's content, in megabytes a film."""

    mirror: int = 50
    previews: int = 6


class Preferences:
    """Reads once, writes on every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = recall(path, SavedPreferences) or SavedPreferences()

    @property
    def mirror(self) -> int:
        """Megabytes of each unfinished film that may be kept on this laptop."""
        return self._saved.mirror

    @mirror.setter
    def mirror(self, megabytes: int) -> None:
        self._saved.mirror = max(0, megabytes)
        self._write()

    @property
    def mirror_budget(self) -> int:
        """The same in bytes."""
        return self.mirror * MEGABYTE

    @property
    def previews(self) -> int:
        """Megabytes that the previews of a film from an engine elsewhere may take."""
        return self._saved.previews

    @previews.setter
    def previews(self, megabytes: int) -> None:
        self._saved.previews = max(0, megabytes)
        self._write()

    @property
    def preview_budget(self) -> int:
        """The same in bytes."""
        return self.previews * MEGABYTE

    def _write(self) -> None:
        keep(self._path, self._saved)
