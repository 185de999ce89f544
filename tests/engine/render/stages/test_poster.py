from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from msgspec import structs

from engine.film.graph import PosterNode
from engine.render import Cancelled
from engine.render.image import Picture, write_png
from engine.render.stages import Context, load
from engine.render.stages.poster import best, merit

SIDE = 96


def a_picture(seed: int) -> Picture:
    """Return coloured shapes with sharp edges."""
    dice, picture = np.random.default_rng(seed), np.full((SIDE, SIDE, 3), 40, np.uint8)
    for _ in range(8):
        centre = tuple(map(int, dice.integers(0, SIDE, 2)))
        colour = tuple(map(int, dice.integers(0, 256, 3)))
        cv2.circle(picture, centre, int(dice.integers(6, 24)), colour, -1)
    return picture


def test_a_scenes_own_picture_is_better_than_the_half_way_to_the_next() -> None:
    for seed in range(20):
        first, second = a_picture(2 * seed), a_picture(2 * seed + 1)
        half = cv2.addWeighted(first, 0.5, second, 0.5, 0)
        assert best([merit(half), merit(first), merit(half), merit(second)]) in (1, 3)


@pytest.mark.parametrize("spoil", ["soft", "pale", "grey"])
def test_crispness_contrast_and_colour_count(spoil: str) -> None:
    picture = a_picture(3)
    worse = {
        "soft": cv2.GaussianBlur(picture, (0, 0), 3),
        "pale": (picture // 2 + 90).astype(np.uint8),
        "grey": cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
    }[spoil]
    assert best([merit(worse), merit(picture)]) == 1


def test_a_film_of_black_pictures_has_a_poster_as_well() -> None:
    assert best([merit(np.zeros((SIDE, SIDE, 3), np.uint8))] * 3) == 0


def test_the_poster_is_the_best_keyframes_own_file(tmp_path: Path) -> None:
    pictures = {"a": a_picture(1) // 3, "b": a_picture(2), "c": a_picture(1) // 4}
    for name, picture in pictures.items():
        write_png(tmp_path / name, picture)
    piece = SimpleNamespace(
        index=0, node=PosterNode(keyframes=(*pictures,)), target=str(tmp_path / "poster.png")
    )
    networks = dict.fromkeys(("painter", "interpolator", "upscaler"))
    about = networks | {"previewer": None, "advance": None}
    inputs = {name: str(tmp_path / name) for name in pictures}
    context = Context(job="j", inputs=inputs, stopped=lambda: False, **about)  # type: ignore[arg-type]
    assert load("poster")([piece], context) == [""]
    assert (tmp_path / "poster.png").read_bytes() == (tmp_path / "b").read_bytes()
    larger = {f"large {name}": str(tmp_path / f"large {name}") for name in pictures}
    for name, file in larger.items():
        Path(file).write_text(name)
    piece.node = structs.replace(piece.node, enlarged=(*larger,))
    context = Context(job="j", inputs=inputs | larger, stopped=lambda: False, **about)  # type: ignore[arg-type]
    assert load("poster")([piece], context) == [""]
    assert (tmp_path / "poster.png").read_text() == "large b"
    stopped = Context(job="j", inputs=inputs, stopped=lambda: True, **about)  # type: ignore[arg-type]
    with pytest.raises(Cancelled):
        load("poster")([piece], stopped)
