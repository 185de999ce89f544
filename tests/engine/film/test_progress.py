import msgspec

from engine.errors import ErrorReport
from engine.film import events
from engine.film.events import AnyEvent, Logged
from engine.film.progress import Progress, advance, fold
from engine.film.stages import FILM, KEYFRAME
from tests.stand_ins.connection import FINISHED

PLANNED = events.Planned(
    keyframes=("k0", "k1"),
    segments=("s0",),
    segment_frames=(9,),
    frames=9,
    model="m",
    interpolator="i",
)
KEY = {"sha256": "0", "size": 1}


def log(*happened: AnyEvent) -> list[Logged]:
    return [Logged(seq=i, at=100.0 + i, event=event) for i, event in enumerate(happened, 1)]


START = (events.Queued(position=0), events.Started(attempt=1, device="cpu"), PLANNED)
PAINTED = (
    events.PieceStarted(stage="keyframe", index=0),
    events.PieceAdvanced(stage="keyframe", index=0, done=1, total=2),
    events.PieceFinished(stage="keyframe", index=0, object="k0", reused=False, **KEY),
)


def test_a_waiting_job_has_no_estimate() -> None:
    progress = fold(log(*START[:2]))
    assert (progress.status, progress.remaining, progress.fraction) == ("running", None, 0.0)


def test_work_done_moves_the_fraction_and_never_back() -> None:
    progress, seen = Progress(), []
    for logged in log(*START, *PAINTED):
        advance(progress, logged)
        seen.append(progress.fraction)
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 1


def test_the_estimate_uses_measurements() -> None:
    progress = fold(log(*START, *PAINTED))
    assert progress.of(KEYFRAME).timing.mean(99) == 2.0  # started at 104, finished at 106
    assert progress.remaining == 2.0 + 9 * 0.1


def test_a_reused_keyframe_teaches_nothing() -> None:
    reused = events.PieceFinished(stage="keyframe", index=0, object="k0", reused=True, **KEY)
    assert fold(log(*START, reused)).of(KEYFRAME).timing.count == 0


def test_an_event_counts_once() -> None:
    happened = log(*START, *PAINTED)
    assert fold([*happened, *happened]) == fold(happened)


def test_an_interruption_keeps_what_was_finished() -> None:
    progress = fold(log(*START, *PAINTED, events.Interrupted(reason="engine")))
    assert (progress.status, progress.keyframes) == ("queued", ["k0", ""])


def test_a_cancelled_job_reports_its_progress() -> None:
    progress = fold(log(*START, events.Cancelled()))
    assert (progress.fraction, progress.remaining) == (0.0, 0.0)


def test_a_failure_is_final() -> None:
    report = ErrorReport("E_X", "it broke")
    progress = fold(log(*START, events.Failed(error=report)))
    assert progress.final
    assert progress.error == report
    assert progress.remaining == 0.0


TWO = (
    events.Queued(position=0),
    events.Started(attempt=1, device="2 × cpu"),
    PLANNED,
    events.PieceStarted(stage="keyframe", index=0),  # at 104
    events.PieceStarted(stage="keyframe", index=1),
    events.PieceAdvanced(stage="keyframe", index=0, done=1, total=2),
    events.PieceAdvanced(stage="keyframe", index=1, done=2, total=2),
    events.PieceFinished(stage="keyframe", index=1, object="k1", reused=False, **KEY),  # at 108
)


def test_events_of_several_keyframes_are_kept_apart() -> None:
    progress = fold(log(*TWO[:-1]))
    assert {i: piece.done for i, piece in progress.of(KEYFRAME).open.items()} == {0: 1, 1: 2}
    assert progress.phase == "keyframe"
    assert list(fold(log(*TWO)).of(KEYFRAME).open) == [0]


def test_keyframes_of_one_batch_count_as_one_device() -> None:
    four = msgspec.structs.replace(PLANNED, keyframes=("k0", "k1", "k2", "k3"))
    begun = [
        events.PieceStarted(stage="keyframe", index=index, row=index % 2) for index in range(4)
    ]
    assert [fold(log(four, *begun[:number])).at_once for number in (1, 2, 4)] == [1, 1, 2]


def test_time_is_shared_among_what_is_made_at_once() -> None:
    first = events.PieceFinished(stage="keyframe", index=0, object="k0", reused=False, **KEY)
    timing = fold(log(*TWO, first)).of(KEYFRAME).timing
    assert (timing.count, timing.seconds) == (2, 5.0)  # from 104 to 109


def test_the_first_guess_knows_of_several_devices() -> None:
    one, two = fold(log(*TWO[:4])), fold(log(*TWO[:5]))
    assert (one.at_once, two.at_once) == (1, 2)
    assert two.remaining == one.remaining / 2  # type: ignore[operator]


def test_a_lost_keyframe_is_started_again_while_others_continue() -> None:
    lost = events.PieceLost(reason="worker", stage="keyframe", index=1)
    progress = fold(log(*TWO[:-1], lost))
    assert (progress.status, list(progress.of(KEYFRAME).open)) == ("running", [0])
    assert fold(log(*TWO[:-1], events.Interrupted(reason="worker"))).of(KEYFRAME).open == {}


def test_an_event_about_a_piece_that_no_plan_names_changes_no_piece() -> None:
    lost = events.PieceFinished(
        stage="keyframe", index=7, object="o", sha256="s", size=1, reused=True
    )
    gap = events.PieceFinished(
        stage="segment", index=7, object="o", sha256="s", size=1, reused=True
    )
    other = msgspec.structs.replace(lost, stage="a stage of a later version")
    assert fold(log(lost, gap, other)).pieces == {}
    progress = fold(log(*START, lost, gap, other))
    assert (progress.seq, progress.keyframes, progress.segments) == (6, ["", ""], [""])


def test_the_film_is_a_piece_as_well_also_in_logs_that_have_no_event_of_its_own_for_it() -> None:
    begun, film = events.PieceStarted(stage="film"), msgspec.structs.replace(FINISHED, object="f")
    piece = events.PieceFinished(stage="film", object="f", reused=False, **KEY)
    for happened in ([begun, film], [begun, piece, film]):
        progress = fold(log(*START, *happened))
        assert progress.of(FILM).names == ["f"]
        assert (progress.of(FILM).timing.count, progress.of(FILM).timing.seconds) == (1, 1.0)
