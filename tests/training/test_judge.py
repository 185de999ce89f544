"""The judge and its recogniser, at a hundredth of their size."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("resvg_py")

from training import art, judge, recogniser  # noqa: E402
from training.export import MODEL  # noqa: E402
from training.pictures import RICH_SIZES, fill, folder_of, load  # noqa: E402
from training.recogniser import NAMES, NOBODY, SKIP  # noqa: E402
from training.scene import Figure, Scene, rich_scene  # noqa: E402
from training.world import draw  # noqa: E402

FOX = Scene("noon", "hills", "left", "clear", figures=(Figure("fox", "ground", "right", True),))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a few small pictures of each shape."""
    try:
        art.package()
    except art.ArtError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("runs")
    for shape, (width, height) in RICH_SIZES.items():
        target = folder_of(folder, shape, rich=True)
        fill(target, (width // 4, height // 4), 24, 1, 1, rich=True)
    return folder


def plain_pictures(count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.stack([draw(Scene("noon", "hills", "left", "clear"), rng) for _ in range(count)])


def test_drawing_resumes_where_it_stopped(runs):
    folder = folder_of(runs, "square", rich=True)
    before, scenes = load(folder)
    before = np.array(before)
    fill(folder, (64, 64), 26, 1, 1, rich=True)
    fill(folder, (64, 64), 10, 1, 1, rich=True)  # fewer than there are: all stay
    after, more = load(folder)
    assert len(after) == 26
    assert np.array_equal(after[:24], before)
    assert more[:24] == scenes
    assert after[25].std() > 5
    assert any(scene.figures for scene in more)


def test_a_recogniser_learns_its_pictures_and_resumes(runs):
    recogniser.train(runs, minutes=0.04, batch=8)
    first = torch.load(runs / "recogniser.pt", weights_only=True)["progress"]
    model = recogniser.train(runs, minutes=0.25, batch=8)
    last = torch.load(runs / "recogniser.pt", weights_only=True)["progress"]
    assert last[0] > first[0] > 0
    assert last[2] < first[2]
    assert sum(parameter.numel() for parameter in model.parameters()) < 900_000


def test_flaws_make_unreadable_what_they_break():
    truth = recogniser.targets([FOX, FOX], [0, recogniser.FLAWS.index("broken")])
    assert truth["subjects"].tolist() == [[NOBODY, NOBODY, NAMES.index("fox")], [SKIP] * 3]
    assert truth["time"].tolist() == [1, SKIP]
    assert truth["side"].tolist() == [0, SKIP]


@pytest.mark.parametrize("kind", recogniser.FLAWS[1:])
def test_flaws_change_a_picture_and_not_its_form(kind):
    (picture,) = plain_pictures(1)
    flawed = recogniser.flawed(picture, kind, np.random.default_rng(1))
    assert flawed.shape == picture.shape
    assert flawed.dtype == np.uint8
    assert not np.array_equal(flawed, picture)


def test_blur_costs_crispness_and_distance():
    pictures = plain_pictures(6)
    soft = np.stack([cv2.GaussianBlur(one, (0, 0), 2) for one in pictures])
    assert judge.crispness(soft) < 0.75 * judge.crispness(pictures)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    assert judge.frechet(features, features) == pytest.approx(0, abs=1e-6)
    assert judge.frechet(features, features + 2) == pytest.approx(20, rel=1e-6)


def test_discs_are_counted_and_their_roundness_measured():
    for picture in plain_pictures(6):
        ((x, roundness),) = judge.discs(picture)
        assert x < 1 / 3
        assert roundness > 0.85
    two = plain_pictures(1)[0].copy()
    cv2.circle(two, (200, 60), 16, (255, 253, 232), -1, cv2.LINE_AA)
    assert len(judge.discs(two)) == 2
    flat = plain_pictures(1)[0].copy()
    cv2.ellipse(flat, (200, 60), (24, 13), 0, 0, 360, (255, 255, 255), -1)
    assert min(roundness for _, roundness in judge.discs(flat)) < 0.7


def test_obedience_counts_what_was_asked():
    read = {name: np.array([0]) for name in ("time", "place", "weather", "palette", "side")}
    read["subjects"] = np.array([[NAMES.index("fox"), NOBODY, NOBODY]])
    right = judge.obedience(read, [FOX])
    assert right["time"] == [False]
    assert right["side"] == [True]
    assert right["subject"] == [True]
    assert right["its side"] == [False]


def test_the_shipped_model_gets_a_row(runs):
    """Two pictures of each shape, one scene, two steps: its figures are all there."""
    rows = judge.judge(recogniser.Recogniser().eval(), [MODEL], 2, 1, 2, rich=True)
    assert list(rows) == ["generator", MODEL.name]
    assert 0.5 < rows["generator"]["crispness"] < 2
    assert {"time", "place", "whole", "one disc", "distance", "coherence"} <= set(rows[MODEL.name])
    text = judge.table(rows)
    assert len(text.splitlines()) == 4


def test_scenes_survive_their_file(runs):
    width, height = RICH_SIZES["wide"]
    rng = np.random.default_rng([width // 4, height // 4, 1, 0])
    assert load(folder_of(runs, "wide", rich=True))[1][0] == rich_scene(rng)
