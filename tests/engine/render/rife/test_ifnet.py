"""engine.render.rife.ifnet: the official network, against a reference and against itself."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.rife import moved_pictures, random_ifnet
from engine.errors import InvalidParameterError
from engine.render.rife import load_ifnet
from engine.render.rife.fast_ifnet import FastIFNet
from engine.render.rife.ifnet import IFNet
from engine.render.rife.versions import VERSIONS, names_of

REFERENCE = Path(__file__).parents[5] / "shared" / "rife" / "ifnet-4.25-random.safetensors"
TOLERANCE = 2e-4  # the public float32 networks differ from float64 by up to 1e-4


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


def both_ways(
    version: str, size: tuple[int, int], scale: float, precision: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """The same three frames as ``draw`` and as the straightforward ``forward`` make them."""
    net = random_ifnet(version)
    net.precision = precision
    with torch.inference_mode():
        pair = net.relate(*(net.prepare(image, scale) for image in moved_pictures(*size)))
        positions = [0.25, 0.5, 0.9]
        return net.draw(pair, positions).frames, net.draw_plainly(pair, positions).frames


GRAPHS = sorted({names_of(architecture)[0] for architecture in VERSIONS.values()})


@pytest.mark.parametrize("version", GRAPHS)
def test_the_fast_way_equals_the_straightforward_one(version: str) -> None:
    fast, plain = both_ways(version, (70, 90), 1.0)
    assert (fast - plain).abs().max() <= TOLERANCE


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0, 4.0])
@pytest.mark.parametrize("version", ["4.4", "4.6", "4.25", "4.25.lite"])
def test_the_fast_way_equals_it_at_every_scale(version: str, scale: float) -> None:
    fast, plain = both_ways(version, (33, 50), scale)
    assert (fast - plain).abs().max() <= TOLERANCE


@pytest.mark.parametrize("version", ["4.6", "4.17.lite", "4.25", "4.25.lite"])
def test_drawing_all_positions_together_changes_nothing(version: str) -> None:
    """What a GPU does; on a CPU the fine blocks take one position after the other."""
    net = random_ifnet(version)
    first, second = moved_pictures(96, 160)
    apart = net.interpolate(first, second, [0.2, 0.5, 0.9])
    net._fast = FastIFNet(net.architecture, net.encode, net.blocks, together=True)
    assert (net.interpolate(first, second, [0.2, 0.5, 0.9]) - apart).abs().max() <= TOLERANCE


def test_40_begins_again_with_doubled_scales_when_motion_is_large() -> None:
    net = random_ifnet("4.0")
    with torch.inference_mode():
        net.blocks[1].lastconv.weight.mul_(20)
        first, second = (net.pad(image, 1.0) for image in moved_pictures(64, 64))
        _, flow, _ = net((first, second), [], 0.5)
        net.architecture = replace(net.architecture, doubles=False)
        _, undoubled, _ = net((first, second), [], 0.5)
    assert (flow - undoubled).abs().max() > 1


@pytest.mark.parametrize("version", ["4.6", "4.25"])
def test_bfloat16_convolutions_stay_close(version: str) -> None:
    """The bound is what the public network loses in bfloat16 on average, with random weights."""
    half, plain = both_ways(version, (70, 90), 1.0, torch.bfloat16)
    assert 0 < (half - plain).abs().mean() <= 4e-3


def test_new_weights_are_not_answered_with_old_ones() -> None:
    net, other = random_ifnet("4.15.lite"), random_ifnet("4.15.lite", seed=5)
    images = moved_pictures(40, 40)
    before = net.interpolate(*images, [0.5])
    net.load_state_dict(other.state_dict())
    assert not torch.equal(net.interpolate(*images, [0.5]), before)
    assert torch.equal(net.interpolate(*images, [0.5]), other.interpolate(*images, [0.5]))


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
        ("image0", (torch.rand(1, 3, 8, 8).numpy(), torch.rand(1, 3, 8, 8), [0.5])),
        ("image0", (None, torch.rand(1, 3, 8, 8), [0.5])),
        ("image0", (torch.full((1, 3, 8, 8), torch.nan), torch.rand(1, 3, 8, 8), [0.5])),
        ("image1", (torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), torch.inf), [0.5])),
        ("image1", (torch.rand(1, 3, 8, 8), torch.rand(2, 3, 8, 8), [0.5])),
        ("image1", (torch.rand(1, 3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), [0.5])),
        ("positions", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), 0.5)),
        ("positions", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), [0.5, "half"])),
        ("positions", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), [None])),
        ("positions", (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), [-1e-9])),
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
