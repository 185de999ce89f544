import hashlib
from pathlib import Path

import pytest

from engine.film.events import Logged, PieceFinished
from engine.film.recipe import Recipe, Scene
from engine.film.stages import KEYFRAME, SEGMENT
from tests.stand_ins.connection import FINISHED
from ui.storage.event_log import EventLog
from ui.storage.library import Library
from ui.storage.migrations import sqlite_engine
from ui.storage.pieces import RESTARTABLE_FILMS, Pieces, choose
from ui.storage.tables import Piece, stage_key


def keyframe(index: int, size: int = 10, job: str = "job") -> Piece:
    return piece(stage_key(KEYFRAME), index, size, job)


def segment(index: int, size: int = 10, job: str = "job") -> Piece:
    return piece(stage_key(SEGMENT), index, size, job)


def piece(kind: str, index: int, size: int, job: str) -> Piece:
    name = f"{kind[0]}{index}"
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    about = {"object": name, "sha256": sha256, "size": size, "origin": "A", "detail": ""}
    return Piece(job=job, key=kind, index=index, **about)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(sqlite_engine(tmp_path / "library.db"), tmp_path / "films")


@pytest.fixture
def pieces(library: Library, tmp_path: Path) -> Pieces:
    return Pieces(library.engine, tmp_path / "mirror")


def told(pieces: Pieces, one: Piece) -> None:
    about = {"object": one.object, "sha256": one.sha256, "size": one.size, "origin": one.origin}
    event = PieceFinished(stage=one.stage.name, index=one.index, reused=False, **about)
    number = 1 + one.index * 2 + (one.stage.name == "segment")
    EventLog(pieces._engine).add(one.job, [Logged(seq=number, at=1.0, event=event)])


def bring(pieces: Pieces, *wanted: Piece) -> None:
    for one in wanted:
        told(pieces, one)
        pieces.path(one).parent.mkdir(parents=True, exist_ok=True)
        pieces.path(one).write_bytes(one.object.encode())


def test_keyframes_come_first() -> None:
    known = [segment(0), keyframe(1), keyframe(0)]
    assert choose(known, set(), whole={"keyframe": 2}, budget=100) is known[2]
    assert choose(known, {"i0"}, whole={"keyframe": 2}, budget=100) is known[1]
    assert choose(known, {"i0", "i1"}, whole={"keyframe": 2}, budget=100) is known[0]
    assert choose(known, {"i0", "i1", "v0"}, whole={"keyframe": 2}, budget=100) is None


def test_a_segment_leaves_room_for_the_keyframes_to_come() -> None:
    known = [keyframe(0), keyframe(1), segment(0)]
    here = {"i0", "i1"}
    assert choose(known, here, whole={"keyframe": 4}, budget=49) is None
    assert choose(known, here, whole={"keyframe": 4}, budget=50) is known[2]
    assert choose(known, here, whole={"keyframe": 2}, budget=30) is known[2]


def test_no_segment_is_downloaded_before_the_size_of_a_keyframe_is_known() -> None:
    assert choose([segment(0)], set(), whole={"keyframe": 4}, budget=1000) is None


@pytest.mark.parametrize(("budget", "fits"), [(0, False), (9, False), (10, True)])
def test_nothing_exceeds_the_budget(budget: int, fits: bool) -> None:
    assert (choose([keyframe(0)], set(), whole={"keyframe": 1}, budget=budget) is not None) == fits


def test_pieces_that_are_alike_count_once() -> None:
    same = [keyframe(0), keyframe(1)]
    same[1].object = same[0].object
    assert choose(same, {"i0"}, whole={"keyframe": 2}, budget=10) is None


def test_what_is_noted_twice_is_known_once(pieces: Pieces) -> None:
    told(pieces, keyframe(0))
    told(pieces, keyframe(0))
    assert [one.object for one in pieces.of("job")] == ["i0"]
    assert pieces.downloaded("job") == {}


def test_a_damaged_file_is_no_piece(pieces: Pieces) -> None:
    bring(pieces, keyframe(0))
    assert pieces.is_intact(keyframe(0))
    pieces.path(keyframe(0)).write_bytes(b"something else")
    assert not pieces.is_intact(keyframe(0))
    assert pieces.downloaded("job") == {}
    assert not pieces.is_intact(keyframe(0))


def test_sweeping_keeps_only_what_unfinished_films_need(pieces: Pieces, library: Library) -> None:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),))
    for job in ("one", "two"):
        library.add(job, recipe, "engine")
    bring(pieces, keyframe(0, job="one"), keyframe(1, job="one"), keyframe(0, job="two"))
    library.finish("one", FINISHED)
    pieces.sweep()
    assert set(pieces.downloaded("one")) == set(pieces.downloaded("two")) == {"i0"}
    path = pieces.path(keyframe(0))
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(b"an interrupted download")
    pieces.sweep()
    assert part.exists()
    library.delete("two")
    pieces.sweep()
    assert not part.exists()
    assert pieces.downloaded("one") == {}
    assert len(pieces.of("one")) == 2


def test_the_last_few_that_failed_or_were_cancelled_keep_what_they_have(
    pieces: Pieces, library: Library
) -> None:
    recipe = Recipe(scenes=(Scene(prompt="dawn"),))
    jobs = [f"job{number}" for number in range(RESTARTABLE_FILMS + 1)]
    for number, job in enumerate(jobs):
        library.add(job, recipe, "engine")
        bring(pieces, keyframe(number, job=job))
        library.end(job, "cancelled" if number % 2 else "failed")
    pieces.sweep()
    assert [bool(pieces.downloaded(job)) for job in jobs] == [False] + [True] * RESTARTABLE_FILMS
