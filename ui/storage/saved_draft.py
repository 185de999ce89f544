"""Saves the draft of a session for the next visit, and brings it back.

Knows the draft's fields and one file; nothing of widgets.
"""

import threading
from pathlib import Path

import msgspec
from msgspec import UNSET

from engine.errors import VisionFluxError
from engine.film.recipe import Recipe
from ui.storage import files
from ui.storage.draft import FILLER, State, current, load, recipe_of


class SavedDraft(msgspec.Struct, frozen=True):
    """A draft as it is saved on disk.

    Attributes:
        recipe: of the film.
        empty: indices of the scenes without a prompt.
        locked, guessed, remix_of, submitted: as in ``Draft``.
        gate: ``keyframes_first`` of the ``Draft``.
    """

    recipe: Recipe
    empty: tuple[int, ...] = ()
    locked: bool = False
    gate: bool = False
    guessed: bool = False
    remix_of: str | msgspec.UnsetType = UNSET
    submitted: Recipe | msgspec.UnsetType = UNSET


def restore(state: State, saved: SavedDraft) -> None:
    """Resume a saved draft, unless there is a draft."""
    if "draft" in state:
        return
    load(state, saved.recipe)
    draft = current(state)
    draft.locked, draft.keyframes_first, draft.guessed = saved.locked, saved.gate, saved.guessed
    draft.remix_of, draft.submitted = saved.remix_of or "", saved.submitted or None
    for index, scene in enumerate(draft.scenes):
        if index in saved.empty:
            scene.prompt = ""


def to_save(state: State) -> SavedDraft | None:
    """Return the draft in the form in which it is saved; None if it is not a valid recipe."""
    draft = current(state)
    try:
        recipe = recipe_of(state, filler=FILLER)
    except VisionFluxError:
        return None
    empty = tuple(index for index, scene in enumerate(draft.scenes) if scene.empty)
    return SavedDraft(
        recipe,
        empty,
        draft.locked,
        draft.keyframes_first,
        draft.guessed,
        draft.remix_of or UNSET,
        draft.submitted or UNSET,
    )


class DraftFile:
    """Reads and writes the saved draft; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: SavedDraft | None = None
        self._writing = threading.Lock()

    def read(self) -> SavedDraft | None:
        """Return the saved draft; None if there is no file or it cannot be read."""
        with self._writing:
            if self._saved is None:
                self._saved = files.read_json(self._path, SavedDraft)
            return self._saved

    def write(self, draft: SavedDraft | None) -> None:
        """Save a draft unless it is None or unchanged."""
        with self._writing:
            if draft is not None and draft != self._saved:
                self._saved = draft
                files.write_json(self._path, draft)
