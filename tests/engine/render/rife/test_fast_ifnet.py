"""engine.render.rife.fast_ifnet: what it does where a graph cannot be recorded."""

import contextlib

import pytest
import torch

from engine.render.rife.fast_ifnet import CudaGraph, Recording


class Unrecordable(CudaGraph):
    """Counts how often it tries."""

    tried = 0

    def _record(self, inputs: tuple[torch.Tensor, ...]) -> Recording | None:
        self.tried += 1
        return None


def test_what_cannot_be_recorded_is_called_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    graph = Unrecordable(lambda first, second: (first + second, first * second))
    for value in (2.0, 3.0):
        total, product = graph(torch.tensor([value]), torch.tensor([4.0]))
        assert (total.item(), product.item()) == (value + 4, value * 4)
    assert graph.tried == 1
    graph(torch.ones(2), torch.ones(2))  # another shape
    assert graph.tried == 2
