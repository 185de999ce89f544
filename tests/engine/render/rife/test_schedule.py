"""engine.render.rife.video: which output frame lies where."""

from fractions import Fraction
from itertools import pairwise

import pytest

from engine.errors import InvalidParameterError
from engine.render.rife.video import Pace, Schedule, frame_count, nominal_rate

MILLISECOND = Fraction(1, 1000)


def steady(rate: Fraction | int, count: int) -> list[Fraction]:
    return [index / Fraction(rate) for index in range(count)]


def rounded(times: list[Fraction]) -> list[Fraction]:
    """Times as Matroska keeps them, in whole milliseconds."""
    return [round(time / MILLISECOND) * MILLISECOND for time in times]


def positions(times: list[Fraction], rate: Fraction) -> list[list[float]]:
    schedule = Schedule(times[0], rate, frame_count(times, rate))
    found = [schedule.between(*pair) for pair in pairwise(times)]
    return [*found, [0.0] * schedule.rest()]


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(12)])
def test_constant_rates_are_recognised_through_rounded_times(rate: Fraction) -> None:
    assert nominal_rate(steady(rate, 200)) == rate
    assert nominal_rate(rounded(steady(rate, 200))) == rate


def test_24_is_not_taken_for_its_broadcast_sister() -> None:
    assert nominal_rate(steady(24, 100)) == 24
    assert nominal_rate(steady(Fraction(24000, 1001), 100)) == Fraction(24000, 1001)


def test_a_variable_rate_counts_as_its_usual_interval() -> None:
    times = [Fraction(time, 30) for time in (0, 1, 2, 3, 9, 10, 11, 12, 20, 21, 22)]
    assert nominal_rate(times) == 30


def test_a_factor_keeps_every_frame_and_adds_evenly_between() -> None:
    found = positions(steady(24, 5), Fraction(96))
    assert found[:4] == [[0.0, 0.25, 0.5, 0.75]] * 4
    assert len(found[4]) == 4
    assert sum(len(part) for part in found) == 20


def test_rounded_times_still_keep_every_frame() -> None:
    found = positions(rounded(steady(Fraction(30000, 1001), 60)), Fraction(60000, 1001))
    assert all(len(part) == 2 and part[0] == 0.0 for part in found)
    assert all(abs(part[1] - 0.5) < 0.02 for part in found[:-1])


def test_a_foreign_rate_spreads_over_all_intervals() -> None:
    found = positions(steady(24, 25), Fraction(60))
    moments = [
        (index + position) / 24 for index, part in enumerate(found[:-1]) for position in part
    ]
    assert moments == pytest.approx([index / 60 for index in range(len(moments))], abs=0.001)
    assert sum(len(part) for part in found) == round(Fraction(25, 24) * 60)


def test_long_intervals_of_a_variable_rate_get_more_frames() -> None:
    times = [Fraction(0), Fraction(1, 10), Fraction(4, 10), Fraction(5, 10)]
    assert [len(part) for part in positions(times, Fraction(20))] == [2, 6, 2, 2]


def test_a_single_frame_is_one_frame() -> None:
    assert frame_count([Fraction(0)], Fraction(25)) == 1


@pytest.mark.parametrize("factor", [2, 8, 50, 64])
@pytest.mark.parametrize("still", [1, 12])
def test_no_output_is_lost_between_far_inputs(factor: int, still: int) -> None:
    """Many outputs in one stretch, such as a still, lie close to its ends."""
    times = steady(24, 3 * still + 1)[::still]
    schedule = Schedule(Fraction(0), Fraction(24 * factor), 3 * still * factor)
    for earlier, later in pairwise(times):
        positions = schedule.between(earlier, later)
        assert positions == pytest.approx([k / (factor * still) for k in range(factor * still)])
        assert positions.count(0.0) == 1
    assert schedule.rest() == 0


def test_a_pace_leaves_out_the_ends_and_rests_at_frames() -> None:
    moments = [0.25, 0.5, 0.75]
    assert [Pace()(moment) for moment in moments] == moments
    assert [Pace(0.1)(moment) for moment in moments] == pytest.approx([0.3, 0.5, 0.7])
    assert [Pace(0.1)(moment) for moment in (0.0, 1.0)] == pytest.approx([0.1, 0.9])
    smooth = [Pace(easing="smooth")(moment) for moment in moments]
    assert smooth == pytest.approx([0.15625, 0.5, 0.84375])


@pytest.mark.parametrize("values", [(-0.1, "linear"), (0.5, "linear"), (0.1, "bouncy")])
def test_an_impossible_pace_is_refused(values: tuple[float, str]) -> None:
    with pytest.raises(InvalidParameterError):
        Pace(*values)
