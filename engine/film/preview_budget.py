"""What previews may cost: how large, how good and how many, so that a film's stay within a budget.

The rule: of ``SETTINGS``, best first, the first counts at which everything still to come would fit
into what is left of the budget. A link that takes long to acknowledge a preview moves the choice
down, one that is quick moves it up again. The first preview and the finished picture of each
keyframe go at every setting. Pure: no clock, no sockets, no pictures.
"""

import math

import msgspec

from engine.film.progress import Progress
from engine.film.recipe import Recipe
from engine.film.stages import STAGES, Stage

MAX_BUDGET_BYTES = 2**40
# An acknowledgement that takes longer makes the next preview smaller; a quicker one, larger.
SLOW_SECONDS, QUICK_SECONDS = 1.0, 0.3


class PreviewQuality(msgspec.Struct, frozen=True):
    """How previews are made.

    Attributes:
        side: pixels of the longer side, at most.
        quality: of JPEG.
        every: one of so many denoising steps or frames is shown.
        guess: bytes that one takes as a rule; measured with the offline model.
    """

    side: int
    quality: int
    every: int
    guess: int

    def shows(self, kind: str, step: int) -> bool:
        """Tell whether a preview goes; ``step`` counts from 1."""
        return kind == "keyframe" or (step - 1) % self.every == 0


SETTINGS = (
    PreviewQuality(256, 80, 1, 5_500),
    PreviewQuality(256, 80, 2, 5_500),
    PreviewQuality(256, 65, 4, 4_300),
    PreviewQuality(192, 70, 4, 3_300),
    PreviewQuality(128, 60, 4, 1_900),
    PreviewQuality(96, 50, 8, 1_400),
    PreviewQuality(64, 40, 16, 1_000),
)


class PreviewBudget:
    """What one watcher may still be sent of one film's previews.

    Attributes:
        left: bytes; None stands for no limit.
    """

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self._weight = 1.0  # of this film's previews against the guesses
        self._measured = False
        self._floor = 0  # the best setting that the link is good for

    @property
    def empty(self) -> bool:
        """Whether nothing more may be sent."""
        return self.left is not None and self.left <= 0

    def choose(self, progress: Progress, recipe: Recipe) -> PreviewQuality:
        """Return the setting at which the rest of the film fits, or the smallest one."""
        for setting in SETTINGS[self._floor :]:
            cost = setting.guess * self._weight * to_come(progress, recipe, setting.every)
            if self.left is None or cost <= self.left:
                return setting
        return SETTINGS[-1]

    def spend(self, size: int, setting: PreviewQuality) -> None:
        """Count a preview of ``size`` bytes that was asked for at ``setting``."""
        if self.left is not None:
            self.left -= size
        weight = size / setting.guess
        self._weight += (weight - self._weight) * (0.25 if self._measured else 1.0)
        self._measured = True

    def acknowledged(self, seconds: float) -> None:
        """Learn how long a preview took to arrive and be acknowledged."""
        if seconds > SLOW_SECONDS:
            self._floor = min(self._floor + 1, len(SETTINGS) - 1)
        elif seconds < QUICK_SECONDS:
            self._floor = max(self._floor - 1, 0)


def to_come(progress: Progress, recipe: Recipe, every: int) -> int:
    """Return how many previews the unfinished part of a film has, one of ``every`` steps."""

    def missing(stage: Stage) -> int:
        return progress.missing(stage) if progress.plan else stage.expected(recipe)

    return sum(
        math.ceil(missing(stage) * stage.previews(recipe, every)) for stage in STAGES.values()
    )
