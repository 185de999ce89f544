import json
import os

import pytest
import torch

from engine.errors import InvalidParameterError
from engine.render import device as module
from engine.render.device import available, choose_device, cpu_threads, describe, peak_memory


def test_the_cpu_is_always_there_and_computes_in_float32() -> None:
    chosen = choose_device("cpu")
    assert (chosen.name, chosen.kind, chosen.torch_dtype) == ("cpu", "cpu", torch.float32)
    assert 0 < chosen.free_bytes <= chosen.total_bytes
    assert chosen.label


def test_the_peak_of_memory_counts_what_was_given_back() -> None:
    before = peak_memory("cpu")
    held = torch.ones(50_000_000)
    del held
    assert peak_memory("cpu") >= max(before, 200_000_000)


def test_auto_takes_the_best_there_is() -> None:
    assert choose_device("auto").name in (available()[0], *available())


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "CPU", "x" * 1000])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        choose_device(name)
    assert caught.value.field == "device"
    assert "cpu" in caught.value.remedy


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(InvalidParameterError):
        choose_device("cuda")


def test_threads_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module.psutil, "cpu_count", lambda logical: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    assert cpu_threads() == 3
    monkeypatch.setattr(module.psutil, "cpu_count", lambda logical: 2)
    assert cpu_threads() == 2


def test_the_operators_thread_count_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert cpu_threads() == 5


def test_the_description_is_plain_json() -> None:
    described = describe(choose_device("cpu"))
    assert json.loads(json.dumps(described)) == described
    assert described["total_bytes"] >= described["free_bytes"] > 0


@pytest.mark.parametrize(
    ("capability", "dtype"), [((6, 1), "float32"), ((7, 5), "float16"), ((9, 0), "float16")]
)
def test_half_precision_is_for_cards_that_are_made_for_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert module._dtype("cuda:0") == dtype


def test_the_cpus_own_memory_error_is_recognised() -> None:
    """The allocator's words, taken from torch itself."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert module.is_memory_error(caught.value)
    assert not module.is_memory_error(RuntimeError("shapes do not match"))
