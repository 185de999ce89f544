"""What the user has set for all films, kept in one small file. It does not know what it is for."""

from pathlib import Path

import msgspec

from ui.settings import write_private


class Saved(msgspec.Struct):
    """The file's content, in megabytes a film."""

    mirror: int = 50
    previews: int = 6


class Preferences:
    """Reads once, writes on every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = _read(path)

    @property
    def mirror(self) -> int:
        """Megabytes of each unfinished film that may be kept on this laptop."""
        return self._saved.mirror

    @mirror.setter
    def mirror(self, megabytes: int) -> None:
        self._saved.mirror = max(0, megabytes)
        self._write()

    @property
    def previews(self) -> int:
        """Megabytes that the previews of a film from an engine elsewhere may take."""
        return self._saved.previews

    @previews.setter
    def previews(self, megabytes: int) -> None:
        self._saved.previews = max(0, megabytes)
        self._write()

    def _write(self) -> None:
        write_private(self._path, msgspec.json.encode(self._saved))


def _read(path: Path) -> Saved:
    """Return what was saved; a file that cannot be read counts as none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Saved)
    except (FileNotFoundError, msgspec.DecodeError):
        return Saved()
