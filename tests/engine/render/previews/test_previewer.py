import queue
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from engine.film.preview_budget import SETTINGS
from engine.render.previews.latent_rgb import Projection
from engine.render.previews.previewer import Previewer, encode_jpeg
from engine.render.previews.tiny_decoder import TinyDecoder

BEST, THRIFTY = SETTINGS[0], SETTINGS[-1]
SECOND = 10.0  # generous: two shared cores
MOMENT = 0.15  # in which something that must not happen would happen
GREY = Projection(torch.full((4, 3), 0.25), torch.zeros(3))


class Receiver:
    """Keeps what is sent; ``gate`` holds the sender up, as a slow socket would."""

    def __init__(self) -> None:
        self.previews: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
        self.gate = threading.Event()
        self.gate.set()
        self.sending = threading.Event()

    def send(self, header: dict[str, Any], jpeg: bytes) -> None:
        self.sending.set()
        self.gate.wait(SECOND)
        self.previews.put((header, jpeg))

    def take(self) -> tuple[dict[str, Any], bytes]:
        return self.previews.get(timeout=SECOND)

    def got_nothing(self) -> bool:
        time.sleep(MOMENT)
        return self.previews.empty()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def previewer(receiver: Receiver) -> Iterator[Previewer]:
    previewer = Previewer(receiver.send, GREY)
    yield previewer
    previewer.close()


def latents(value: float = 0.5, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.full((1, 4, height, width), value)


def decoded(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


# --- Credits and the slot ---


def test_without_credit_nothing_is_encoded(previewer: Previewer, receiver: Receiver) -> None:
    previewer.offer(latents(), {"step": 1})
    assert receiver.got_nothing()


def test_a_credit_buys_one_preview(previewer: Previewer, receiver: Receiver) -> None:
    previewer.credit()
    previewer.offer(latents(), {"step": 1})
    assert receiver.take()[0] == {"step": 1}
    previewer.offer(latents(), {"step": 2})
    assert receiver.got_nothing()


def test_a_late_credit_buys_the_newest(previewer: Previewer, receiver: Receiver) -> None:
    for step in range(1, 10):
        previewer.offer(latents(), {"step": step})
    previewer.credit()
    assert receiver.take()[0] == {"step": 9}
    assert receiver.got_nothing()


def test_a_credit_can_be_taken_back(previewer: Previewer, receiver: Receiver) -> None:
    previewer.credit()
    previewer.credit(None)
    previewer.offer(latents(), {"step": 1})
    assert receiver.got_nothing()
    previewer.credit()
    assert receiver.take()[0] == {"step": 1}


def test_a_finished_keyframe_is_not_pushed_out_by_steps(
    previewer: Previewer, receiver: Receiver
) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    previewer.offer_picture(picture, {"kind": "keyframe", "step": 20})
    previewer.offer(latents(), {"kind": "step", "step": 1})
    for kind in ("keyframe", "step"):
        previewer.credit()
        assert receiver.take()[0]["kind"] == kind


def test_a_thrifty_setting_shows_fewer_and_smaller_ones(
    previewer: Previewer, receiver: Receiver
) -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    previewer.credit(THRIFTY)
    for step in range(1, THRIFTY.every + 2):
        previewer.offer_picture(picture, {"kind": "step", "step": step})
        if step == 1:
            header, jpeg = receiver.take()
            assert header["step"] == 1
            assert decoded(jpeg).shape == (THRIFTY.side, THRIFTY.side, 3)
            previewer.credit(THRIFTY)
    assert receiver.take()[0]["step"] == THRIFTY.every + 1
    previewer.credit(THRIFTY)
    previewer.offer_picture(picture, {"kind": "keyframe", "step": THRIFTY.every + 2})
    assert receiver.take()[0]["kind"] == "keyframe"


def test_what_waits_is_dropped_when_another_film_begins(
    previewer: Previewer, receiver: Receiver
) -> None:
    previewer.offer(latents(), {"step": 1})
    previewer.forget()
    previewer.credit()
    assert receiver.got_nothing()


def test_offering_never_waits_for_a_slow_receiver(previewer: Previewer, receiver: Receiver) -> None:
    receiver.gate.clear()
    previewer.credit()
    previewer.offer(latents(), {"step": 0})
    assert receiver.sending.wait(SECOND)
    for step in range(1, 1001):
        previewer.offer(latents(), {"step": step})
    assert receiver.previews.empty()  # the gate is closed still: whoever waits at it has waited
    previewer.credit()
    receiver.gate.set()
    assert [receiver.take()[0]["step"] for _ in range(2)] == [0, 1000]
    assert receiver.got_nothing()


def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    previewer = Previewer(lambda header, jpeg: None, GREY)
    previewer.offer(latents(), {})
    previewer.close()
    previewer.close()
    assert threading.active_count() == before


def test_without_a_projection_the_credit_is_kept(receiver: Receiver) -> None:
    previewer = Previewer(receiver.send)
    try:
        previewer.credit()
        previewer.offer(latents(), {"step": 1})
        assert receiver.got_nothing()
        previewer.projection = GREY
        previewer.offer(latents(), {"step": 2})
        assert receiver.take()[0] == {"step": 2}
    finally:
        previewer.close()


def test_a_preview_that_fails_does_not_end_the_others(
    previewer: Previewer, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    previewer.credit()
    previewer.offer(torch.zeros(1, 7, 8, 8), {"step": 1})  # seven channels, four factors
    deadline = time.monotonic() + SECOND
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.01)
    previewer.offer(latents(), {"step": 2})
    assert receiver.take()[0] == {"step": 2}


# --- Pictures ---


def test_latents_become_a_smooth_picture_of_their_colours(
    previewer: Previewer, receiver: Receiver
) -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 4, 32, 32)
    previewer.credit()
    previewer.offer(ramp, {})
    picture = decoded(receiver.take()[1])
    assert picture.shape == (256, 256, 3)
    row = picture[128, 16:-16, 0].astype(int)
    assert np.abs(row - np.linspace(8, 247, 256)[16:-16]).max() < 12
    assert np.abs(np.diff(row)).max() <= 4  # no steps of eight pixels


@pytest.mark.parametrize(
    ("size", "expected"),
    [((32, 32), (256, 256)), ((128, 64), (256, 128)), ((8, 16), (64, 128)), ((16, 8), (128, 64))],
)
def test_previews_are_at_most_256_pixels(
    previewer: Previewer, receiver: Receiver, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    previewer.credit()
    previewer.offer(latents(0.5, *size), {})
    assert decoded(receiver.take()[1]).shape[:2] == expected


def test_numbers_that_are_none_become_black() -> None:
    broken = torch.tensor([float("nan"), float("inf"), -float("inf"), 9e9]).reshape(1, 4, 1, 1)
    assert GREY.picture(broken).tolist() == [[[0, 0, 0]]]


def test_half_precision_latents_are_fine() -> None:
    assert GREY.picture(latents(0.5).half())[0, 0].tolist() == [128, 128, 128]


def test_a_finished_picture_is_sent_as_it_is(previewer: Previewer, receiver: Receiver) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :48] = (200, 100, 50)
    previewer.credit()
    previewer.offer_picture(picture, {"final": True})
    header, jpeg = receiver.take()
    assert header == {"final": True}
    assert np.abs(decoded(jpeg)[:, 8:40].astype(int) - picture[:, 8:40]).max() < 6


def test_large_pictures_are_made_smaller() -> None:
    assert decoded(encode_jpeg(np.zeros((512, 1024, 3), np.uint8))).shape == (128, BEST.side, 3)


def test_previews_are_small_enough_for_a_slow_line() -> None:
    noisy = Projection(torch.randn(4, 3) * 0.2, torch.full((3,), 0.5)).picture(
        torch.randn(1, 4, 32, 32)
    )
    assert len(encode_jpeg(cv2.resize(noisy, (256, 256)))) < 30_000


# --- The small decoder ---


class Clock:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Network:
    """Stands in for a small decoder: white pictures, in some time."""

    device, dtype, broken = torch.device("cpu"), torch.float32, False

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        if self.broken:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.clock.now += self.seconds
        return SimpleNamespace(sample=torch.ones(1, 3, 256, 256))


def shows(previewer: Previewer, receiver: Receiver) -> int:
    """Return the brightness of the next preview."""
    previewer.credit()
    previewer.offer(latents(), {"step": 1})
    return int(decoded(receiver.take()[1]).mean())


def test_the_small_decoder_takes_one_part_in_a_hundred_of_the_time(
    previewer: Previewer, receiver: Receiver
) -> None:
    clock = Clock()
    previewer.tiny = TinyDecoder(Network(clock, seconds=0.05), clock)
    coarse = 127  # what the projection makes of these latents
    assert shows(previewer, receiver) == 255
    assert abs(shows(previewer, receiver) - coarse) <= 1
    clock.now += 4.9
    assert abs(shows(previewer, receiver) - coarse) <= 1
    clock.now += 0.2
    assert shows(previewer, receiver) == 255


def test_a_small_decoder_that_does_not_run_is_given_up(
    previewer: Previewer, receiver: Receiver
) -> None:
    network = Network(Clock(), seconds=0)
    network.broken = True
    previewer.tiny = TinyDecoder(network, network.clock)
    assert shows(previewer, receiver) < 255
    assert previewer.tiny is None
