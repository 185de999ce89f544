"""The engine's sockets, with real sockets and a worker process that paints nothing."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.errors import VisionFluxError
from engine.local import DIRECT
from engine.wire import pairing
from engine.wire.handshake import open_socket
from engine.wire.messages import codec, limits, requests, responses
from engine.wire.messages.limits import CONTROL_PATH, DATA_PATH
from engine.wire.pairing import Pairing
from tests.conftest import PATIENCE, Client, a_recipe, an_engine, connected, set_clock

pytestmark = pytest.mark.anyio
JOB = "job-0001"


async def refused(engine: Pairing, path: str = CONTROL_PATH, **options: Any) -> InvalidStatus:
    """Return how a handshake is refused."""
    options.setdefault("subprotocols", [limits.SUBPROTOCOL])
    with pytest.raises(InvalidStatus) as caught:
        await connect(engine.websocket_url + path, proxy=None, **options)
    return caught.value


def with_key(key: bytes, path: str = CONTROL_PATH) -> dict[str, str]:
    return {"Authorization": pairing.authorization(key, path)[0]}


async def entered(engine: Pairing, headers: dict[str, str] | None = None) -> ClientConnection:
    """Open a control socket that the test need not close."""
    return await connect(
        engine.websocket_url + CONTROL_PATH,
        proxy=None,
        additional_headers=headers or with_key(engine.key),
        subprotocols=[limits.SUBPROTOCOL],  # type: ignore[list-item]
    )


async def ask(socket: ClientConnection, message: str | bytes | dict[str, Any]) -> dict[str, Any]:
    """Send one message and return the next text that is no event."""
    await socket.send(json.dumps(message) if isinstance(message, dict) else message)
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await socket.recv()
            if isinstance(answer, str) and (found := json.loads(answer))["type"] != "event":
                return dict(found)


# The door


async def test_health_needs_no_key_and_shows_no_secret(engine: Pairing) -> None:
    def get() -> dict[str, Any]:
        with DIRECT.open(engine.url + "/healthz") as response:
            return dict(json.load(response))

    assert set(await asyncio.to_thread(get)) == {"version", "protocol", "device", "queue"}


async def test_without_proof_the_answer_is_401_and_nothing_more(engine: Pairing) -> None:
    wrong = with_key(bytes(32))
    absent = await refused(engine)
    bad = await refused(engine, additional_headers=wrong)
    unknown = await refused(engine, "/v1/nothing", additional_headers=wrong)
    old = await refused(engine, additional_headers=wrong, subprotocols=["visionflux.v9"])
    for answer in (absent, bad, unknown, old):
        assert answer.response.status_code == 401
        assert answer.response.body == b"{}"
        assert pairing.PROOF_HEADER not in answer.response.headers
        assert answer.response.headers["Date"]  # what a client with a wrong clock goes by


async def test_a_proof_is_not_taken_twice(engine: Pairing) -> None:
    header = with_key(engine.key)
    await (await entered(engine, header)).close()
    again = await refused(engine, additional_headers=header)
    assert again.response.status_code == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8501"])
async def test_browsers_are_refused_even_with_the_key(engine: Pairing, origin: str) -> None:
    answer = await refused(engine, additional_headers=with_key(engine.key), origin=origin)
    assert answer.response.status_code == 403


@pytest.mark.parametrize("offered", [["visionflux.v1"], ["visionflux.v9"], None])
async def test_another_version_gets_a_coded_error(engine: Pairing, offered: Any) -> None:
    headers = with_key(engine.key)
    answer = await refused(engine, additional_headers=headers, subprotocols=offered)
    error = json.loads(answer.response.body or b"")["error"]
    assert answer.response.status_code == 400
    assert (error["code"], error["field"]) == ("E_PROTOCOL_VERSION", "Sec-WebSocket-Protocol")


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
async def test_a_client_whose_clock_is_wrong_gets_in(
    engine: Pairing, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    set_clock(monkeypatch, ahead)
    async with open_socket(engine, CONTROL_PATH) as socket:
        assert await socket.recv()


async def test_plain_http_gets_no_further_than_the_door(engine: Pairing) -> None:
    def get(path: str, method: str) -> int:
        request = urllib.request.Request(engine.url + path, method=method)
        try:
            return int(DIRECT.open(request).status)
        except urllib.error.HTTPError as error:
            return error.code

    for path in ("/", "/v1/ws", "/v1/data", "/../engine.key"):
        assert await asyncio.to_thread(get, path, "GET") == 401
    assert await asyncio.to_thread(get, "/healthz", "DELETE") == 401


# Inside


async def test_the_engine_begins_with_hello(engine: Pairing) -> None:
    async with open_socket(engine, CONTROL_PATH) as socket:
        hello = json.loads(await socket.recv())
    assert (hello["type"], hello["protocol"]) == ("hello", 2)
    assert hello["limits"]["prompt"] == 2000
    assert hello["models"][0]["name"] == "landscapes"
    assert engine.key.hex() not in json.dumps(hello)


BAD: list[tuple[str, str, str | bytes | dict[str, Any]]] = [
    ("E_MALFORMED", "message", "{"),
    ("E_MALFORMED", "message", b"\x00binary"),
    ("E_MALFORMED", "type", {"type": "explode", "id": 1}),
    ("E_MALFORMED", "type", "[]"),
    ("E_UNKNOWN_JOB", "job", {"type": "watch", "id": 1, "job": "job-none"}),
    ("E_UNKNOWN_JOB", "job", {"type": "cancel", "id": 1, "job": "job-none"}),
    ("E_INVALID_PARAMETER", "job", {"type": "cancel", "id": 1, "job": "' OR 1=1 --"}),
]


@pytest.mark.parametrize(("code", "field", "message"), BAD)
async def test_bad_messages_get_a_coded_error_and_nothing_else_happens(
    engine: Pairing, code: str, field: str, message: str | bytes | dict[str, Any]
) -> None:
    async with open_socket(engine, CONTROL_PATH) as socket:
        await socket.recv()
        answer = await ask(socket, message)
        assert (answer["type"], answer["error"]["code"]) == ("error", code)
        assert answer["error"]["field"] == field
        assert (await ask(socket, {"type": "jobs", "id": 2}))["jobs"] == []


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("scenes[0].prompt", {"scenes": [{"prompt": ""}]}),
        ("scenes[0].prompt", {"scenes": [{"prompt": "a\0"}]}),
        ("scenes[0].prompt", {"scenes": [{"prompt": "x" * 10_000_000}]}),
        ("width", {"width": 515}),
        ("seed", {"seed": -1}),
        ("fps", {"fps": 0}),
        ("scheduler", {"scheduler": "magic"}),
        ("model", {"model": "of/somebody"}),
    ],
)
async def test_bad_recipes_name_their_field_and_other_jobs_continue(
    engine: Pairing, field: str, change: dict[str, Any]
) -> None:
    async with connected(engine) as other, open_socket(engine, CONTROL_PATH) as socket:
        await other.connection.submit("job-good", a_recipe())
        await socket.recv()
        recipe = {"scenes": [{"prompt": "a"}], **change}
        answer = await ask(socket, {"type": "submit", "id": 1, "job": JOB, "recipe": recipe})
        assert answer["re"] == 1
        assert answer["error"]["field"] == field
        await other.connection.watch("job-good")
        assert await other.ended("job-good") == "Finished"
        assert JOB not in [summary.job for summary in await other.connection.jobs()]


@pytest.mark.parametrize(
    ("field", "recipe"),
    [
        ("scenes[0].seconds", '{"scenes": [{"prompt": "a", "seconds": 1e999}]}'),
        ("seed", '{"scenes": [{"prompt": "a"}], "seed": -1e999}'),
        ("recipe", "[" * 900 + "]" * 900),
        ("extra", '{"scenes": [{"prompt": "a"}], "extra": 1e999}'),
        ("recipe", "1e999"),
    ],
)
async def test_recipes_of_strange_json_are_refused_and_break_nothing(
    engine: Pairing, field: str, recipe: str
) -> None:
    async with open_socket(engine, CONTROL_PATH) as socket:
        await socket.recv()
        answer = await ask(socket, f'{{"type":"submit","id":1,"job":"{JOB}","recipe":{recipe}}}')
        assert (answer["re"], answer["error"]["code"]) == (1, "E_INVALID_PARAMETER")
        assert answer["error"]["field"] == field
        assert (await ask(socket, {"type": "jobs", "id": 2}))["jobs"] == []


async def closing(socket: ClientConnection, *messages: str) -> int:
    """Send messages until the engine closes the socket; return the close code."""
    try:
        for message in messages:
            await socket.send(message)
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006
    raise AssertionError("the engine did not close the socket")


async def test_a_message_over_the_limit_closes_only_its_own_socket(engine: Pairing) -> None:
    async with connected(engine) as other:
        socket = await entered(engine)
        await socket.recv()
        size = (limits.LIMITS.message + 1).to_bytes(8, "big")
        socket.transport.write(b"\x81\xff" + size + bytes(4))  # the head of a text frame, RFC 6455
        await socket.wait_closed()
        assert socket.close_code == 1009
        assert await other.connection.jobs() == ()


async def test_many_malformed_messages_end_a_connection(engine: Pairing) -> None:
    assert await closing(await entered(engine), *["{"] * 100) == 1008


async def test_too_many_connections_are_turned_away(engine: Pairing) -> None:
    sockets = [await entered(engine) for _ in range(limits.LIMITS.connections)]
    answer = await refused(engine, additional_headers=with_key(engine.key))
    assert answer.response.status_code == 503
    await asyncio.gather(*(socket.close() for socket in sockets))


# Watching


async def test_a_log_can_be_read_again_from_any_number(engine: Pairing) -> None:
    async with connected(engine) as client:
        await client.connection.submit(JOB, a_recipe())
        await client.connection.watch(JOB)
        await client.ended(JOB)
        whole = client.events(JOB)
    assert [event.seq for event in whole] == list(range(1, len(whole) + 1))
    for after in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
        async with connected(engine) as late:
            snapshot = await late.connection.watch(JOB, after=after)
            expected = whole[after:]
            await late.count(JOB, len(expected))
            assert late.events(JOB) == expected
            assert snapshot.progress.status == "finished"


async def test_a_snapshot_holds_what_a_newcomer_needs(engine: Pairing) -> None:
    async with connected(engine) as client:
        await client.connection.submit(JOB, a_recipe("dawn", seed=7))
        await client.connection.watch(JOB)
        await client.ended(JOB)
    async with connected(engine) as late:
        snapshot = await late.connection.watch(JOB, after=None)
    assert snapshot.recipe == a_recipe("dawn", seed=7)
    assert (snapshot.fraction, snapshot.remaining) == (1.0, 0.0)
    assert all(snapshot.progress.keyframes)
    assert late.events(JOB) == []


async def test_any_number_of_clients_see_the_same_log(engine: Pairing) -> None:
    async with connected(engine) as one, connected(engine) as two:
        await one.connection.submit(JOB, a_recipe())
        for client in (one, two):
            await client.connection.watch(JOB)
        await one.ended(JOB)
        await two.ended(JOB)
        assert one.events(JOB) == two.events(JOB)


async def test_closing_a_socket_cancels_nothing(engine: Pairing) -> None:
    async with connected(engine) as client:
        await client.connection.submit(JOB, a_recipe())
    async with connected(engine) as other:
        await other.connection.watch(JOB)
        assert await other.ended(JOB) == "Finished"


async def test_previews_are_sent_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.01")
    async with an_engine(tmp_path) as engine, connected(engine) as one, connected(engine) as two:
        await one.connection.submit(JOB, a_recipe(num_inference_steps=20))
        await one.connection.watch(JOB)
        await two.connection.watch(JOB, previews=False)
        await one.ended(JOB)
        await two.ended(JOB)
        assert len(one.previews) >= 5
        assert all(preview.jpeg[:2] == b"\xff\xd8" for preview in one.previews)
        assert two.previews == []


async def test_a_client_that_reads_nothing_delays_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.001")
    async with an_engine(tmp_path) as engine, open_socket(engine, CONTROL_PATH) as deaf:
        deaf.transport.pause_reading()
        async with connected(engine) as client:
            await client.connection.submit(JOB, a_recipe(num_inference_steps=150))
            watch = requests.Watch(id=1, job=JOB, after=0)
            await deaf.send(codec.encode(watch))
            await client.connection.watch(JOB)
            assert await client.ended(JOB) == "Finished"
        deaf.transport.abort()


# Data


async def finished_film(client: Client) -> responses.JobEvent:
    await client.connection.submit(JOB, a_recipe())
    await client.connection.watch(JOB)
    await client.ended(JOB)
    return client.events(JOB)[-1]


async def test_an_object_is_pulled_in_chunks_from_any_offset(engine: Pairing) -> None:
    async with connected(engine) as client:
        film = (await finished_film(client)).event
    name = film.object  # type: ignore[union-attr]
    async with open_socket(engine, DATA_PATH) as socket:
        info = await ask(socket, {"type": "open", "id": 1, "object": name})
        assert (info["size"], info["sha256"]) == (film.size, film.sha256)  # type: ignore[union-attr]
        read = {"type": "read", "id": 2, "object": name, "offset": 3, "length": 4}
        await socket.send(json.dumps(read))
        chunk = codec.decode_answer(await socket.recv())
        assert isinstance(chunk, responses.Chunk)
        assert (chunk.re, chunk.offset, len(chunk.data)) == (2, 3, 4)


@pytest.mark.parametrize("beyond", [0, 1, 2**31, 2**63, 10**40])
async def test_beyond_the_end_of_an_object_there_is_nothing(engine: Pairing, beyond: int) -> None:
    async with connected(engine) as client:
        film: Any = (await finished_film(client)).event
    async with open_socket(engine, DATA_PATH) as socket:
        offset = film.size + beyond
        read = {"type": "read", "id": 2, "object": film.object, "offset": offset, "length": 4}
        await socket.send(json.dumps(read))
        chunk = codec.decode_answer(await socket.recv())
        assert isinstance(chunk, responses.Chunk)
        assert (chunk.offset, chunk.data) == (offset, b"")


@pytest.mark.parametrize("name", ["0" * 64, "../../engine.key", "A" * 64])
async def test_nothing_but_finished_objects_can_be_read(engine: Pairing, name: str) -> None:
    async with open_socket(engine, DATA_PATH) as socket:
        answer = await ask(socket, {"type": "open", "id": 1, "object": name})
        assert answer["type"] == "error"
        assert answer["error"]["field"] == "object"


async def test_control_and_data_do_not_mix(engine: Pairing) -> None:
    async with open_socket(engine, DATA_PATH) as socket:
        answer = await ask(socket, {"type": "jobs", "id": 1})
        assert answer["error"]["code"] == "E_MALFORMED"


async def test_a_second_engine_on_the_folder_is_refused(tmp_path: Path) -> None:
    async with an_engine(tmp_path):
        with pytest.raises(VisionFluxError, match="another engine"):
            async with an_engine(tmp_path):
                pass


async def test_the_link_file_is_private_and_goes_with_the_engine(tmp_path: Path) -> None:
    async with an_engine(tmp_path) as engine:
        link = tmp_path / pairing.LINK_FILE
        assert link.read_text() == engine.link
        assert link.stat().st_mode & 0o077 == 0
        assert (tmp_path / "engine.key").stat().st_mode & 0o077 == 0
    assert not link.exists()


async def test_the_queue_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEP_SECONDS", "0.05")
    async with an_engine(tmp_path) as engine, connected(engine) as client:
        for number in range(3):
            await client.connection.submit(f"job-000{number}", a_recipe(seed=number))
            await client.connection.watch(f"job-000{number}")
        assert (await client.connection.describe()).queue >= 2
        await client.ended("job-0002")
        first = [
            m.event for m in client.events("job-0002") if m.event.__class__.__name__ == "Queued"
        ]
        assert [event.position for event in first] == [2, 1]  # type: ignore[union-attr]
