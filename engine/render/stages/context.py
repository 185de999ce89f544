"""What a stage's function works with: the loaded networks, its input files, and who is told.

It knows no stage, and neither tasks nor pipes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.render import Cancelled
from engine.render.image import Picture, read_png
from engine.render.painting.painter import Painter
from engine.render.previews.previewer import Previewer
from engine.render.rife.interpolator import Interpolator
from engine.render.upscale import Upscaler


class Piece(Protocol):
    """What is to be made: piece ``index`` of its stage, as ``node`` says, into ``target``."""

    @property
    def index(self) -> int:
        """Among the pieces of its stage, from 0."""

    @property
    def node(self) -> Any:
        """The stage's own kind of node."""

    @property
    def target(self) -> str:
        """Path of the file to write."""


@dataclass(frozen=True)
class Context:
    """One task of one job.

    Attributes:
        job: id that previews carry.
        inputs: files that the nodes are made of, by content address.
        painter: the film's diffusion model; None on a worker that does not paint.
        interpolator: the network that draws in-betweens.
        upscaler: the network that enlarges keyframes; None if they stay as painted.
        previewer: is offered pictures.
        advance: is called with a piece's index, the steps that are done, and all of its steps.
        stopped: tells whether the job was stopped.
    """

    job: str
    inputs: Mapping[str, str]
    painter: Painter | None
    interpolator: Interpolator
    upscaler: Upscaler | None
    previewer: Previewer
    advance: Callable[[int, int, int], None]
    stopped: Callable[[], bool]

    def check(self) -> None:
        """Raise ``Cancelled`` if the job was stopped."""
        if self.stopped():
            raise Cancelled

    def picture(self, name: str) -> Picture | None:
        """Read an input, a PNG, as uint8 RGB ``(height, width, 3)``; None for no name."""
        return read_png(self.inputs[name]) if name else None

    def preview(self, picture: Picture, kind: str, index: int, step: int, steps: int) -> None:
        """Offer a picture to who watches; the arguments are those of ``responses.Preview``."""
        about = {"job": self.job, "kind": kind, "index": index, "step": step, "steps": steps}
        self.previewer.offer_picture(picture, about)


Make = Callable[[Sequence[Piece], Context], Sequence[str]]
"""Makes pieces of a stage at once, each into its target; returns the words about each, ``detail``.

Raises:
    Cancelled: the job was stopped.
    VisionFluxError: they cannot be made.
"""
