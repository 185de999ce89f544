"""The time that pieces of a film take, as values: one in the making, and many of a kind.

It does not know what they are pieces of.
"""

import msgspec


class Span(msgspec.Struct):
    """Seconds spent on ``count`` pieces of one kind of work."""

    seconds: float = 0.0
    count: int = 0

    def mean(self, guess: float) -> float:
        """Return seconds per piece, ``guess`` while nothing was measured."""
        return self.seconds / self.count if self.count else guess


class Piece(msgspec.Struct):
    """A keyframe or segment in the making: steps or frames done, and its share of the time.

    Where several are made at once, time is shared among them: so many pieces in so many seconds.
    ``row``: place of a keyframe among those that one device paints at once.
    """

    done: int = 0
    seconds: float = 0.0
    row: int = 0
