"""The saved pairing links, and which engine is chosen.

Links contain keys, so their file is readable by its owner only. It does not know connections.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.errors import BadLinkError
from engine.wire.pairing import Pairing
from ui.storage.files import read_json, write_json

log = logging.getLogger(__name__)

LOCAL = "local"  # key of the engine on this computer, which needs no saved link


class SavedPairings(msgspec.Struct):
    """The file's content.

    Attributes:
        chosen: ``LOCAL``, or the address of the engine that new films are submitted to.
        resting: whether the user has stopped the engine on this computer.
        links: pairing links by address.
        engines: known ids of the engines, by address.
    """

    chosen: str = LOCAL
    resting: bool = False
    links: dict[str, str] = {}
    engines: dict[str, str] = {}


class Pairings:
    """Reads the file once and writes it on every change; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._saved = read_json(path, SavedPairings) or SavedPairings()

    @property
    def chosen(self) -> str:
        """``LOCAL``, or the address of the chosen engine."""
        return self._saved.chosen

    @property
    def local_stopped(self) -> bool:
        """Whether the user has stopped the engine on this computer."""
        return self._saved.resting

    def stop_local(self, stopped: bool) -> None:
        """Save whether the engine on this computer is stopped."""
        with self._changing() as saved:
            saved.resting = stopped

    def pairings(self) -> dict[str, Pairing]:
        """Return the saved pairings by address; a link that is not valid is skipped and logged."""
        with self._lock:
            links = dict(self._saved.links)
        found = {}
        for key, link in links.items():
            try:
                found[key] = Pairing.parse(link)
            except BadLinkError as error:  # the file keeps it: the user may want to correct it
                log.warning("the saved link to %s is skipped: %s", key, error)
        return found

    def engine(self, key: str) -> str:
        """Return the id of the engine at an address; empty if it was never reached."""
        with self._lock:
            return self._saved.engines.get(key, "")

    def save_engine(self, key: str, engine: str) -> None:
        """Save the id of the engine at a saved address."""
        with self._lock:
            if key in self._saved.links and self._saved.engines.get(key) != engine:
                self._saved.engines[key] = engine
                write_json(self._path, self._saved)

    def save(self, pairing: Pairing) -> None:
        """Save a pairing; it replaces one of the same address."""
        with self._changing() as saved:
            saved.links[pairing.url] = pairing.link

    def choose(self, key: str) -> None:
        """Save which engine new films are submitted to."""
        with self._changing() as saved:
            saved.chosen = key

    def forget(self, key: str) -> None:
        """Remove a pairing; if it was chosen, choose the engine on this computer."""
        with self._changing() as saved:
            saved.links.pop(key, None)
            saved.engines.pop(key, None)
            if saved.chosen == key:
                saved.chosen = LOCAL

    @contextmanager
    def _changing(self) -> Iterator[SavedPairings]:
        """Lock the content while it is changed, then write it."""
        with self._lock:
            yield self._saved
            write_json(self._path, self._saved)
