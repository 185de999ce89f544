"""Reads networks in ncnn's layout: a ``.param`` file with the graph, a ``.bin`` file with weights.

Real-ESRGAN's two kinds of network are known, and come out under the names of their official files,
as spandrel expects them. Knows no network as a module and nothing about where files come from.

The layout, from ncnn's documentation (Tencent, "param and model file structure"): a line of the
graph is kind, name, number of inputs and of outputs, their names, and ``key=value`` for the rest. A
convolution's weights begin with a tag that names their number format; biases and slopes are plain
float32. All are in the order of the lines.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelLoadError

MAGIC = "7767517"
FLOAT32_TAG, FLOAT16_TAG = 0, 0x01306B47
LEAKY_RELU = 2  # ncnn's number of the activation
REMEDY = "use a file of Real-ESRGAN, as ncnn's programs load it"
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A line of the graph.

    Attributes:
        kind: such as ``Convolution``.
        inputs: names of maps.
        outputs: likewise.
        values: of its keys; a list where the file has one.
        arrays: ``weight``, ``bias`` and ``slope``, as far as the kind has them.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: Mapping[int, Any]
    arrays: Mapping[str, Floats]


def read_layers(param: Path, weights: Path | None = None) -> list[Layer]:
    """Read a graph and its weights.

    Args:
        param: the graph.
        weights: the weights; None takes the file of the same name that ends in ``.bin``.

    Raises:
        ModelLoadError: a file is missing, truncated, too long or of another layout.
    """
    weights = weights or param.with_suffix(".bin")
    try:
        lines, data = param.read_text("utf-8").splitlines(), weights.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no text"
        problem = f"the graph or its weights cannot be read ({words})"
        raise ModelLoadError(param.name, problem, "keep .param and .bin side by side") from error
    try:
        return _parse(lines, _Weights(data))
    except (ValueError, IndexError, KeyError) as error:
        problem = f"the file is truncated, damaged or of another kind ({error})"
        raise ModelLoadError(param.name, problem, REMEDY) from error


def _parse(lines: list[str], weights: "_Weights") -> list[Layer]:
    if lines[0].strip() != MAGIC:
        raise ValueError(f"it does not begin with {MAGIC}")
    count = int(lines[1].split()[0])
    rows = [line.split() for line in lines[2:] if line.strip()]
    if len(rows) != count:
        raise ValueError(f"{len(rows)} layers instead of {count}")
    layers = [_layer(row, weights) for row in rows]
    weights.finish()
    return layers


def _layer(row: list[str], weights: "_Weights") -> Layer:
    inputs, outputs = int(row[2]), 4 + int(row[2])
    end = outputs + int(row[3])
    values = dict(map(_value, row[end:]))
    arrays: dict[str, Floats] = {}
    if row[0] == "Convolution":
        numbers, maps, kernel = values[6], values[0], values[1]
        shape = (maps, numbers // (maps * kernel * kernel), kernel, kernel)
        arrays["weight"] = weights.tagged(numbers).reshape(shape)
        if values.get(5):
            arrays["bias"] = weights.plain(maps)
    elif row[0] == "PReLU":
        arrays["slope"] = weights.plain(values[0])
    return Layer(row[0], tuple(row[4 : 4 + inputs]), tuple(row[outputs:end]), values, arrays)


def _value(text: str) -> tuple[int, Any]:
    """Parse ``key=number``, or ``-23300-key=count,number,…`` for a list."""
    name, _, value = text.partition("=")
    key = int(name)
    if key <= -23300:
        count, *numbers = value.split(",")
        if int(count) != len(numbers):
            raise ValueError(f"a list of {len(numbers)} instead of {count}")
        return -23300 - key, [float(number) for number in numbers]
    return key, float(value) if any(mark in value for mark in ".e") else int(value)


class _Weights:
    """The bytes of the weights, read from the first to the last."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def plain(self, count: int) -> Floats:
        return np.frombuffer(self._take(4 * count), "<f4").astype(np.float32)

    def tagged(self, count: int) -> Floats:
        tag = int.from_bytes(self._take(4), "little")
        if tag == FLOAT32_TAG:
            return self.plain(count)
        if tag != FLOAT16_TAG:
            raise ValueError(f"weights in the unknown format {tag:#x}")
        found = np.frombuffer(self._take(2 * count), "<f2").astype(np.float32)
        self._at += -self._at % 4
        return found

    def _take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise ValueError("weights are missing")
        self._at += size
        return part

    def finish(self) -> None:
        if self._at < len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes of weights are left over")


def state_of(layers: list[Layer], label: str) -> dict[str, Floats]:
    """Return the weights under the names of Real-ESRGAN's official files.

    Args:
        layers: as ``read_layers`` returned them.
        label: the file's name, for messages.

    Raises:
        ModelLoadError: the graph is not one of Real-ESRGAN's.
    """
    kinds = [_sketch(layer) for layer in layers if layer.kind not in ("Input", "Split")]
    convolutions = [layer for layer in layers if layer.kind == "Convolution"]
    for expected, names in (
        (_compact_graph(len(convolutions)), _compact_names(len(convolutions))),
        (_rrdb_graph(len(convolutions)), _rrdb_names(len(convolutions))),
    ):
        if kinds[: len(expected)] == expected and _only_reduces(layers, kinds[len(expected) :]):
            return _named(layers, names)
    raise ModelLoadError(label, "its graph is not one of Real-ESRGAN's", REMEDY)


def _sketch(layer: Layer) -> str:
    """Return what must be equal for two layers to do the same, but for their weights."""
    values = layer.values
    match layer.kind:
        case "Convolution":
            plain = values.get(4, 0) == values[1] // 2 and not {2, 3, 13, 18} & set(values)
            activation = values.get(10) if values.get(9) == LEAKY_RELU else values.get(9, 0)
            return f"Convolution {values[1]} {plain} {activation}"
        case "Eltwise":
            return f"Eltwise {values.get(0)} {values.get(1)}"
        case "BinaryOp":
            return f"BinaryOp {values.get(0, 0)}"
        case "Interp":
            return f"Interp {values.get(0)} {values.get(1)} {values.get(2)}"
        case "Concat":
            return f"Concat {len(layer.inputs)} {values.get(0, 0)}"
        case "PixelShuffle":
            return f"PixelShuffle {values.get(0)} {values.get(1, 0)}"
    return layer.kind


def _only_reduces(layers: list[Layer], rest: list[str]) -> bool:
    """Return whether nothing follows, or only a reduction: 2x and 3x of the 4x network."""
    return not rest or (len(rest) == 1 and layers[-1].kind == "Interp" and layers[-1].values[1] < 1)


PLAIN, LEAKY = "Convolution 3 True 0", "Convolution 3 True [0.2]"
DOUBLED = "Interp 1 2.0 2.0"  # by nearest neighbour


def _compact_graph(convolutions: int) -> list[str]:
    body = [PLAIN, "PReLU"] * (convolutions - 1)
    return [*body, PLAIN, "PixelShuffle 4 0", "Interp 1 4.0 4.0", "BinaryOp 0"]


def _compact_names(convolutions: int) -> Iterator[str]:
    return (f"body.{index}" for index in range(2 * convolutions - 1))


def _rrdb_graph(convolutions: int) -> list[str]:
    dense = [LEAKY]
    for inputs in (2, 3, 4):
        dense += [f"Concat {inputs} 0", LEAKY]
    added = "Eltwise 1 [0.2, 1.0]"
    dense += ["Concat 5 0", PLAIN, added]
    body = [*dense * 3, added] * _rrdb_blocks(convolutions)
    end = [PLAIN, "BinaryOp 0", DOUBLED, LEAKY, DOUBLED, LEAKY, LEAKY, PLAIN]
    return [PLAIN, *body, *end]


def _rrdb_names(convolutions: int) -> Iterator[str]:
    yield "conv_first"
    for block in range(_rrdb_blocks(convolutions)):
        for dense in (1, 2, 3):
            yield from (f"body.{block}.rdb{dense}.conv{index}" for index in range(1, 6))
    yield from ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


def _rrdb_blocks(convolutions: int) -> int:
    return max(0, math.ceil((convolutions - 6) / 15))


def _named(layers: list[Layer], names: Iterator[str]) -> dict[str, Floats]:
    state: dict[str, Floats] = {}
    weighted = (layer for layer in layers if layer.arrays)
    for name, layer in zip(names, weighted, strict=True):
        if layer.kind == "PReLU":
            state[f"{name}.weight"] = layer.arrays["slope"]
        else:
            state |= {f"{name}.{part}": array for part, array in layer.arrays.items()}
    return state
