"""What is finished of a film can be played while the rest is made."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from engine.film import events
from engine.film.events import PieceFinished
from tests.stand_ins.connection import PLANNED, World, progress, until
from tests.stand_ins.films import draw
from tests.ui.routes.test_films import RECIPE, App
from ui.routes import partial_film
from ui.routes.job_state import ready

PLAN = events.Planned(
    keyframes=("k0", "k1", "k2", "k3"),
    segments=("s0", "s1", "s2"),
    segment_frames=(6, 6, 6),
    frames=18,
    model=PLANNED.model,
    interpolator=PLANNED.interpolator,
)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with World(tmp_path) as world:
        yield App(world)


def segment(app: App, index: int, name: str, content: bytes) -> PieceFinished:
    app.engine.objects[name] = content
    return PieceFinished(stage="segment", index=index, object=name, sha256="", size=9, reused=False)


@pytest.fixture
def drawn(tmp_path: Path) -> bytes:
    draw(tmp_path / "segment.mp4", seconds=0.5)
    return (tmp_path / "segment.mp4").read_bytes()


def begun(app: App, *finished: PieceFinished) -> str:
    """Return a job of which some segments are finished and known here."""
    job = app.hub.submit(RECIPE)
    app.engine.say(job, events.Started(attempt=1, device="cpu"), PLAN, *finished)
    until(lambda: len(app.hub.pieces.of(job)) == len(finished))
    return job


def ask(app: App, job: str, count: object, ticket: str | None = None):
    ticket = app.tickets.issue(f"film:{job}") if ticket is None else ticket
    return app.client.get(f"/api/jobs/{job}/partial_film?ticket={ticket}&count={count}")


def frames(film: Path) -> int:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(film)]
    listing = subprocess.run(
        [*command, "-f", "framemd5", "-"], check=True, capture_output=True, text=True
    )
    return sum(not line.startswith("#") for line in listing.stdout.splitlines())


def test_the_first_segments_come_as_one_film(app: App, drawn: bytes, tmp_path: Path) -> None:
    job = begun(app, segment(app, 0, "s0", drawn), segment(app, 1, "s1", drawn))
    for count in (1, 2):
        answer = ask(app, job, count)
        assert answer.headers["content-type"] == "video/mp4"
        (tmp_path / "partial.mp4").write_bytes(answer.content)
        assert frames(tmp_path / "partial.mp4") == 6 * count
    assert app.engine.fetched.count("s0") == 1


def test_a_part_that_is_played_stays_while_a_longer_one_is_asked_for(
    app: App, drawn: bytes
) -> None:
    job = begun(app, segment(app, 0, "s0", drawn), segment(app, 1, "s1", drawn))
    played = ask(app, job, 1)
    ask(app, job, 2)
    assert ask(app, job, 1).headers["etag"] == played.headers["etag"]  # it was not made again


def test_only_the_parts_that_were_asked_for_last_are_kept(
    app: App, drawn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_film, "PARTS_PER_JOB", 2)
    job = begun(app, *(segment(app, index, f"s{index}", drawn) for index in range(3)))
    folder = app.hub.pieces.path(app.hub.pieces.of(job)[0]).parents[1]
    for count in (1, 2, 1, 3):
        assert ask(app, job, count).status_code == 200
    kept = [frames(path) for path in folder.glob("*/*.mp4")]
    assert sorted(kept) == [6, 6, 6, 6, 18]  # three segments, and parts of one and of three


def test_only_what_is_finished_without_a_gap_is_sent(app: App, drawn: bytes) -> None:
    job = begun(app, segment(app, 0, "s0", drawn), segment(app, 2, "s2", drawn))
    assert ask(app, job, 2).status_code == 503
    for count in ("0", "-1", "99999", "x", ""):
        assert ask(app, job, count).status_code in (404, 503)


def test_strangers_get_nothing(app: App, drawn: bytes) -> None:
    job = begun(app, segment(app, 0, "s0", drawn))
    assert ask(app, job, 1, ticket="").status_code == 403
    assert ask(app, job, 1, ticket=app.tickets.issue("film:another")).status_code == 403


@pytest.mark.parametrize(
    "content", [b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x\n"]
)
def test_a_segment_that_is_no_film_opens_no_other_file(app: App, content: bytes) -> None:
    job = begun(app, segment(app, 0, "s0", content))
    answer = ask(app, job, 1)
    assert answer.status_code == 503
    assert "could not be joined" in answer.text


def test_an_unreachable_engine_is_an_error(app: App, drawn: bytes) -> None:
    job = begun(app, segment(app, 0, "s0", drawn))
    app.hub.close()
    with app.hub.job_views.changing(job) as view:
        assert view
        view.engine = "another"
    answer = ask(app, job, 1)
    assert answer.status_code == 503
    assert "not connected" in answer.text


def test_ready_counts_from_the_beginning_on() -> None:
    done = {"sha256": "", "size": 1, "reused": False}
    first = PieceFinished(stage="segment", index=0, object="s0", **done)  # type: ignore[arg-type]
    third = PieceFinished(stage="segment", index=2, object="s2", **done)  # type: ignore[arg-type]
    assert ready(progress(PLAN)) == 0
    assert ready(progress(PLAN, third)) == 0
    assert ready(progress(PLAN, first, third)) == 1
