"""What segments show in place of the keyframes that they are between."""

import numpy as np
import pytest

from engine.film.camera import REST, Move, Pose
from engine.film.graph import Bridge, SegmentNode
from engine.render import bridge
from engine.render.image import Picture
from engine.render.painting import warp
from engine.render.rife import load_interpolator
from engine.render.rife.interpolator import fade

MOVE = Move(before=REST, after=Pose(zoom=1.2, pan_x=0.1))
SMALL = [np.full((64, 80, 3), value, np.uint8) for value in (40, 200)]
DRAW = np.random.default_rng(4)
LARGE = tuple(DRAW.integers(0, 256, (192, 240, 3), np.uint8) for _ in range(2))


def shown(way: Bridge, move: Move | None = None) -> list[Picture]:
    node = SegmentNode(
        first="a", second="b", frames=3, closing=True, bridge=way, move=move, fps=8, interpolator=""
    )
    return [*bridge.frames(node, *SMALL, load_interpolator(), LARGE)]


def test_what_is_held_faded_or_moved_by_a_camera_is_enlarged() -> None:
    first, second = LARGE
    places = (1 / 3, 2 / 3)
    expected = {
        "hold": (shown("hold"), [first, first]),
        "fade": (shown("fade"), [fade(first, second, place) for place in places]),
        "camera": (
            shown("flow", MOVE),
            [warp.between(first, second, MOVE, place) for place in places],
        ),
    }
    for name, (frames, between) in expected.items():
        assert all(map(np.array_equal, frames, [first, *between, second])), name


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_bands_leave_no_trace(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shown("fade"), shown("flow", MOVE)
    monkeypatch.setattr("engine.render.rife.interpolator.FADED_ROWS", rows)
    monkeypatch.setattr(warp, "BAND_PIXELS", rows * 240)
    for frames, before in zip((shown("fade"), shown("flow", MOVE)), whole, strict=True):
        assert all(map(np.array_equal, frames, before))
