import msgspec
import pytest

from engine.errors import ErrorReport
from engine.film import events
from engine.film.recipe import Recipe, Scene
from tests.stand_ins.connection import FINISHED, PLANNED, progress
from ui.routes import job_state
from ui.storage.job_views import JobView

STARTED = events.Started(attempt=1, device="cpu")
PAINTED = events.PieceFinished(
    stage="keyframe", index=0, object="o", sha256="s", size=1, reused=False
)
ENLARGED = msgspec.structs.replace(PLANNED, stages=("keyframe", "enlarged", "segment", "film"))


def view(*happened: events.Event) -> JobView:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),))
    return JobView("job", recipe, "engine", progress=progress(*happened))


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        ([events.Queued(position=0)], "Next in line"),
        ([events.Queued(position=2)], "Waiting for 2 other films"),
        ([STARTED], "Loading the model"),
        (
            [
                STARTED,
                events.ModelLoading(model="m", done_bytes=45, total_bytes=100, percent=45.0),
            ],
            "Loading the model · 45 %",
        ),
        (
            [
                STARTED,
                PLANNED,
                events.PieceStarted(stage="keyframe", index=1),
                events.PieceAdvanced(stage="keyframe", index=1, done=7, total=20),
            ],
            "Painting keyframes: 0 of 2 finished · step 7 of 20",
        ),
        (
            [STARTED, PLANNED, PAINTED, events.PieceStarted(stage="keyframe", index=1)],
            "Painting keyframes: 1 of 2 finished",
        ),
        (
            [
                STARTED,
                PLANNED,
                events.PieceStarted(stage="keyframe", index=0),
                events.PieceStarted(stage="keyframe", index=1),
                events.PieceAdvanced(stage="keyframe", index=1, done=3, total=20),
            ],
            "Painting keyframes: 0 of 2 finished · steps 0 and 3 of 20",
        ),
        (
            [
                STARTED,
                PLANNED,
                events.PieceStarted(stage="segment", index=0),
                events.PieceAdvanced(stage="segment", index=0, done=5, total=8),
            ],
            "Drawing in-betweens: 0 of 1 finished · frame 5 of 8",
        ),
        (
            [STARTED, ENLARGED, PAINTED, events.PieceStarted(stage="enlarged", index=0)],
            "Enlarging keyframes: 0 of 2 finished",
        ),
        ([STARTED, PLANNED, events.PieceStarted(stage="film")], "Joining the film"),
        ([STARTED, PLANNED, FINISHED], "Downloading the film to this computer"),
        ([STARTED, events.Cancelled()], "Cancelled"),
        (
            [STARTED, events.Interrupted(reason="worker")],
            "The engine had to start over; everything finished is kept",
        ),
    ],
)
def test_the_headline_shows_what_is_being_done(happened: list[events.Event], expected: str) -> None:
    assert job_state.headline(view(*happened)) == expected


def test_the_film_is_ready_once_it_is_on_this_laptop() -> None:
    shown = view(STARTED, PLANNED, FINISHED)
    shown.downloaded = (50, 200)
    assert job_state.headline(shown).endswith("· 25 %")
    assert not job_state.state(shown)["settled"]
    shown.saved = True
    assert job_state.headline(shown) == "Your film is ready"
    assert job_state.state(shown)["settled"]


def test_the_timeline_counts_pieces() -> None:
    steps = job_state.timeline(
        view(STARTED, PLANNED, events.PieceStarted(stage="keyframe", index=0), PAINTED)
    )
    assert [(step["name"], step["count"], step["state"]) for step in steps] == [
        ("Model", "", "done"),
        ("Keyframes", "1 / 2", "active"),
        ("In-betweens", "0 / 1", "todo"),
        ("Film", "", "todo"),
    ]


def test_an_engine_that_does_not_answer_is_named_with_the_seconds() -> None:
    shown = view(STARTED)
    far, here = "far.example", job_state.Rescue("This computer", saved=True)
    assert job_state.state(shown, silent=12.0, engine=far, rescue=here)["silence"] == ""
    shown.reachable = False
    assert job_state.state(shown, silent=1.0, engine=far)["silence"] == ""
    found = job_state.state(shown, silent=12.0, engine=far, rescue=here)
    assert (
        found["silence"] == "far.example has not answered for 12 s. Your keyframes are safe here."
    )
    assert found["rescue"] == "This computer"
    unsaved = job_state.state(shown, silent=150.0, engine="")["silence"]
    assert unsaved == "Its engine has not answered for 2.5 min. It may still be working."
    shown.move_status = "Asking the other engine…"
    assert job_state.state(shown, silent=12.0, engine=far)["silence"] == ""


def test_lack_of_memory_is_shown_while_it_lasts() -> None:
    economized = events.Economized(way="tiles", exact=False)
    shown = view(STARTED, PLANNED, events.PieceStarted(stage="keyframe", index=0), economized)
    assert job_state.calm(shown) == "Memory is short, so painting takes longer"
    assert job_state.calm(view(STARTED, economized, FINISHED)) == ""
    assert job_state.calm(view(STARTED, economized, STARTED)) == ""


def test_another_network_than_the_chosen_one_is_shown() -> None:
    planned = msgspec.structs.replace(PLANNED, notice="RIFE 4.25 cannot be reached")
    assert job_state.calm(view(STARTED, PLANNED)) == ""
    assert "simpler than usual: RIFE" in job_state.calm(view(STARTED, planned))
    assert "RIFE 4.25 cannot be reached" in job_state.calm(view(STARTED, planned))


def test_the_remaining_time_decreases_during_silence() -> None:
    shown = view(STARTED, PLANNED)
    remaining = job_state.state(shown)["remaining"]
    assert job_state.state(shown, silent=2.0)["remaining"] == pytest.approx(remaining - 2.0)


def test_a_failure_carries_message_and_remedy() -> None:
    report = ErrorReport("E_DEVICE_MEMORY", "out of memory", "choose a smaller size")
    state = job_state.state(view(STARTED, events.Failed(error=report)))
    assert state["error"] == {"message": "out of memory", "remedy": "choose a smaller size"}


def test_a_move_is_shown_in_the_calm_line_and_settles_the_old_job() -> None:
    shown = view(STARTED)
    shown.reachable, shown.move_status = False, "Uploading finished part 1 of 3 to there…"
    assert job_state.calm(shown) == shown.move_status
    shown.move_status, shown.successor = "", "another job"
    assert job_state.state(shown)["settled"]
    assert job_state.calm(shown) == ""


@pytest.mark.parametrize("upscale", [1, 2])
def test_the_timeline_has_the_stages_of_the_film(upscale: int) -> None:
    shown = view(STARTED)
    shown.recipe = msgspec.structs.replace(shown.recipe, upscale=upscale)
    expected = ["Model", "Keyframes", *["Enlarged"] * (upscale > 1), "In-betweens", "Film"]
    assert [step["name"] for step in job_state.timeline(shown)] == expected
