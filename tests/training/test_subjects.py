"""The subjects' tables, their pictures, and how they stand in a scene."""

import numpy as np
import pytest

from training.scene import ALL_PLACES, SIDES, Figure, Scene, rich_scene
from training.subjects import HABITATS, SUBJECTS, at_home, plural_of
from training.world import draw

FEET = {"ground": 0.945, "water": 0.90}


@pytest.fixture(scope="module")
def art():
    """The module with the subjects' pictures; skipped where they cannot be fetched."""
    pytest.importorskip("resvg_py")
    from training import art

    try:
        art.package()
    except art.ArtError as error:
        pytest.skip(str(error))
    return art


def test_no_word_names_two_subjects():
    words = [word for one in SUBJECTS.values() for word in (one.name, *one.synonyms)]
    assert len(SUBJECTS) >= 80
    assert sorted({word for word in words if words.count(word) > 1}) == []


def test_every_subject_has_a_home_and_every_home_subjects():
    for one in SUBJECTS.values():
        assert one.habitats
        assert set(one.habitats) <= set(HABITATS)
        assert 0.2 <= one.size <= 0.65
    for habitat in HABITATS:
        assert len(at_home(habitat)) >= 4


@pytest.mark.parametrize(
    ("one", "many"), [("fox", "foxes"), ("mouse", "mice"), ("fish", "fish"), ("cat", "cats")]
)
def test_plurals(one, many):
    assert plural_of(one) == many


def test_rich_scenes_hold_what_their_place_can_have():
    rng = np.random.default_rng(0)
    scenes = [rich_scene(rng) for _ in range(600)]
    assert {scene.place for scene in scenes} == set(ALL_PLACES)
    for scene in scenes:
        sides = [figure.side for figure in scene.figures]
        assert len(sides) == len(set(sides)) <= 2
        for figure in scene.figures:
            home = "ground" if figure.habitat == "islet" else figure.habitat
            assert home in SUBJECTS[figure.subject].habitats
            assert (figure.habitat == "under") == (scene.place == "under water")


def test_every_subject_has_a_picture(art):
    for name in SUBJECTS:
        picture = art.sprite(name)
        assert 100 < max(picture.shape[:2]) < 600
        assert 0.15 < picture[..., 3].mean() <= 1
        assert (picture[..., :3] <= 255 * picture[..., 3:] + 1).all()


def test_a_package_with_another_hash_is_refused(art, tmp_path, monkeypatch):
    other = tmp_path / "other.tgz"
    other.write_bytes(b"other")
    monkeypatch.setattr(art, "package", lambda: other)
    art._bodies.cache_clear()
    with pytest.raises(art.ArtError, match="hash"):
        art._bodies()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [(448, 256), (256, 448), (256, 256)])
def test_a_figure_changes_its_own_third(art, side, size):
    """Drawn with and without, the difference lies on its side and above its foot."""
    scene = Scene("noon", "meadow", "left", "clear", figures=(Figure("fox", "ground", side, True),))
    without = Scene("noon", "meadow", "left", "clear")
    both = [draw(one, np.random.default_rng(1), *size).astype(float) for one in (scene, without)]
    changed = np.abs(both[0] - both[1]).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert SIDES[int(3 * np.median(columns) / size[0])] == side
    assert rows.max() / size[1] == pytest.approx(FEET["ground"], abs=0.06)
    assert changed.mean() > 0.02


def test_a_swimmer_is_mirrored_below_its_foot(art):
    figure = Figure("sailboat", "water", "centre", True)
    scene = Scene("noon", "sea", "left", "clear", figures=(figure,))
    plain = Scene("noon", "sea", "left", "clear")
    both = [draw(one, np.random.default_rng(2)).astype(float) for one in (scene, plain)]
    changed = np.abs(both[0] - both[1]).max(axis=2)
    assert changed[int(0.93 * 256) :, 90:166].mean() > 3
