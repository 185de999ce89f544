"""Stretches as they grow, and what is seen where one of their keyframes came out blank.

Pure: it knows keyframes by their indexes in the plan.
"""

import itertools
from collections.abc import Mapping, Sequence

from engine.errors import BlankError
from engine.film.timeline import Stretch


class Part:
    """A stretch, the keyframes in it by index, in order of time, and what is known of them."""

    def __init__(self, stretch: Stretch, run: int, keyframes: list[int]) -> None:
        self.stretch, self.run, self.keyframes = stretch, run, keyframes
        self.grown = stretch.even
        self.connected = False
        self.distances: dict[tuple[int, int], float] = {}

    @property
    def ahead(self) -> int:
        """Number of keyframes that may still be added."""
        return 0 if self.grown else self.stretch.gaps + 1 - len(self.keyframes)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Neighbours, by index."""
        return list(itertools.pairwise(self.keyframes))


class Sight:
    """Which keyframe is seen in one's place: itself, unless it came out blank.

    Then it is the last one before it that did not, else the first after it, and across a cut only
    if there is no other.
    """

    def __init__(self, parts: Sequence[Part], usable: Mapping[int, bool]) -> None:
        """Look at a film's stretches, in order, and at its painted keyframes, as they grow."""
        self._parts, self._usable = parts, usable

    def of(self, index: int) -> int | None:
        """Return what is seen in the film; None while that is not known yet.

        Raises:
            BlankError: no keyframe of the film can be used.
        """
        return self._nearest(index, self._around(index))

    def while_growing(self, index: int, part: Part) -> int:
        """Return what is seen as far as a stretch has grown; 0 where everything is blank."""
        earlier = self._parts[: self._parts.index(part) + 1]
        sight = [i for other in earlier if other.run == part.run for i in other.keyframes]
        return self._nearest(index, sight) or 0

    def _around(self, index: int) -> list[int]:
        """Return the keyframes around one that no cut lies between, or all if none is usable."""
        if self._usable.get(index):
            return [index]
        everything = [i for part in self._parts for i in part.keyframes]
        run = next(part.run for part in self._parts if index in part.keyframes)
        around = [i for part in self._parts if part.run == run for i in part.keyframes]
        unknown = len(self._usable) < len({*everything})
        if unknown or any(self._usable[i] for i in around):
            return around
        if not any(self._usable.values()):
            raise BlankError(len(self._usable))
        return everything

    def _nearest(self, index: int, sight: list[int]) -> int | None:
        """Return the nearest usable keyframe in sight, earlier ones first; None: not known yet."""
        place = sight.index(index)
        for other in (*sight[place::-1], *sight[place + 1 :]):
            if other not in self._usable:
                return None
            if self._usable[other]:
                return other
        return None
