"""The pairing links that this laptop has saved, and which engine is chosen.

They hold keys, so their file is readable by its owner only. It does not know connections.
"""

from pathlib import Path

import msgspec

from engine.wire.pairing import Pairing
from ui.storage.files import keep, recall

LOCAL = "local"  # stands for the engine on this computer, which needs no saved link


class SavedPairings(msgspec.Struct):
    """The file's content.

    Attributes:
        resting: whether the engine on this computer is to stay stopped.
        links: by address.
        engines: their ids, where they are known, by address.
    """

    chosen: str = LOCAL
    resting: bool = False
    links: dict[str, str] = {}
    engines: dict[str, str] = {}


class Pairings:
    """Reads once, writes on every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = recall(path, SavedPairings) or SavedPairings()

    @property
    def chosen(self) -> str:
        """``LOCAL`` or the address of the chosen engine."""
        return self._saved.chosen

    @property
    def resting(self) -> bool:
        """Whether the engine on this computer is to stay stopped."""
        return self._saved.resting

    def rest(self, resting: bool) -> None:
        """Remember whether the engine on this computer is to stay stopped."""
        self._saved.resting = resting
        self._write()

    def pairings(self) -> dict[str, Pairing]:
        """Return the saved pairings by address."""
        return {key: Pairing.parse(link) for key, link in self._saved.links.items()}

    def engine(self, key: str) -> str:
        """Return the id of the engine at an address; empty if it was never reached."""
        return self._saved.engines.get(key, "")

    def met(self, key: str, engine: str) -> None:
        """Remember the id of the engine at a saved address."""
        if key in self._saved.links and self._saved.engines.get(key) != engine:
            self._saved.engines[key] = engine
            self._write()

    def save(self, pairing: Pairing) -> None:
        """Keep a pairing; one of the same address is replaced."""
        self._saved.links[pairing.url] = pairing.link
        self._write()

    def choose(self, key: str) -> None:
        """Remember which engine new films go to."""
        self._saved.chosen = key
        self._write()

    def forget(self, key: str) -> None:
        """Drop a pairing; if it was chosen, this computer's engine is."""
        self._saved.links.pop(key, None)
        self._saved.engines.pop(key, None)
        if self._saved.chosen == key:
            self._saved.chosen = LOCAL
        self._write()

    def _write(self) -> None:
        keep(self._path, self._saved)
