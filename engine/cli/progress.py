"""Progress bars on the terminal: of a download, and of the frames of a film."""

import sys
from typing import Any, Self

from tqdm import tqdm

TERMINAL_INTERVAL = 0.5  # seconds between two states of the progress bar
LOG_INTERVAL = 5.0  # the same where the output goes to a file


class _Bar:
    """A progress bar on the terminal, from the first report on."""

    def __init__(self, **options: Any) -> None:
        interval = TERMINAL_INTERVAL if sys.stderr.isatty() else LOG_INTERVAL
        self._options = {"mininterval": interval, "maxinterval": interval, **options}
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _report(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(initial=done, total=total, **self._options)
        self._bar.update(done - self._bar.n)


class DownloadProgress(_Bar):
    """Shows how much of the network's weights has been downloaded."""

    def __init__(self) -> None:
        super().__init__(desc="downloading the network", unit="B", unit_scale=True)

    def __call__(self, done: int, total: int) -> None:
        """Report bytes, done and in total; the bar appears with the first byte."""
        if done:
            self._report(done, total)


class FrameProgress(_Bar):
    """Shows how many frames are done, how fast they are drawn and how long the rest takes."""

    def __init__(self, total: int) -> None:
        super().__init__(unit=" frames")
        self._total = total

    def __call__(self, done: int) -> None:
        """Report frames that are done; the first time, those that an earlier run has left."""
        if self._bar is None and done:
            print(f"resuming after frame {done}", file=sys.stderr)
        self._report(done, self._total)
