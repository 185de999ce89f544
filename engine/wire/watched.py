"""What a client follows of one job, and from where it goes on after a break. Pure."""

from dataclasses import dataclass

from engine.wire.messages.requests import Watch


@dataclass
class Watched:
    """One job that is followed.

    Attributes:
        after: number of the last event that was seen; None while only new ones are wanted.
        previews: whether previews are wanted.
        budget: bytes of previews that may still come; None: no limit.
    """

    after: int | None
    previews: bool
    budget: int | None

    def request(self, number: int, job: str) -> Watch:
        """Return the request, under a number, that has the engine tell of ``job``."""
        return Watch(
            id=number, job=job, after=self.after, previews=self.previews, budget=self.budget
        )

    def begin(self, seq: int) -> None:
        """Take in the number of a snapshot's last event."""
        if self.after is None:
            self.after = seq  # what is new begins here, whatever breaks

    def is_new(self, seq: int) -> bool:
        """Tell whether an event was not seen before; remember that it was."""
        if self.after is not None and seq <= self.after:
            return False
        self.after = seq
        return True

    def pay(self, size: int) -> None:
        """Take what a preview took, in bytes, from the budget."""
        if self.budget is not None:
            self.budget = max(0, self.budget - size)
