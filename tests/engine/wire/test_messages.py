import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidParameterError, MalformedMessageError, VisionFluxError
from engine.wire.messages import codec, limits
from engine.wire.messages.requests import ControlRequest, DataRequest
from engine.wire.messages.responses import Chunk, Preview

JOB = "job-0001"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[",
        "3",
        "null",
        "[]",
        "{}",
        '{"type":"nonsense","id":1}',
        b"\x00\x01",
        '{"id":1}',
        '{"type":"submit","id":1}' + "x",
        "[" * 100000,
        '{"type":"jobs","id":1}\x00',
    ],
)
def test_what_is_no_message_is_malformed(data: str | bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        codec.decode_request(data, ControlRequest)
    assert caught.value.field


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("id", {"type": "jobs", "id": -1}),
        ("id", {"type": "jobs", "id": "1"}),
        ("job", {"type": "watch", "id": 1, "job": "../../etc/passwd"}),
        ("job", {"type": "watch", "id": 1, "job": "x" * 65}),
        ("job", {"type": "cancel", "id": 1, "job": "job-0001\n"}),
        ("after", {"type": "watch", "id": 1, "job": JOB, "after": -1}),
        ("previews", {"type": "watch", "id": 1, "job": JOB, "previews": 1}),
        ("surprise", {"type": "watch", "id": 1, "job": JOB, "surprise": 1}),
    ],
)
def test_a_bad_field_is_named(field: str, message: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        codec.decode_request(json.dumps(message), ControlRequest)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "message",
    [
        {"type": "read", "id": 1, "object": "a" * 64, "offset": 0, "length": 2**30},
        {"type": "read", "id": 1, "object": "../x", "offset": 0, "length": 1},
        {"type": "read", "id": 1, "object": "A" * 64, "offset": 0, "length": 1},
        {"type": "submit", "id": 1, "job": JOB, "recipe": {}},
    ],
)
def test_the_data_socket_serves_only_reading_within_limits(message: dict[str, Any]) -> None:
    with pytest.raises(VisionFluxError):
        codec.decode_request(json.dumps(message), DataRequest)


@given(st.text() | st.binary())
def test_any_bytes_are_read_or_refused(data: str | bytes) -> None:
    try:
        codec.decode_request(data, ControlRequest)
    except VisionFluxError:
        codec.request_id(data)


@given(st.binary())
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        codec.decode_answer(data)


def test_previews_and_chunks_survive_the_wire() -> None:
    about: dict[str, Any] = {"job": JOB, "kind": "step", "index": 1, "step": 2, "steps": 3}
    preview = Preview(**about, jpeg=b"\xff\xd8\x00")
    chunk = Chunk(re=7, object="a" * 64, offset=5, data=bytes(range(256)))
    assert codec.decode_answer(codec.encode_preview(preview)) == preview
    assert codec.decode_answer(codec.encode_chunk(chunk)) == chunk


def test_the_id_is_found_in_what_else_cannot_be_read() -> None:
    assert codec.request_id('{"type":"nonsense","id":7}') == 7
    assert codec.request_id('{"id":"7"}') is None
    assert codec.request_id(b"\xff") is None


def test_stated_limits_are_the_enforced_ones() -> None:
    from engine.film import recipe

    allowed = limits.LIMITS
    assert allowed.prompt == recipe.MAX_PROMPT
    assert allowed.scenes == recipe.MAX_SCENES
    assert allowed.frames == recipe.MAX_FRAMES
    schema = json.dumps(msgspec.json.schema(recipe.Recipe))
    assert f'"minimum": {allowed.min_side}, "maximum": {allowed.max_side}' in schema
    assert f'"minimum": 1, "maximum": {allowed.max_steps}' in schema


def test_messages_of_newer_engines_and_broken_ones_are_distinguished() -> None:
    later = ['{"type": "later"}', '{"type": "event", "job": "j", "event": {"type": "later"}}']
    known = ['{"type": "done"}', '{"type": "event", "event": {"type": "queued"}}', "{", "[]", b"\1"]
    assert all(map(codec.is_of_unknown_type, [*later, codec.HEAD.pack(9, 0)]))
    assert not any(map(codec.is_of_unknown_type, known))
