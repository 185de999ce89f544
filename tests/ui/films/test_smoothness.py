"""What the Library says of a film's smoothness."""

import pytest

from engine.film.events import Finished, Logged, Scores, Started
from ui.films.recipe_card import motion_in_words, scores_in_figures, scores_of

SMOOTH = Scores(
    flicker=0.004, jumps=0, unevenness=0.31, brightness=0.01, colour=0.0, duplicates=0.0
)
ROUGH = Scores(
    flicker=0.062, jumps=3, unevenness=1.42, brightness=-0.25, colour=0.08, duplicates=0.5
)


def test_a_smooth_film_is_described_without_figures():
    assert motion_in_words(SMOOTH) == "Steady, no visible flicker."


def test_a_rough_film_is_described_with_all_its_faults():
    assert motion_in_words(ROUGH) == (
        "Uneven pace, some flicker, 3 jumps or cuts, stands still at times, becomes darker, "
        "changes colour."
    )
    assert scores_in_figures(ROUGH) == (
        "Pace varies by 142 % · Flicker 6.2 % · Jumps 3 · Still frames 50 % · "
        "Brightness -25 % · Colour 8 %"
    )


@pytest.mark.parametrize("scores", [SMOOTH, ROUGH, None])
def test_the_last_end_in_the_log_counts(scores):
    log = [
        Logged(seq=1, at=0.0, event=Started(attempt=1, device="cpu")),
        Logged(seq=2, at=1.0, event=finished(SMOOTH)),
        Logged(seq=3, at=2.0, event=finished(scores)),
    ]
    assert scores_of(log) == scores
    assert scores_of(log[:1]) is None


def finished(scores: Scores | None) -> Finished:
    about = {"object": "o", "sha256": "s", "size": 1, "media_type": "video/mp4"}
    shape = {"frames": 24, "seconds": 1.0, "width": 256, "height": 256}
    return Finished(**about, **shape, scores=scores)
