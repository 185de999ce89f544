"""engine.render.rife.interpolator and judge: what a render calls."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pytest
import torch

from benchmarks.interpolation.moving import Scene
from engine.errors import DeviceMemoryError, InvalidParameterError
from engine.render.rife import Interpolator, load_interpolator
from engine.render.rife.dis import DIS
from engine.render.rife.ifnet import IFNet
from engine.render.rife.interpolator import disagreement, fade, scale_for
from engine.render.rife.network import Drawn, Pair, Prepared
from engine.render.rife.similarity import judge
from engine.render.rife.versions import VERSIONS

SIZE = 128
POSITIONS = [0.25, 0.5, 0.75]


@pytest.fixture(scope="module")
def walk() -> list[np.ndarray]:
    """Nine frames of one scene, an eighth of a unit of time apart."""
    scene = Scene(6, SIZE, 10.0)
    return [scene.at(index / 8) for index in range(9)]


@pytest.fixture
def interpolator() -> Interpolator:
    torch.set_num_threads(2)
    return load_interpolator("cpu")


def error(frame: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(frame.astype(float) - truth).mean())


def test_frames_come_in_order_and_close_to_the_truth(
    interpolator: Interpolator, walk: list[np.ndarray]
) -> None:
    moments = [index / 8 for index in range(1, 8)]
    frames = list(interpolator.between(walk[0], walk[8], moments))
    assert [frame.shape for frame in frames] == [(SIZE, SIZE, 3)] * 7
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    for index, frame in enumerate(frames, 1):
        nearest = min(range(9), key=lambda other: error(frame, walk[other]))
        assert nearest == index
    faded = [fade(walk[0], walk[8], moment) for moment in moments]
    ours, theirs = (
        sum(error(frame, truth) for frame, truth in zip(run, walk[1:8], strict=True))
        for run in (frames, faded)
    )
    assert ours < theirs / 2


def test_the_same_pair_gives_the_same_frames(walk: list[np.ndarray]) -> None:
    runs = [list(load_interpolator().between(walk[0], walk[4], POSITIONS)) for _ in range(2)]
    assert all(np.array_equal(*pair) for pair in zip(*runs, strict=True))


def test_identity_names_weights_and_algorithm(interpolator: Interpolator) -> None:
    name, _, rest = interpolator.identity.partition("@")
    digest, _, algorithm = rest.partition("+")
    assert name == "dis"
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    assert algorithm.isdecimal()


class Counting(DIS):
    """DIS, counting how often a keyframe is prepared and what is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared, self.batches, self.room = 0, [], 100

    def prepare(self, image: torch.Tensor, scale: float = 1.0) -> Prepared:
        self.prepared += 1
        return super().prepare(image, scale)

    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        if len(positions) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        self.batches.append(list(positions))
        return super().draw(pair, positions)


@pytest.fixture
def counting() -> tuple[Counting, Interpolator]:
    net = Counting().eval()
    return net, Interpolator(net, "0" * 16, torch.device("cpu"))


def test_a_shared_keyframe_is_prepared_once(
    counting: tuple[Counting, Interpolator], walk: list[np.ndarray]
) -> None:
    net, interpolator = counting
    for first, second in zip(walk[0:7:2], walk[2:9:2], strict=True):
        list(interpolator.between(first.copy(), second.copy(), [0.5]))
    assert net.prepared == 5


def test_batches_shrink_until_they_fit(
    counting: tuple[Counting, Interpolator], walk: list[np.ndarray]
) -> None:
    net, interpolator = counting
    moments = [index / 16 for index in range(1, 16)]
    whole = list(interpolator.between(walk[0], walk[8], moments))
    net.room, net.batches = 2, []
    halved = list(interpolator.between(walk[0], walk[8], moments))
    assert max(len(batch) for batch in net.batches) <= 2
    assert sorted(chain.from_iterable(net.batches)) == moments
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(whole, halved, strict=True))


def test_not_even_one_frame_fits(
    counting: tuple[Counting, Interpolator], walk: list[np.ndarray]
) -> None:
    net, interpolator = counting
    net.room = 0
    with pytest.raises(DeviceMemoryError, match="128x128"):
        list(interpolator.between(walk[0], walk[8], POSITIONS))


def test_identical_frames_are_copied_without_the_network(
    counting: tuple[Counting, Interpolator], walk: list[np.ndarray]
) -> None:
    net, interpolator = counting
    assert interpolator.judge(walk[0], walk[0]).mode == "copy"
    frames = list(interpolator.between(walk[0], walk[0].copy(), POSITIONS))
    assert all(np.array_equal(frame, walk[0]) for frame in frames)
    assert net.prepared == 0


def test_unrelated_frames_are_faded_without_the_network(
    counting: tuple[Counting, Interpolator],
) -> None:
    net, interpolator = counting
    first, second = (Scene(seed, SIZE, 8.0).at(0) for seed in (1, 2))
    assert interpolator.judge(first, second).mode == "crossfade"
    (frame,) = interpolator.between(first, second, [0.25])
    assert np.array_equal(frame, fade(first, second, 0.25))
    assert net.prepared == 0


class Disagreeing(DIS):
    """Draws the mean of both pictures from sides that differ by ``share`` of their difference."""

    share = 1.0

    def prepare(self, image: torch.Tensor, scale: float = 1.0) -> Prepared:
        return Prepared(image, image, (), scale)

    def relate(self, first: Prepared, second: Prepared) -> Pair:
        return Pair(first, second)

    def draw(self, pair: Pair, positions: Sequence[float]) -> Drawn:
        mean = (pair.first.image + pair.second.image) / 2
        half = (pair.second.image - pair.first.image) / 2 * self.share
        return Drawn(mean.repeat(len(positions), 1, 1, 1), (mean - half, mean + half))


@pytest.mark.parametrize(("share", "fades"), [(0.0, False), (0.9, False), (1.0, True)])
def test_sides_that_differ_more_than_the_keyframes_give_a_fade(
    walk: list[np.ndarray], share: float, fades: bool
) -> None:
    net = Disagreeing()
    net.share = share
    frames = list(
        Interpolator(net, "0" * 16, torch.device("cpu")).between(walk[0], walk[4], [0.25, 0.5])
    )
    expected = 0.25 if fades else 0.5  # this network draws the middle wherever it is asked
    assert np.abs(frames[0].astype(int) - fade(walk[0], walk[4], expected)).max() <= 1


def test_motion_that_is_understood_is_not_faded(
    interpolator: Interpolator, walk: list[np.ndarray]
) -> None:
    with torch.inference_mode():
        prepared = [interpolator._prepare(walk[index]) for index in (0, 8)]
        pair = interpolator.network.relate(*prepared)
        drawn = interpolator.network.draw(pair, [0.5])
    assert disagreement(pair, drawn) < 0.5


def test_a_network_that_finds_nothing_gives_a_fade(walk: list[np.ndarray]) -> None:
    """Random weights move every pixel somewhere: worse than no motion at all."""
    torch.manual_seed(3)
    net = IFNet(VERSIONS["4.25"], "4.25").eval()
    interpolator = Interpolator(net, "0" * 16, torch.device("cpu"))
    assert interpolator.judge(walk[0], walk[1]).mode == "interpolate"
    for frame, moment in zip(
        interpolator.between(walk[0], walk[1], POSITIONS), POSITIONS, strict=True
    ):
        assert np.array_equal(frame, fade(walk[0], walk[1], moment))


def test_judgement_tells_motion_from_cuts() -> None:
    moving = cut = 0
    for seed in range(20):
        one, other = Scene(2 * seed, 192, 12.0), Scene(2 * seed + 1, 192, 12.0)
        moving += judge(one.at(0), one.at(1)).mode == "interpolate"
        cut += judge(one.at(0), other.at(0)).mode == "crossfade"
    assert moving >= 19
    assert cut >= 17


def test_small_motion_is_not_taken_for_a_copy() -> None:
    frame = np.full((256, 256, 3), 90, np.uint8)
    moved = frame.copy()
    frame[100:106, 100:106] = 250
    moved[100:106, 103:109] = 250
    assert judge(frame, moved).mode == "interpolate"


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 200), (37, 41)])
def test_any_size_works(interpolator: Interpolator, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    first, second = (rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(2))
    frames = list(interpolator.between(first, second, POSITIONS))
    assert [frame.shape for frame in frames] == [(*shape, 3)] * 3


def test_large_frames_reduce_the_flow_scale() -> None:
    shapes = [(512, 512), (1080, 1920), (2160, 3840), (4320, 7680)]
    scales = [scale_for(np.empty((*shape, 3), np.uint8)) for shape in shapes]
    assert scales == [1.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("field", "first", "second", "positions"),
    [
        ("first", np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), [0.5]),
        ("first", np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 4), np.uint8), [0.5]),
        ("second", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.float32), [0.5]),
        ("second", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8), [0.5]),
        ("positions", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), [-0.1]),
    ],
)
def test_wrong_inputs_are_named(
    interpolator: Interpolator,
    field: str,
    first: np.ndarray,
    second: np.ndarray,
    positions: list[float],
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        interpolator.between(first, second, positions)
    assert caught.value.field == field
