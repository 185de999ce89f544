"""CUDA graphs: what a function asked of the GPU, recorded once and replayed as one launch.

Small networks keep a GPU waiting for the next launch rather than for arithmetic. Knows nothing
about networks. Source: torch's documentation of ``torch.cuda.CUDAGraph``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

RECORDED = 4  # shapes kept; each holds the memory of a whole evaluation
Work = Callable[..., tuple[Tensor, ...]]


class Replay:
    """Calls a function of tensors on a GPU, by replaying it where these shapes were seen.

    Args:
        work: from tensors to tensors, on one device, without reading any value back.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self._recorded: dict[Any, tuple[Any, list[Tensor], tuple[Tensor, ...]]] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Like calling the function; the results are the caller's own."""
        key = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        if key not in self._recorded:
            if len(self._recorded) >= RECORDED:
                self._recorded.clear()
            self._recorded[key] = self._record(inputs)
        graph, held, outputs = self._recorded[key]
        for mine, theirs in zip(held, inputs, strict=True):
            mine.copy_(theirs)
        graph.replay()
        return tuple(output.clone() for output in outputs)

    def _record(self, inputs: tuple[Tensor, ...]) -> tuple[Any, list[Tensor], tuple[Tensor, ...]]:
        """Run the function on a stream of its own until all is set up, then record it."""
        held = [tensor.clone() for tensor in inputs]
        cuda: Any = torch.cuda
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            for _ in range(3):
                self.work(*held)
        cuda.current_stream().wait_stream(stream)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            outputs = self.work(*held)
        return graph, held, outputs
