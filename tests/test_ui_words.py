import msgspec
import pytest

from engine import events
from engine.errors import ErrorReport
from engine.recipe import Recipe, Scene
from tests.ui_stand_in import FINISHED, PLANNED, progress
from ui import words
from ui.board import View
from ui.tables import KEYFRAME, SEGMENT, Piece

STARTED = events.Started(attempt=1, device="cpu")
PAINTED = events.KeyframeFinished(index=0, object="o", sha256="s", size=1, reused=False)


def view(*happened: events.Event) -> View:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),))
    return View("job", recipe, "engine", progress=progress(*happened))


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        ([events.Queued(position=0)], "Next in line"),
        ([events.Queued(position=2)], "Waiting: 2 films go first"),
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
                events.KeyframeStarted(index=1),
                events.KeyframeStep(index=1, step=7, steps=20),
            ],
            "Painting keyframe 2 of 2 · step 7 of 20",
        ),
        (
            [
                STARTED,
                PLANNED,
                events.KeyframeStarted(index=0),
                events.KeyframeStarted(index=1),
                events.KeyframeStep(index=1, step=3, steps=20),
            ],
            "Painting keyframes 1 and 2 of 2 · steps 0 and 3 of 20",
        ),
        (
            [
                STARTED,
                PLANNED,
                events.SegmentStarted(index=0, frames=8),
                events.SegmentFrame(index=0, frame=5, frames=8),
            ],
            "Filling gap 1 of 1 · frame 5 of 8",
        ),
        ([STARTED, PLANNED, events.Assembling()], "Joining the film"),
        ([STARTED, PLANNED, FINISHED], "Bringing the film to this computer"),
        ([STARTED, events.Cancelled()], "Cancelled"),
        (
            [STARTED, events.Interrupted(reason="worker")],
            "The engine had to start over; everything finished is kept",
        ),
    ],
)
def test_the_headline_says_what_is_being_done(happened: list[events.Event], expected: str) -> None:
    assert words.headline(view(*happened)) == expected


def test_the_film_is_ready_once_it_is_on_this_laptop() -> None:
    shown = view(STARTED, PLANNED, FINISHED)
    shown.fetched = (50, 200)
    assert words.headline(shown).endswith("· 25 %")
    assert not words.state(shown)["settled"]
    shown.saved = True
    assert words.headline(shown) == "Your film is ready"
    assert words.state(shown)["settled"]


def test_the_timeline_counts_pieces() -> None:
    steps = words.timeline(view(STARTED, PLANNED, events.KeyframeStarted(index=0), PAINTED))
    assert [(step["name"], step["count"], step["state"]) for step in steps] == [
        ("Model", "", "done"),
        ("Keyframes", "1 / 2", "active"),
        ("In-betweens", "0 / 1", "todo"),
        ("Film", "", "todo"),
    ]


def test_a_dropped_connection_gets_one_calm_line_until_all_is_done() -> None:
    shown = view(STARTED)
    assert words.calm(shown) == ""
    shown.reachable = False
    assert "reconnecting" in words.calm(shown)


def test_want_of_memory_is_said_in_plain_words_while_it_lasts() -> None:
    economized = events.Economized(way="tiles", exact=False)
    shown = view(STARTED, PLANNED, events.KeyframeStarted(index=0), economized)
    assert words.calm(shown) == "Not enough graphics memory; painting more thriftily"
    assert words.calm(view(STARTED, economized, FINISHED)) == ""
    assert words.calm(view(STARTED, economized, STARTED)) == ""


def test_a_films_record_says_what_want_of_memory_changed() -> None:
    tiled = Piece(media_type=KEYFRAME, index=0, origin="A", detail="tiled")
    plain = Piece(media_type=KEYFRAME, index=1, origin="A", detail="")
    assert words.made_where([tiled, plain]).startswith("1 of 2 keyframes were put together")
    assert words.made_where([plain]) == ""


def test_another_network_than_the_chosen_one_is_said() -> None:
    planned = msgspec.structs.replace(PLANNED, notice="RIFE 4.25 cannot be reached")
    assert words.calm(view(STARTED, PLANNED)) == ""
    assert "offline network" in words.calm(view(STARTED, planned))
    assert "RIFE 4.25 cannot be reached" in words.calm(view(STARTED, planned))


def test_silence_counts_as_work_that_went_on() -> None:
    shown = view(STARTED, PLANNED)
    remaining = words.state(shown)["remaining"]
    assert words.state(shown, silent=2.0)["remaining"] == pytest.approx(remaining - 2.0)


def test_a_failure_carries_message_and_remedy() -> None:
    report = ErrorReport("E_DEVICE_MEMORY", "out of memory", "choose a smaller size")
    state = words.state(view(STARTED, events.Failed(error=report)))
    assert state["error"] == {"message": "out of memory", "remedy": "choose a smaller size"}


def test_plain_text_survives_markdown() -> None:
    assert words.plain("*a* <b> [c](d) :red[e]") == r"\*a\* \<b\> \[c\]\(d\) \:red\[e\]"


def test_sizes_read_well() -> None:
    assert [words.size(n) for n in (0, 999, 25_011, 3_400_000, 21_500_000_000)] == [
        "0 B",
        "999 B",
        "25 KB",
        "3.4 MB",
        "21.5 GB",
    ]


def test_long_prompts_become_short_titles() -> None:
    assert words.short("a\nb") == "a b"
    assert len(words.short("word " * 100)) <= 90


def piece(kind: str, index: int, origin: str) -> Piece:
    return Piece(job="j", media_type=kind, index=index, object="o", size=1_000_000, origin=origin)


def test_a_film_made_on_one_device_needs_no_word_about_it() -> None:
    assert words.made_where([piece(KEYFRAME, 0, "A"), piece(SEGMENT, 0, "A")]) == ""
    assert words.made_where([piece(KEYFRAME, 0, "A"), piece(KEYFRAME, 1, "")]) == ""


def test_a_film_made_on_two_devices_says_which_made_what() -> None:
    keyframes = [piece(KEYFRAME, index, "A" if index < 4 else "B") for index in range(13)]
    segments = [piece(SEGMENT, index, "A" if index < 1 else "B") for index in range(12)]
    assert words.made_where(keyframes + segments) == (
        "Keyframes 1–4 were painted on A, 5–13 on B. In-between 1 was drawn on A, 2–12 on B. "
        "Different hardware may differ in tiny details of colour and texture."
    )


def test_what_is_safe_here_is_counted() -> None:
    assert words.kept([], 50_000_000) == ""
    some = [piece(KEYFRAME, 0, "A"), piece(KEYFRAME, 1, "A"), piece(SEGMENT, 0, "A")]
    assert words.kept(some, 50_000_000) == (
        "Safe on this computer: 2 keyframes and 1 in-between · 3 MB of at most 50 MB"
    )


def test_a_move_is_told_in_the_calm_line_and_settles_the_old_job() -> None:
    shown = view(STARTED)
    shown.reachable, shown.moving = False, "Bringing finished part 1 of 3 to there…"
    assert words.calm(shown) == shown.moving
    shown.moving, shown.successor = "", "another job"
    assert words.state(shown)["settled"]
    assert words.calm(shown) == ""


def test_what_made_a_film_is_said_in_plain_words() -> None:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),), seed=7)
    assert words.made_with(recipe) == (
        "Painted by landscapes in 20 steps, one frame in 8; the others are drawn between them. "
        "24 frames a second, 256 × 256 pixels. Seed 7, guidance 4, scheduler dpmsolver++."
    )
    scenes = (Scene(prompt="dawn"), Scene(prompt="night"))
    changed = {"scenes": scenes, "drift": 0.09375, "negative_prompt": "fog"}
    told = words.made_with(msgspec.structs.replace(recipe, interpolation_factor=1, **changed))
    assert told.startswith("Each scene melts into the next. Painted by landscapes in 20 steps. ")
    assert told.endswith("drifts past, 0.094 picture widths a second. Kept away from: fog")


def test_moments_and_durations_are_said_for_people() -> None:
    now = 1_800_000_000.0
    pasts = {5: "just now", 61: "1 minute ago", 7300: "2 hours ago", 86_400 * 6.5: "6 days ago"}
    assert {past: words.ago(now - past, now) for past in pasts} == pasts
    assert words.ago(now - 86_400 * 40, now) in ("5 Dec 2026", "6 Dec 2026")  # by time zone
    lengths = {4.0: "4 s", 84.0: "1 min 24 s", 120.0: "2 min", 2400.0: "40 min", 9000.0: "2.5 h"}
    assert {seconds: words.length(seconds) for seconds in lengths} == lengths
