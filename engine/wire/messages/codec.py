"""Encodes and decodes messages. A message that is malformed or beyond the limits is an error."""

import re
import struct
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from engine.errors import InvalidParameterError, MalformedMessageError
from engine.film.events import AnyEvent
from engine.film.recipe_json import invalid
from engine.wire.messages import older
from engine.wire.messages.limits import LIMITS, OLDER_SUBPROTOCOL, SUBPROTOCOL, RequestId
from engine.wire.messages.requests import Request, UploadPart
from engine.wire.messages.responses import AnyResponse, Chunk, Preview, Response

HEAD = struct.Struct(">BI")  # kind, length of the JSON header
T = TypeVar("T", bound=msgspec.Struct)


class Parts(NamedTuple):
    """The parts of a binary message."""

    kind: int
    header: bytes
    payload: bytes


def pack(kind: int, value: msgspec.Struct, payload: str) -> bytes:
    """Return the binary message of a value; ``payload`` names the field that follows the header."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    content: bytes = fields.pop(payload)
    header = msgspec.json.encode(fields)
    return HEAD.pack(kind, len(header)) + header + content


def split(data: bytes) -> Parts:
    """Split a binary message into its parts, without decoding the header.

    Raises:
        MalformedMessageError: it is too short.
    """
    if len(data) < HEAD.size:
        raise MalformedMessageError("the binary message is cut short", field="message")
    kind, length = HEAD.unpack_from(data)
    return Parts(kind, data[HEAD.size : HEAD.size + length], data[HEAD.size + length :])


def unpack(parts: Parts, type_: type[T], payload: str) -> T:
    """Return the value of a binary message.

    Raises:
        msgspec.MsgspecError: the header does not fit ``type_``.
    """
    value = msgspec.json.decode(parts.header, type=type_)
    return msgspec.structs.replace(value, **{payload: parts.payload})


PREVIEW_KIND, CHUNK_KIND, PART_KIND = 1, 2, 3


def encode(message: Request | Response) -> str:
    """Return a message as JSON."""
    return msgspec.json.encode(message).decode()


def encode_preview(preview: Preview) -> bytes:
    """Return the binary message of a preview."""
    return pack(PREVIEW_KIND, preview, "jpeg")


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the binary message of a chunk."""
    return pack(CHUNK_KIND, chunk, "data")


def encode_part(part: UploadPart) -> bytes:
    """Return the binary message of an uploaded part."""
    return pack(PART_KIND, part, "data")


def decode_part(data: bytes) -> UploadPart:
    """Decode a client's binary message.

    Raises:
        MalformedMessageError: it is no part of an object.
        InvalidParameterError: one of its fields is not acceptable.
    """
    try:
        parts = split(data)
        if parts.kind != PART_KIND:
            problem = f"unknown kind of binary message: {parts.kind}"
            raise MalformedMessageError(problem, field="message")
        part = unpack(parts, UploadPart, "data")
    except msgspec.ValidationError as error:
        raise _refusal(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(f"this is no part: {error}", field="message") from error
    if len(part.data) > LIMITS.chunk or part.offset + len(part.data) > part.size:
        raise InvalidParameterError("data", "the part is too long", "send at most 256 KiB a part")
    return part


def decode_request(data: str | bytes, kind: Any) -> Any:
    """Decode a client's message; ``kind`` is ``ControlRequest`` or ``DataRequest``.

    Raises:
        MalformedMessageError: it is no JSON object of a known type.
        InvalidParameterError: one of its fields is not acceptable.
    """
    if isinstance(data, bytes):
        raise MalformedMessageError("clients send text; this message is binary", field="message")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(f"this is no JSON: {error}", field="message") from error


def decode_answer(
    data: str | bytes, subprotocol: str | None = SUBPROTOCOL
) -> AnyResponse | Preview | Chunk:
    """Decode an engine's message.

    Args:
        data: the message.
        subprotocol: the one that the engine chose.

    Raises:
        MalformedMessageError: it is no message of this protocol.
    """
    try:
        if isinstance(data, bytes):
            return _read_binary(data)
        if subprotocol == OLDER_SUBPROTOCOL:
            return older.read_response(data)
        answer: AnyResponse = msgspec.json.decode(data, type=AnyResponse)
        return answer
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"the engine sent something else: {error}") from error


def is_of_unknown_type(data: str | bytes) -> bool:
    """Return whether a message of an engine, or its event, has an unknown type."""
    try:
        if isinstance(data, bytes):
            return split(data).kind not in (PREVIEW_KIND, CHUNK_KIND)
        message = msgspec.json.decode(data, type=_OnlyTypes)
    except (msgspec.MsgspecError, MalformedMessageError):
        return False
    event = message.event.type if message.event else None
    return message.type not in RESPONSE_TYPES or (event is not None and event not in EVENT_TYPES)


def request_id(data: str | bytes) -> int | None:
    """Return the id of a message that could not be decoded, so that the error can name it."""
    try:
        text = split(data).header if isinstance(data, bytes) else data
        return msgspec.json.decode(text, type=_OnlyId).id
    except (msgspec.MsgspecError, MalformedMessageError, UnicodeDecodeError, RecursionError):
        return None


class _OnlyType(msgspec.Struct):
    type: str


class _OnlyTypes(_OnlyType):
    event: _OnlyType | None = None


def _types(union: Any) -> set[str]:
    return {str(kind.__struct_config__.tag) for kind in get_args(union)}


RESPONSE_TYPES, EVENT_TYPES = _types(AnyResponse), _types(AnyEvent)


class _OnlyId(msgspec.Struct):
    id: RequestId


def _refusal(error: msgspec.ValidationError) -> MalformedMessageError | InvalidParameterError:
    translated = invalid(error, default_field="message")
    if translated.field in ("message", "type") or re.search("`type`", str(error)):
        return MalformedMessageError(f"unknown message: {error}", field="type")
    return translated


def _read_binary(data: bytes) -> Preview | Chunk:
    parts = split(data)
    if parts.kind == PREVIEW_KIND:
        return unpack(parts, Preview, "jpeg")
    if parts.kind == CHUNK_KIND:
        return unpack(parts, Chunk, "data")
    raise MalformedMessageError(f"unknown kind of binary message: {parts.kind}")
