import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from engine.film import events
from engine.film.recipe import Recipe, Scene
from tests.stand_ins.connection import FILM, FINISHED, PLANNED, World, until
from tests.stand_ins.films import draw
from ui.engines.hub import Hub
from ui.routes import films, live
from ui.shell.middleware import MIDDLEWARE
from ui.shell.tickets import Tickets
from ui.storage.library import Library

RECIPE = Recipe(scenes=(Scene(prompt='night, "city"/\\<b>'),))


class App:
    """The routes over a hub, asked as a browser would."""

    def __init__(self, world: World) -> None:
        self.hub: Hub = world.start()
        self.engine = world.made[0]
        self.world = world
        self.tickets = Tickets()
        self.stranger = False
        routes = films.routes(lambda _: None if self.stranger else self.hub, lambda: self.tickets)
        app = Starlette(routes=routes, middleware=MIDDLEWARE)
        self.client = TestClient(app, base_url="http://127.0.0.1:8501")

    def stream(self, job: str, ticket: str | None = None, **headers: str):
        given = self.tickets.issue(f"job:{job}") if ticket is None else ticket
        return self.client.websocket_connect(
            f"/api/jobs/{job}/stream",
            subprotocols=[live.PROTOCOL, f"ticket.{given}"],
            headers=headers,
        )

    def finished(self) -> str:
        job = self.hub.submit(RECIPE)
        self.engine.say(job, PLANNED, FINISHED)
        until(lambda: (view := self.hub.find(job)) and view.settled)
        return job

    def get(self, job: str, extra: str = "", **headers: str):
        ticket = self.tickets.issue(f"film:{job}")
        return self.client.get(f"/api/films/{job}?ticket={ticket}{extra}", headers=headers)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with World(tmp_path) as world:
        yield App(world)


def test_the_stream_begins_with_the_state_and_ends_with_the_film(app: App) -> None:
    job = app.hub.submit(RECIPE)
    with app.stream(job) as socket:
        assert socket.accepted_subprotocol == live.PROTOCOL
        assert socket.receive_json()["status"] == "queued"
        app.engine.say(job, events.Started(attempt=1, device="cpu"), PLANNED, FINISHED)
        states: list[Any] = []
        with pytest.raises(WebSocketDisconnect) as ended:
            states.extend(iter(socket.receive_json, None))
    assert ended.value.code == 1000
    assert states[-1]["settled"]
    assert states[-1]["status"] == "finished"


def test_a_silent_engine_is_reported_every_second_and_its_film_moved(app: App) -> None:
    app.hub.pair("https://far.example/#vf1." + "r" * 43)
    job = app.hub.submit(RECIPE)
    with app.stream(job) as socket:
        assert socket.receive_json()["silence"] == ""
        app.world.made[-1].drop()
        states = iter(socket.receive_json, None)
        silent = next(state for state in states if state["silence"])
        assert silent["silence"].startswith("far.example has not answered for ")
        assert silent["rescue"] == ""  # it is itself the chosen engine
        app.hub.choose(app.hub.engines()[0].key)
        assert next(state["rescue"] for state in states if state["rescue"]) == "This computer"
        socket.send_text("move")
        with pytest.raises(WebSocketDisconnect):
            list(states)
    assert until(lambda: (view := app.hub.find(job)) and view.successor)


def test_a_film_is_paused_and_resumed_from_the_page(app: App) -> None:
    job = app.hub.submit(RECIPE)
    app.engine.say(job, events.Started(attempt=1, device="cpu"), PLANNED)
    with app.stream(job) as socket:
        for word, status in (("pause", "paused"), ("resume", "queued")):
            socket.send_text(word)
            state = socket.receive_json()
            while state["status"] != status:
                state = socket.receive_json()
            assert ("Paused" in state["headline"]) == (status == "paused")
            assert not state["settled"]


def test_a_preview_goes_out_as_header_and_jpeg(app: App) -> None:
    job = app.hub.submit(RECIPE)
    with app.stream(job) as socket:
        socket.receive_json()
        socket.send_text("visible")
        app.engine.show(job, b"\xff\xd8jpeg")
        data = socket.receive_bytes()
    assert live.HEADER.unpack(data[: live.HEADER.size]) == (0, 0, 1, 20)
    assert data[live.HEADER.size :] == b"\xff\xd8jpeg"


def test_a_late_viewer_gets_the_newest_preview_at_once(app: App) -> None:
    job = app.hub.submit(RECIPE)
    app.engine.show(job, b"newest")
    until(lambda: (view := app.hub.find(job)) and view.preview)
    with app.stream(job) as first, app.stream(job) as second:
        for socket in (first, second):
            socket.receive_json()
            socket.send_text("visible")
            assert socket.receive_bytes().endswith(b"newest")


def test_a_page_that_nobody_sees_gets_no_previews(app: App) -> None:
    job = app.hub.submit(RECIPE)
    with app.stream(job) as socket:
        socket.receive_json()
        socket.send_text("visible")
        until(lambda: app.engine.shown == [True])
        socket.send_text("hidden")
        until(lambda: app.engine.shown == [True, False])
        app.engine.show(job, b"unseen")
        until(lambda: (view := app.hub.find(job)) and view.preview)
        app.engine.say(job, events.Started(attempt=1, device="cpu"))
        while socket.receive_json()["status"] != "running":
            pass
        socket.send_text("visible")
        assert socket.receive_bytes().endswith(b"unseen")


def test_the_last_page_that_leaves_ends_the_previews(app: App) -> None:
    job = app.hub.submit(RECIPE)
    with app.stream(job) as first:
        first.send_text("visible")
        with app.stream(job) as second:
            second.send_text("visible")
            second.receive_json()
        app.engine.show(job, b"\xff\xd8jpeg")
        first.receive_json()
        assert first.receive_bytes()
        assert app.engine.shown == [True]
    until(lambda: app.engine.shown == [True, False])


def test_a_page_gets_more_previews_once_it_has_drawn_some(app: App) -> None:
    job = app.hub.submit(RECIPE)
    with app.stream(job) as socket:
        socket.receive_json()
        socket.send_text("visible")
        for number in range(live.MAX_UNDRAWN_PREVIEWS):
            app.engine.show(job, bytes([number]))
            assert pictures(socket) == bytes([number])
        for picture in (b"skipped", b"newest"):
            app.engine.show(job, picture)
        until(lambda: (view := app.hub.find(job)) and view.preview.jpeg == b"newest")
        socket.send_text("seen")
        assert pictures(socket) == b"newest"


def pictures(socket: Any) -> bytes:
    """Return the next preview's picture."""
    while (data := socket.receive().get("bytes")) is None:
        pass
    return data[live.HEADER.size :]


def test_cancel_reaches_the_engine(app: App) -> None:
    job = app.hub.submit(RECIPE)
    with app.stream(job) as socket:
        socket.receive_json()
        socket.send_text("cancel")
        until(lambda: set(app.engine.cancelled) == {job})


@pytest.mark.parametrize("ticket", ["", "1.aa", "ffffffffff." + "0" * 64])
def test_a_wrong_ticket_opens_no_stream(app: App, ticket: str) -> None:
    job = app.hub.submit(RECIPE)
    with pytest.raises(WebSocketDisconnect), app.stream(job, ticket):
        pass


def test_a_foreign_origin_opens_no_stream_even_with_a_ticket(app: App) -> None:
    job = app.hub.submit(RECIPE)
    foreign = {"origin": "https://evil.example", "host": "127.0.0.1:8501"}
    with pytest.raises(WebSocketDisconnect), app.stream(job, **foreign):
        pass
    own = {"origin": "http://127.0.0.1:8501", "host": "127.0.0.1:8501"}
    with app.stream(job, **own) as socket:
        assert socket.receive_json()["status"] == "queued"


def test_a_ticket_for_another_job_opens_nothing(app: App) -> None:
    job = app.hub.submit(RECIPE)
    other = app.tickets.issue("job:other")
    with pytest.raises(WebSocketDisconnect), app.stream(job, other):
        pass
    assert app.client.get(f"/api/films/{job}?ticket={other}").status_code == 403
    assert app.client.get(f"/api/pictures/{job}/0?ticket={other}").status_code == 403


def test_a_film_is_sent_completely_or_in_ranges(app: App) -> None:
    job = app.finished()
    whole = app.get(job)
    assert (whole.status_code, whole.content) == (200, FILM)
    assert whole.headers["content-type"] == "video/mp4"
    part = app.get(job, range="bytes=4-7")
    assert (part.status_code, part.content) == (206, FILM[4:8])


def test_a_film_is_saved_under_its_own_words(app: App) -> None:
    job = app.finished()
    disposition = app.get(job, "&save").headers["content-disposition"]
    assert disposition == "attachment; filename*=utf-8''night%20city%20b.mp4"
    assert app.get(job).headers["content-disposition"].startswith("inline")


def test_a_film_is_converted_and_fetched_in_another_format(app: App) -> None:
    job = app.hub.submit(RECIPE)
    film = app.hub.library.get(job)
    assert film
    draw(app.hub.library.file(film))
    ticket = app.tickets.issue(f"film:{job}")
    assert app.get(job, "&as=webm").status_code == 404
    lines = app.client.get(f"/api/films/{job}/convert/webm?ticket={ticket}").text.splitlines()
    assert json.loads(lines[-1]) == {"done": 1.0}
    answer = app.get(job, "&as=webm&save")
    assert answer.headers["content-type"] == "video/webm"
    assert answer.headers["content-disposition"].endswith(".webm")
    assert answer.content.startswith(b"\x1aE\xdf\xa3")


def test_a_conversion_that_fails_has_a_remedy(app: App) -> None:
    job = app.finished()  # whose file is no film
    ticket = app.tickets.issue(f"film:{job}")
    lines = app.client.get(f"/api/films/{job}/convert/gif?ticket={ticket}").text.splitlines()
    assert json.loads(lines[-1]) == {
        "error": "The film could not be converted. Download it in its own format instead."
    }


@pytest.mark.parametrize("kind", ["exe", "jpg", "part"])
def test_a_film_is_converted_into_formats_that_are_offered(app: App, kind: str) -> None:
    job = app.finished()
    ticket = app.tickets.issue(f"film:{job}")
    address = f"/api/films/{job}/convert/{kind}?ticket={ticket}"
    assert app.client.get(address).status_code == 404
    assert app.get(job, f"&as={kind}").status_code == 404


def test_another_accounts_film_is_not_here_even_with_a_ticket(app: App) -> None:
    job = app.finished()
    app.hub.library.thumbnail(job, 0).write_bytes(b"jpeg")
    ticket = app.tickets.issue(f"film:{job}")
    paths = [f"/api/films/{job}", f"/api/pictures/{job}/0", f"/api/films/{job}/convert/gif"]

    def status() -> list[int]:
        return [app.client.get(f"{path}?ticket={ticket}").status_code for path in paths]

    assert status() == [200, 200, 200]
    mine, app.hub.library = (
        app.hub.library,
        Library(app.hub.library.engine, app.hub.library.folder, "somebody else"),
    )
    assert status() == [404, 404, 404]
    app.stranger = True
    assert status() == [403, 403, 403]
    with pytest.raises(WebSocketDisconnect), app.stream(job):
        pass
    app.hub.library = mine


def test_what_is_not_here_is_not_found(app: App) -> None:
    assert app.get("0" * 32).status_code == 404
    ticket = app.tickets.issue("film:" + "0" * 32)
    assert app.client.get(f"/api/pictures/{'0' * 32}/3?ticket={ticket}").status_code == 404


def test_every_answer_carries_the_security_headers(app: App) -> None:
    headers = app.client.get("/nothing").headers
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_file_names_are_safe_everywhere() -> None:
    assert films.file_name("../../etc/passwd", "mp4") == "etc passwd.mp4"
    assert films.file_name("…", "gif") == "VisionFlux.gif"
    assert len(films.file_name("word " * 500, "mp4")) < 80


def test_a_films_poster_comes_with_it_and_is_sent(app: App) -> None:
    job = app.hub.submit(RECIPE)
    app.engine.objects["poster"] = b"the best still"
    stages = msgspec.structs.replace(PLANNED, stages=("keyframe", "segment", "film", "poster"))
    poster = events.PieceFinished(stage="poster", object="poster", sha256="s", size=9, reused=False)
    app.engine.say(job, stages, poster, FINISHED)
    until(lambda: (view := app.hub.find(job)) and view.settled)
    ticket = app.tickets.issue(f"film:{job}")
    answer = app.client.get(f"/api/films/{job}/poster?ticket={ticket}")
    assert (answer.headers["content-type"], answer.content) == ("image/png", b"the best still")
    assert app.client.get(f"/api/films/{job}/poster?ticket=none").status_code == 403
    older = app.finished()  # of an engine that makes no poster
    ticket = app.tickets.issue(f"film:{older}")
    assert app.client.get(f"/api/films/{older}/poster?ticket={ticket}").status_code == 404
