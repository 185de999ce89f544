"""The official IFNet versions, 4.0 to 4.26: one table of shapes, and no code that runs them.

An ``Architecture`` says everything in which versions differ; versions with byte-equal graphs share
one. Parameter counts are asserted by ``tests/engine/render/rife/test_versions.py``. Knows nothing
about files or tensors.

Source: the published networks of Practical-RIFE (MIT), hzwer, for RIFE, Huang et al. 2022,
arXiv:2011.06294.
"""

from dataclasses import dataclass, replace
from enum import Enum


class Layers(Enum):
    """What a block's eight middle convolutions look like."""

    PRELU = "plain convolutions with learned slopes, and one sum around all of them"
    PLAIN = "plain convolutions"
    RESIDUAL = "convolutions scaled by beta, each with a sum around it"


class Encoder(Enum):
    """How both pictures are encoded before the first block."""

    NONE = "not at all"
    PAIR = "two layers without activation, named encode.0 and encode.1"
    SEQUENCE = "four layers, named encode.0, .2, .4 and .6"
    NAMED = "four layers, named encode.cnn0 to encode.cnn3"


@dataclass(frozen=True)
class Architecture:
    """The shape of one IFNet.

    Attributes:
        channels: width of each block, coarse to fine.
        scales: by how much each block sees its input reduced.
        layers: kind of middle convolutions.
        groups: in the middle convolutions.
        last: channels out of each block's transposed convolution. 5 is used directly; more
            is four times what a pixel shuffle leaves: 4 of flow, 1 of mask, and from 52 on
            8 of features for the next block. 24 leaves one channel that nothing uses.
        encoder, encoder_width, encoded: kind of picture encoder, its inner and outer width.
        mask_adds: whether a block's mask is added to the one before or replaces it.
        multiple: sides are padded to multiples of this.
        doubles: whether all scales double when the second block finds motion over 32 pixels.
    """

    channels: tuple[int, ...]
    scales: tuple[int, ...] = (8, 4, 2, 1)
    layers: Layers = Layers.RESIDUAL
    groups: int = 1
    last: int = 24
    encoder: Encoder = Encoder.NONE
    encoder_width: int = 0
    encoded: int = 0
    mask_adds: bool = False
    multiple: int = 32
    doubles: bool = False

    @property
    def carried(self) -> int:
        """Feature channels handed from each block to the next."""
        return self.last // 4 - 5 if self.last > 24 else 0

    def inputs(self, block: int) -> int:
        """Channels into a block: pictures, encodings, position; then mask, features, flow."""
        first = 6 + 2 * self.encoded + 1
        return first if block == 0 else first + 1 + self.carried + 4


_NORMAL = (192, 128, 96, 64)
_LITE = (128, 96, 64, 48)

_V46 = Architecture(_NORMAL, mask_adds=True)
_V40 = replace(_V46, layers=Layers.PRELU, last=5, doubles=True)
_V42 = replace(_V46, layers=Layers.PLAIN, last=5)
_V45 = replace(_V46, last=20)
_V47 = Architecture(_NORMAL, encoder=Encoder.PAIR, encoder_width=16, encoded=4)
_V410 = Architecture(_NORMAL, encoder=Encoder.SEQUENCE, encoder_width=32, encoded=8)
_V412_LITE = replace(_V410, channels=_LITE, encoded=4)
_V413 = replace(_V410, encoder=Encoder.NAMED)
_V414_LITE = replace(_V413, groups=2)
_V415_LITE = replace(_V413, channels=_LITE, encoder_width=16, encoded=4)
_V420 = replace(_V413, channels=(384, 192, 96, 48))
_V421 = replace(_V413, channels=(256, 192, 96, 48), last=52)
_V422_LITE = replace(_V421, channels=(192, 128, 64, 32), encoder_width=16, encoded=4)
_V425 = replace(_V422_LITE, channels=(192, 128, 96, 64, 32), scales=(16, 8, 4, 2, 1), multiple=64)
_V425_LITE = replace(_V425, channels=(192, 128, 96, 64, 24), scales=(32, 16, 8, 4, 1), multiple=128)
_V425_HEAVY = replace(_V425, channels=(384, 256, 192, 128, 64))
_V426_HEAVY = replace(_V425, encoded=16)

VERSIONS: dict[str, Architecture] = {
    **dict.fromkeys(("4.0", "4.1"), _V40),
    **dict.fromkeys(("4.2", "4.3", "4.4"), _V42),
    "4.5": _V45,
    "4.6": _V46,
    **dict.fromkeys(("4.7", "4.8", "4.9"), _V47),
    **dict.fromkeys(("4.10", "4.11", "4.12"), _V410),
    **dict.fromkeys(("4.12.lite", "4.13.lite"), _V412_LITE),
    **dict.fromkeys(("4.13", "4.14", "4.15", "4.16", "4.17", "4.18", "4.19", "4.24"), _V413),
    "4.14.lite": _V414_LITE,
    **dict.fromkeys(("4.15.lite", "4.16.lite", "4.17.lite"), _V415_LITE),
    "4.20": _V420,
    **dict.fromkeys(("4.21", "4.22", "4.23"), _V421),
    "4.22.lite": _V422_LITE,
    **dict.fromkeys(("4.25", "4.26"), _V425),
    "4.25.lite": _V425_LITE,
    "4.25.heavy": _V425_HEAVY,
    "4.26.heavy": _V426_HEAVY,
}


def names_of(architecture: Architecture) -> list[str]:
    """Every version that has this architecture, oldest first; empty if none has."""
    return [name for name, found in VERSIONS.items() if found == architecture]
