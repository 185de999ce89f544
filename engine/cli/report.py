"""What a command that makes films reports meanwhile: a bar, lines of a log, or JSON.

Which one it is depends on ``--json`` and on whether somebody watches a terminal. It knows the state
of a job; it knows no connection. ``docs/command-line.md`` documents the JSON.
"""

import sys
import time
from typing import Any, Protocol

import msgspec
from tqdm import tqdm

from engine.errors import VisionFluxError
from engine.film.activity import activity as pieces_activity
from engine.film.progress import Progress

LOG_SECONDS = 30.0  # between two lines of a log
JSON_SECONDS = 1.0  # between two events of the same phase


class Report(Protocol):
    """Where the state of films is shown."""

    def progress(self, output: str, progress: Progress, place: tuple[int, int]) -> None:
        """Report how far a film is; ``place``: which it is, from 0, and of how many."""

    def note(self, text: str) -> None:
        """Report something that a person should know."""

    def finished(self, output: str, text: str, facts: dict[str, Any]) -> None:
        """Report a saved film, in a sentence and in numbers."""

    def failed(self, output: str, error: VisionFluxError) -> None:
        """Report a film that cannot be made; whoever runs the command prints the error."""

    def close(self) -> None:
        """Leave what is shown as it is."""


def report(*, as_json: bool) -> Report:
    """Return the report for the output that this process has."""
    if as_json:
        return JsonReport()
    return BarReport() if sys.stderr.isatty() else LogReport()


def activity(progress: Progress) -> str:
    """Return in a few words what the engine does."""
    if progress.phase == "loading":
        return f"Loading {progress.model or 'the model'} · {progress.loaded_percent:.0f} %"
    return pieces_activity(progress) or progress.status


def share(progress: Progress, place: tuple[int, int]) -> float:
    """Return the share of all films that is done, in [0, 1]."""
    index, count = place
    return (index + progress.fraction) / count


def line(progress: Progress, place: tuple[int, int]) -> str:
    """Return what is done right now; of several films, it names which."""
    index, count = place
    return f"film {index + 1} of {count} · " * (count > 1) + activity(progress)


class BarReport:
    """A progress bar on a terminal."""

    def __init__(self) -> None:
        layout = "{percentage:3.0f}% |{bar}| {desc} [{elapsed}{postfix}]"
        self._bar = tqdm(total=100, bar_format=layout, delay=0.2)

    def progress(self, output: str, progress: Progress, place: tuple[int, int]) -> None:
        """Move the bar."""
        self._bar.n = round(100 * share(progress, place), 1)
        remaining = progress.remaining
        left = f" < {remaining:.0f} s left" if remaining else ""
        self._bar.set_postfix_str(left, refresh=False)
        self._bar.set_description_str(line(progress, place))

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.write(text, file=sys.stderr)

    def finished(self, output: str, text: str, facts: dict[str, Any]) -> None:
        """Print the sentence."""
        self.note(text)

    def failed(self, output: str, error: VisionFluxError) -> None:
        """Print nothing."""

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class Pace:
    """Chooses which states are reported: those of another film or phase, and one now and then."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._phase, self._next = seconds, "", 0.0

    def due(self, progress: Progress, place: tuple[int, int]) -> bool:
        """Return whether to report a state; the end of a film is reported by other means."""
        phase, now = f"{place[0]} {progress.phase}", time.monotonic()
        if progress.final or (phase == self._phase and now < self._next):
            return False
        self._phase, self._next = phase, now + self._seconds
        return True


class LogReport:
    """A line now and then, for a file or a pipe."""

    def __init__(self) -> None:
        self._pace = Pace(LOG_SECONDS)

    def progress(self, output: str, progress: Progress, place: tuple[int, int]) -> None:
        """Print a line if the phase is another, or the last line is old."""
        if self._pace.due(progress, place):
            self.note(f"{100 * share(progress, place):3.0f} % {line(progress, place)}")

    def note(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def finished(self, output: str, text: str, facts: dict[str, Any]) -> None:
        """Print the sentence."""
        self.note(text)

    def failed(self, output: str, error: VisionFluxError) -> None:
        """Print nothing."""

    def close(self) -> None:
        """Do nothing."""


class JsonReport:
    """One event a line on the standard output, for programs."""

    def __init__(self) -> None:
        self._pace = Pace(JSON_SECONDS)

    def progress(self, output: str, progress: Progress, place: tuple[int, int]) -> None:
        """Write the state if the phase is another, or the last state is old."""
        if not self._pace.due(progress, place):
            return
        remaining = progress.remaining
        self._write(
            "progress",
            output=output,
            film=place[0] + 1,
            films=place[1],
            fraction=round(progress.fraction, 4),
            phase=progress.phase,
            activity=activity(progress),
            remaining=None if remaining is None else round(remaining, 1),
        )

    def note(self, text: str) -> None:
        """Write a note."""
        self._write("note", message=text)

    def finished(self, output: str, text: str, facts: dict[str, Any]) -> None:
        """Write the numbers."""
        self._write("finished", output=output, **facts)

    def failed(self, output: str, error: VisionFluxError) -> None:
        """Write the error."""
        self._write("failed", output=output, **msgspec.structs.asdict(error.report()))

    def close(self) -> None:
        """Do nothing."""

    def _write(self, event: str, **facts: Any) -> None:
        print(msgspec.json.encode({"event": event, **facts}).decode(), flush=True)
