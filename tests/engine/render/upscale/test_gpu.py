"""engine.render.upscale on a CUDA device: float16, tiles, and memory that is short for real."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.render.upscale import Upscaler
from engine.render.upscale.network import Network, recognise
from engine.render.upscale.upscaler import precision_for
from tests.engine.render.upscale.networks import compact_state, rrdb_state
from tests.engine.render.upscale.test_upscaler import CPU, picture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize("state", [compact_state(), rrdb_state()], ids=["small", "large"])
@pytest.mark.parametrize("factor", [3, 4])
def test_a_gpu_enlarges_as_a_cpu_does(state: dict[str, torch.Tensor], factor: int) -> None:
    source, device = picture(), torch.device("cuda")
    expected = Upscaler(recognise(state), "tiny", factor, CPU).enlarge(source)
    network = recognise(state)
    found = Upscaler(network, "tiny", factor, device, precision_for(network, device))
    assert np.abs(found.enlarge(source).astype(int) - expected.astype(int)).mean() < 1


def test_tiles_become_smaller_where_the_card_is_full() -> None:
    source, device = picture(512, 512), torch.device("cuda")
    network: Network = dataclasses.replace(recognise(rrdb_state()), side=512)
    upscaler = Upscaler(network, "tiny", 4, device)
    whole = upscaler.enlarge(source)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(1e9 / total, device)
    try:
        tiled = upscaler.enlarge(source)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert np.abs(whole.astype(int) - tiled.astype(int)).mean() < 1
