"""What the Library says of a film's smoothness."""

import pytest

from engine.film.events import Finished, Logged, Scores, Started
from ui.films.recipe_card import scores_in_words, smoothness

SMOOTH = Scores(
    flicker=0.004, jumps=0, unevenness=0.31, brightness=0.01, colour=0.0, duplicates=0.0
)
ROUGH = Scores(
    flicker=0.062, jumps=3, unevenness=1.42, brightness=-0.25, colour=0.08, duplicates=0.5
)


def test_a_smooth_film_is_described_in_one_phrase():
    assert scores_in_words(SMOOTH) == (
        "Smoothness: no jumps, even pace (varies by 31 %), hardly any flicker (0.4 %)"
    )


def test_a_rough_film_is_described_with_all_its_scores():
    assert scores_in_words(ROUGH) == (
        "Smoothness: 3 jumps, cuts included, uneven pace (varies by 142 %), some flicker (6.2 %), "
        "ends 25 % darker, colours move by 8 %, 50 % of the frames repeat the one before"
    )


@pytest.mark.parametrize("scores", [SMOOTH, ROUGH, None])
def test_the_last_end_in_the_log_counts(scores):
    log = [
        Logged(seq=1, at=0.0, event=Started(attempt=1, device="cpu")),
        Logged(seq=2, at=1.0, event=finished(SMOOTH)),
        Logged(seq=3, at=2.0, event=finished(scores)),
    ]
    assert smoothness(log) == (scores_in_words(scores) if scores else "")
    assert smoothness(log[:1]) == ""


def finished(scores: Scores | None) -> Finished:
    about = {"object": "o", "sha256": "s", "size": 1, "media_type": "video/mp4"}
    shape = {"frames": 24, "seconds": 1.0, "width": 256, "height": 256}
    return Finished(**about, **shape, scores=scores)
