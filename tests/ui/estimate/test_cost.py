import json
import math
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.film import events, older
from engine.film.events import Event, Logged
from engine.film.plan import MakeStep
from engine.film.recipe import Recipe
from engine.film.recipe_json import parse_recipe
from engine.film.stages import KEYFRAME, SEGMENT
from engine.models import KNOWN
from tests.stand_ins.connection import FINISHED
from tests.stand_ins.plans import worked
from ui.estimate.cost import Estimate, price
from ui.estimate.history import FilmHistory, Measurement, measure, most_units
from ui.estimate.panel import between, painted_already
from ui.storage.event_log import EventLog
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine

FILMS = Path(__file__).with_name("price_films.jsonl")
KEY = {"sha256": "", "size": 60_000}


def recipe(seconds: float = 1.0, **settings: Any) -> Recipe:
    return parse_recipe({"scenes": [{"prompt": "dawn", "seconds": seconds}], **settings})


def log_of(made: Recipe, *, step: float, frame: float, load: float = 6.0) -> list[Logged]:
    """Return the log of a film on a device that needs so long for a step and for a frame.

    Unrealistic: every piece takes exactly as long as the one before it.
    """
    plan, steps = worked(made, model="landscapes@1", interpolator="rife@1")
    log: list[Logged] = []
    now = 100.0

    def say(event: Event, after: float = 0.0) -> None:
        nonlocal now
        now += after
        log.append(Logged(seq=len(log) + 1, at=now, event=event))  # type: ignore[arg-type]

    say(events.Started(attempt=1, device="a device"))
    lengths = tuple(node.length for node in plan.segments)
    say(
        events.Planned(
            keyframes=tuple(node.name for node in plan.keyframes),
            segments=plan.film.segments,
            segment_frames=lengths,
            gaps=tuple(plan.gaps),
            frames=made.frames,
            model="landscapes@1",
            interpolator="rife@1",
        ),
        load,
    )
    for work in steps:
        match work:
            case MakeStep(stage=stage, index=index, node=node) if stage is KEYFRAME:
                say(events.PieceStarted(stage="keyframe", index=index))
                painted = made.num_inference_steps * step
                done = events.PieceFinished(
                    stage="keyframe", index=index, object=node.name, reused=False, **KEY
                )  # type: ignore[arg-type]
                say(done, painted)
            case MakeStep(stage=stage, index=index, node=node) if stage is SEGMENT:
                say(events.PieceStarted(stage="segment", index=index))
                drawn = events.PieceFinished(
                    stage="segment", index=index, object=node.name, reused=False, **KEY
                )  # type: ignore[arg-type]
                say(drawn, lengths[index] * frame)
    say(events.PieceStarted(stage="film"))
    say(FINISHED, 0.4)
    return log


def lessons(*films: Recipe, **speed: float) -> list[Measurement]:
    """Return what films tell, the newest first."""
    found = [measure(film, log_of(film, **speed)) for film in films]
    return [one for one in reversed(found) if one]


def asked(made: Recipe, learnt: list[Measurement], **about: Any) -> Estimate:
    return price(made, learnt, **{"units": most_units(made), "cold": True, **about})


def read(log: list[dict[str, Any]]) -> list[Logged]:
    """Read a log that version 1 wrote."""
    return [
        Logged(
            seq=one["seq"], at=one["at"], event=older.read_event(msgspec.json.encode(one["event"]))
        )
        for one in log
    ]


def took(made: Recipe, **speed: float) -> float:
    log = log_of(made, **speed)
    return log[-1].at - log[0].at


@pytest.mark.parametrize("speed", [{"step": 0.12, "frame": 0.1}, {"step": 0.004, "frame": 0.002}])
def test_after_five_films_a_price_is_right_within_a_quarter(speed: dict[str, float]) -> None:
    dice = random.Random(1)
    films = [
        recipe(
            dice.uniform(0.5, 5),
            num_inference_steps=dice.randint(8, 40),
            fps=dice.randint(8, 30),
            interpolation_factor=dice.randint(2, 16),
        )
        for _ in range(10)
    ]
    for film in films[5:]:
        expected = asked(film, lessons(*films[:5], **speed))
        true = took(film, **speed)
        assert abs(expected.seconds - true) <= true / 4
        assert expected.low <= true <= expected.high


def test_real_films_are_priced_right_within_a_quarter_after_five() -> None:
    """What ``python -m benchmarks.price --logs`` kept of ten films, names of objects left out."""
    films = [json.loads(line) for line in FILMS.read_text().splitlines()]
    learnt: list[Measurement] = []
    for number, film in enumerate(films):
        made = parse_recipe(film["recipe"])
        told = measure(made, read(film["log"]))
        assert told
        if number >= 5:
            cost = asked(made, learnt[::-1], cold=False)
            assert abs(cost.seconds - told.seconds) <= told.seconds / 4
            assert cost.low <= told.seconds <= cost.high
        learnt.append(told)


def test_bars_grow_narrower_as_films_agree() -> None:
    film = recipe()
    widths = []
    for count in (0, 1, 3, 6):
        cost = asked(film, lessons(*[film] * count, step=0.1, frame=0.1))
        widths.append(math.log(cost.high / cost.low))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.5 * widths[0]


def test_bars_stay_wide_where_films_disagree() -> None:
    film = recipe()
    calm, wild = [], []
    for index in range(6):
        calm += lessons(film, step=0.1, frame=0.1)
        wild += lessons(film, step=0.1 * (1, 3)[index % 2], frame=0.1)
    steady, unsteady = asked(film, calm), asked(film, wild)
    assert unsteady.high / unsteady.low > 1.5 * steady.high / steady.low


def test_the_newest_films_count_most() -> None:
    film = recipe()
    before, after = {"step": 0.3, "frame": 0.1}, {"step": 0.1, "frame": 0.1}
    learnt = lessons(*[film] * 3, **after) + lessons(*[film] * 3, **before)
    assert asked(film, learnt).seconds == pytest.approx(took(film, **after), rel=0.05)


def test_a_stage_without_a_stated_cost_was_measured_and_counts_for_nothing() -> None:
    film = recipe()
    learnt = lessons(film, step=0.1, frame=0.1)
    with_poster = [past._replace(each={**past.each, "poster": 0.4}) for past in learnt]
    assert asked(film, with_poster) == asked(film, learnt)


def test_what_is_made_already_costs_no_time() -> None:
    film = recipe(4.0)
    learnt = lessons(film, step=0.1, frame=0.1, load=0.2)
    cost = asked(film, learnt, units={}, cold=False)
    assert cost.seconds < 1


def test_an_interrupted_film_teaches_no_total() -> None:
    film = recipe()
    log = log_of(film, step=0.1, frame=0.1)
    log.insert(3, Logged(seq=0, at=log[2].at, event=events.Interrupted(reason="engine")))
    told = measure(film, log)
    assert told
    assert (told.seconds, told.loading) == (0.0, 0.0)
    assert told.each["keyframe"] == pytest.approx(2.0)


def test_what_several_devices_made_is_priced_by_their_number() -> None:
    made = recipe(4.0)
    log = log_of(made, step=0.5, frame=0.0)
    begun = next(one for one in log if isinstance(one.event, events.PieceStarted))
    shared: list[Event] = [events.PieceStarted(stage="keyframe", index=index) for index in (0, 1)]
    told = [*log[: begun.seq - 1]]
    told += [Logged(seq=0, at=begun.at, event=event) for event in shared]  # type: ignore[arg-type]
    for index in (0, 1):
        event = events.PieceFinished(stage="keyframe", index=index, object="k", reused=False, **KEY)  # type: ignore[arg-type]
        told.append(Logged(seq=0, at=begun.at + 12.0, event=event))
    told.append(msgspec.structs.replace(log[-1], at=begun.at + 12.0))
    numbered = [msgspec.structs.replace(one, seq=number) for number, one in enumerate(told, 1)]
    learnt = measure(made, numbered)
    assert learnt
    assert (learnt.devices, learnt.each["keyframe"]) == (2, 12.0)
    one, two = (
        asked(made, [learnt], devices=n, units={**most_units(made), "keyframe": 100}).seconds
        for n in (1, 2)
    )
    assert one - two == pytest.approx(600.0, rel=0.1)


def test_a_film_without_an_end_teaches_nothing() -> None:
    assert measure(recipe(), log_of(recipe(), step=0.1, frame=0.1)[:-1]) is None


def test_data_counts_only_far_away_and_only_what_may_come() -> None:
    film, learnt = recipe(), lessons(recipe(), step=0.1, frame=0.1)
    assert asked(film, learnt).data == 0
    little = asked(film, learnt, far=True)
    much = asked(film, learnt, far=True, previews=6_000_000, mirror=50_000_000)
    assert 0 < little.data < little.data + 6_000_000 < much.data < 60_000_000


def test_memory_is_that_of_the_film_closest_in_size() -> None:
    learnt = [one._replace(memory=2_000_000_000) for one in lessons(recipe(), step=1, frame=1)]
    assert asked(recipe(), learnt).memory == 2_000_000_000
    assert asked(recipe(width=512), learnt).memory > 2_000_000_000


LARGE = KNOWN["stable-diffusion-1.5"].card
WORKS = {"large": LARGE.work}


def test_before_the_first_film_a_models_card_gives_memory_and_download() -> None:
    film = recipe(model="large", width=512, height=512)
    cost = asked(film, [], card=LARGE, works=WORKS, gpu=True)
    assert (cost.memory, cost.fetched) == (LARGE.memory, LARGE.download)
    wider = recipe(model="large", width=768, height=512)
    assert asked(wider, [], card=LARGE).memory > LARGE.memory
    learnt = [one._replace(memory=2_000_000_000) for one in lessons(film, step=1, frame=1)]
    known = asked(film, learnt, card=LARGE, works=WORKS)
    assert (known.memory, known.fetched) == (2_000_000_000, 0)


def test_a_large_network_costs_more_than_the_offline_one_where_only_that_has_painted() -> None:
    learnt = lessons(recipe(), recipe(), step=0.1, frame=0.05)
    small = asked(recipe(), learnt, works=WORKS, cold=False)
    large = asked(recipe(model="large"), learnt, works=WORKS, cold=False)
    assert large.seconds > 10 * small.seconds


def test_looking_at_a_subject_costs_nearly_twice_as_much() -> None:
    learnt = lessons(recipe(), recipe(), step=0.1, frame=0.0001)
    plain, looking = (
        asked(recipe(8, num_inference_steps=50, anchor_attention=on), learnt, cold=False)
        for on in (False, True)
    )
    assert 1.6 * plain.seconds < looking.seconds < 2 * plain.seconds


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films", "me")


def keep(library: Library, job: str, made: Recipe) -> None:
    library.add(job, made, "engine-1")
    EventLog(library.engine).add(job, log_of(made, step=0.1, frame=0.1))
    library.finish(job, FINISHED)


def test_the_history_of_an_engine_is_that_of_its_own_films(library: Library) -> None:
    keep(library, "job-1", recipe(1.0))
    keep(library, "job-2", recipe(2.0))
    past = FilmHistory(library.engine, "me", "engine-1")
    assert [one.recipe.seconds for one in past.measurements()] == [2.0, 1.0]
    assert FilmHistory(library.engine, "me", "engine-2").measurements() == []
    assert FilmHistory(library.engine, "somebody", "engine-1").measurements() == []


def test_only_what_changed_is_to_be_paid(library: Library) -> None:
    scenes = [{"prompt": "dawn"}, {"prompt": "noon"}, {"prompt": "dusk"}]
    made = parse_recipe({"scenes": scenes})
    changed = parse_recipe({"scenes": [*scenes[:2], {"prompt": "night"}]})
    keep(library, "job-1", made)
    past = FilmHistory(library.engine, "me", "engine-1")
    assert past.missing(made) == {"keyframe": 0, "segment": 0, "film": 1, "poster": 1}
    units, most = past.missing(changed), most_units(changed)
    assert 0 < units["keyframe"] < most["keyframe"]
    assert 0 < units["segment"] < changed.frames
    assert "keyframes are there" in painted_already(changed, units["keyframe"])
    fresh = FilmHistory(library.engine, "me", "engine-2").missing(made)
    assert fresh == most_units(made)


def test_two_lengths_share_a_unit_where_they_can() -> None:
    assert between(20, 32) == "20 to 32 s"
    assert between(0.4, 1.2) == "1 s"
    assert between(20, 132) == "20 s to 2.2 min"
