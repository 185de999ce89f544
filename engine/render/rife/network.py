"""What every interpolating network offers: the same steps, whatever it does inside them.

``prepare`` is done once per keyframe, ``relate`` once per pair, ``draw`` for each batch of
positions; ``interpolate`` is the three in a row. Knows nothing about files, 8-bit frames or
when to interpolate.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.render.rife.inputs import check_pair, check_scale
from engine.render.rife.optical_flow import PairMotion


@dataclass(frozen=True)
class Prepared:
    """A keyframe and all that can be computed from it alone.

    Attributes:
        image: float32 (1, 3, H, W) in [0, 1], as given.
        padded: the same, enlarged to what the network can divide, maybe reduced in scale.
        encoded: the network's encodings of ``padded``.
        scale: of the flow estimate.
    """

    image: Tensor
    padded: Tensor
    encoded: tuple[Tensor, ...]
    scale: float


@dataclass(frozen=True)
class Pair:
    """Two keyframes and all that can be computed without a position."""

    first: Prepared
    second: Prepared
    motion: PairMotion | None = None


@dataclass(frozen=True)
class Drawn:
    """Frames at some positions.

    Attributes:
        frames: float32 (N, 3, H, W) in the size of the keyframes, roughly in [0, 1].
        sides: the two warped pictures that were blended into the last frame, (1, 3, H, W)
            each, for a judgement of how well they agree.
    """

    frames: Tensor
    sides: tuple[Tensor, Tensor]


class Network(nn.Module):
    """Base of IFNet and of the offline network."""

    name: str
    batch_pixels = 1 << 21  # over all positions of a batch, before memory is found short

    @abstractmethod
    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """Pad and encode a keyframe, float32 (1, 3, H, W) in [0, 1]."""

    @abstractmethod
    def relate(self, first: Prepared, second: Prepared) -> Pair:
        """Compute what all positions between two keyframes share."""

    @abstractmethod
    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        """Draw frames at one or more positions in [0, 1], all in one batch."""

    @torch.inference_mode()
    def interpolate(
        self, image0: Tensor, image1: Tensor, positions: Sequence[float], scale: float = 1.0
    ) -> Tensor:
        """Draw the frames at some positions between two pictures.

        Args:
            image0: float32 (1, 3, H, W) in [0, 1], of any size.
            image1: likewise, of the same size.
            positions: each in [0, 1]; 0 is ``image0``.
            scale: of the flow estimate; 0.5 suits pictures far larger than full HD.

        Returns:
            float32 (len(positions), 3, H, W).

        Raises:
            InvalidParameterError: shapes, types, a position or the scale are not as above.
        """
        moments = check_pair(image0, image1, positions)
        check_scale(scale)
        if not moments:
            return image0.new_empty((0, *image0.shape[1:]))
        pair = self.relate(self.prepare(image0, scale), self.prepare(image1, scale))
        return self.draw(pair, moments).frames
