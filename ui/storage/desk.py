"""The storyboard that lies on the desk: what a new visit or a second tab finds of the last one.

It knows one small file, not what a draft means.
"""

import threading
from pathlib import Path

from ui.storage.draft import Kept
from ui.storage.files import keep, recall


class Desk:
    """Reads and writes the draft; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: Kept | None = None
        self._writing = threading.Lock()

    def read(self) -> Kept | None:
        """Return what lies there; a file that cannot be read counts as none."""
        with self._writing:
            if self._kept is None:
                self._kept = recall(self._path, Kept)
            return self._kept

    def write(self, kept: Kept | None) -> None:
        """Keep a draft if there is one to keep and it is another than before."""
        with self._writing:
            if kept is not None and kept != self._kept:
                self._kept = kept
                keep(self._path, kept)
