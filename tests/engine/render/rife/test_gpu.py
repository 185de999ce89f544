"""engine.render.rife on a CUDA device: half precision, all positions at once, recorded graphs."""

import threading

import pytest
import torch

from benchmarks.rife import moved_pictures, random_ifnet

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
POSITIONS = [0.25, 0.5, 0.75]


@pytest.mark.parametrize("version", ["4.0", "4.6", "4.17.lite", "4.25", "4.25.lite"])
def test_a_gpu_draws_what_a_cpu_draws(version: str) -> None:
    net, images = random_ifnet(version), moved_pictures(128, 192)
    expected = net.interpolate(*images, POSITIONS)
    net.precision = torch.float16
    net.cuda()
    for _ in range(2):  # the second time from the recorded graph
        frames = net.interpolate(*(image.cuda() for image in images), POSITIONS)
        assert (frames.cpu() - expected).abs().mean() <= 5e-4


def test_a_recorded_graph_follows_new_pictures() -> None:
    net = random_ifnet("4.25")
    net.precision = torch.float16
    net.cuda()
    first, second = (image.cuda() for image in moved_pictures(64, 64))
    there = net.interpolate(first, second, POSITIONS)
    back = net.interpolate(second, first, POSITIONS)
    assert (there - back).abs().max() > 0.01
    assert torch.equal(there, net.interpolate(first, second, POSITIONS))


def test_a_graph_is_recorded_while_a_preview_is_copied() -> None:
    """As when the last steps of a keyframe are still shown while its first segment begins."""
    ended, errors = threading.Event(), []

    def copy() -> None:
        stream = torch.cuda.Stream()
        while not ended.is_set():
            try:
                with torch.cuda.stream(stream):
                    torch.zeros(1 << 20, device="cuda").cpu()
            except RuntimeError as error:
                errors.append(error)
                return

    copying = threading.Thread(target=copy)
    copying.start()
    try:
        for count in (1, 2, 3):
            net, images = random_ifnet("4.25").cuda(), moved_pictures(64, 64)
            frames = net.interpolate(*(image.cuda() for image in images), POSITIONS[:count])
            assert torch.isfinite(frames).all()
    finally:
        ended.set()
        copying.join()
    assert not errors


def test_a_network_that_cannot_be_recorded_draws_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, images = random_ifnet("4.25").cuda(), [image.cuda() for image in moved_pictures(64, 64)]
    expected = net.interpolate(*images, POSITIONS)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    frames = random_ifnet("4.25").cuda().interpolate(*images, POSITIONS)
    assert (frames - expected).abs().max() < 1e-3


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is no second CUDA device")
def test_a_second_gpu_draws_what_the_first_draws() -> None:
    drawn = []
    for name in ("cuda:0", "cuda:1"):
        net = random_ifnet("4.25").to(name)
        for images in (moved_pictures(64, 64), moved_pictures(64, 64)[::-1]):
            drawn.append(net.interpolate(*(image.to(name) for image in images), POSITIONS).cpu())
    assert (drawn[0] - drawn[2]).abs().max() < 1e-3
    assert (drawn[1] - drawn[3]).abs().max() < 1e-3
    assert (drawn[0] - drawn[1]).abs().max() > 0.01
