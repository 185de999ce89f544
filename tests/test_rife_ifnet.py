"""engine.render.rife.ifnet: the official network, against a reference and against itself."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import InvalidParameterError
from engine.render.rife import load_ifnet
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS

REFERENCE = Path(__file__).parents[2] / "shared" / "rife" / "ifnet-4.25-random.safetensors"
TOLERANCE = 2e-4  # the public float32 networks differ from float64 by up to 1e-4


def random_ifnet(version: str) -> IFNet:
    """A network with weights that give motion of a few pixels."""
    torch.manual_seed(4)
    net = IFNet(VERSIONS[version], version)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("weight") and parameter.dim() == 4:
                fan = parameter[0].numel()
                parameter.normal_(0, (1.6 if "conv" in name else 2.0) / fan**0.5)
    return net.requires_grad_(False).eval()


def pictures(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Two smooth pictures (1, 3, height, width), the second a moved first."""
    torch.manual_seed(7)
    large = torch.nn.functional.interpolate(
        torch.rand(1, 3, height // 6 + 4, width // 6 + 4), (height + 9, width + 9), mode="bicubic"
    ).clamp(0, 1)
    return large[..., :height, :width].clone(), large[..., 5 : 5 + height, 3 : 3 + width].clone()


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    if not REFERENCE.exists():
        pytest.skip("the reference case ../shared/rife is not on this machine")
    return load_file(REFERENCE)


@pytest.mark.parametrize("prefix", ["weights.", "weights.module."], ids=["official", "bare"])
def test_425_equals_the_public_network(reference: dict[str, Tensor], prefix: str) -> None:
    state = {
        key.removeprefix(prefix): value
        for key, value in reference.items()
        if key.startswith("weights.")
    }
    net = load_ifnet(state)
    assert net.version == "4.25"
    images = [reference[name].float() / 255 for name in ("image0", "image1")]
    frames = net.interpolate(*images, reference["positions"].tolist())
    assert frames.shape == reference["output"].shape
    assert (frames - reference["output"]).abs().max() <= TOLERANCE


def test_parity_would_notice_one_per_cent_of_one_beta(reference: dict[str, Tensor]) -> None:
    state = {
        key.removeprefix("weights."): value.float()
        for key, value in reference.items()
        if key.startswith("weights.")
    }
    state["module.block2.convblock.3.beta"] *= 1.01
    images = [reference[name].float() / 255 for name in ("image0", "image1")]
    frames = load_ifnet(state).interpolate(*images, reference["positions"].tolist())
    assert (frames - reference["output"]).abs().max() > 5 * TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 64), (65, 40)])
@pytest.mark.parametrize("version", ["4.0", "4.6", "4.17.lite", "4.25"])
def test_any_size_gives_frames_of_that_size(version: str, size: tuple[int, int]) -> None:
    net = random_ifnet(version)
    image = torch.rand(1, 3, *size)
    frames = net.interpolate(image, image.flip(-1), [0.25, 0.5])
    assert frames.shape == (2, 3, *size)
    assert frames.dtype == torch.float32
    assert frames.isfinite().all()


@pytest.mark.parametrize(
    ("version", "scale", "padded"),
    [
        ("4.6", 1.0, 64),
        ("4.6", 0.5, 64),
        ("4.25", 1.0, 64),
        ("4.25", 0.5, 128),
        ("4.25", 2.0, 64),
        ("4.25.lite", 1.0, 128),
        ("4.25.lite", 0.25, 512),
    ],
)
def test_padding_follows_version_and_scale(version: str, scale: float, padded: int) -> None:
    with torch.device("meta"):
        net = IFNet(VERSIONS[version], version)
    assert net.pad(torch.zeros(1, 3, 50, 33), scale).shape == (1, 3, padded, padded)


def test_no_positions_give_no_frames() -> None:
    image = torch.rand(1, 3, 20, 30)
    assert random_ifnet("4.25").interpolate(image, image, []).shape == (0, 3, 20, 30)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("image0", (torch.rand(3, 8, 8), torch.rand(1, 3, 8, 8), [0.5])),
        ("image0", (torch.rand(1, 3, 0, 8), torch.rand(1, 3, 0, 8), [0.5])),
        ("image1", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9), [0.5])),
        ("image1", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8).double(), [0.5])),
        ("positions", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), [1.5])),
        ("positions", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), [float("nan")])),
        ("scale", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), [0.5], 3.0)),
    ],
)
def test_wrong_inputs_are_named(field: str, arguments: tuple[object, ...]) -> None:
    net = random_ifnet("4.6")
    with pytest.raises(InvalidParameterError) as caught:
        net.interpolate(*arguments)  # type: ignore[arg-type]
    assert caught.value.field == field
