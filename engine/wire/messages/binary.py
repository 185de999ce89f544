"""How binary messages stand on the wire: a kind, a header in JSON, and a payload of bytes.

``docs/protocol.md`` has the picture. It knows no kind in particular, and no limits.
"""

import struct
from typing import NamedTuple, TypeVar

import msgspec

from engine.errors import MalformedMessageError

HEAD = struct.Struct(">BI")  # kind, length of the JSON header
T = TypeVar("T", bound=msgspec.Struct)


class Parts(NamedTuple):
    """A binary message in its parts."""

    kind: int
    header: bytes
    payload: bytes


def pack(kind: int, value: msgspec.Struct, payload: str) -> bytes:
    """Return the message of a value; ``payload`` names the field that is no part of the header."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    content: bytes = fields.pop(payload)
    header = msgspec.json.encode(fields)
    return HEAD.pack(kind, len(header)) + header + content


def split(data: bytes) -> Parts:
    """Return a message's parts; the header may turn out to be no JSON.

    Raises:
        MalformedMessageError: it is too short for any.
    """
    if len(data) < HEAD.size:
        raise MalformedMessageError("the binary message is cut short", field="message")
    kind, length = HEAD.unpack_from(data)
    return Parts(kind, data[HEAD.size : HEAD.size + length], data[HEAD.size + length :])


def unpack(parts: Parts, type_: type[T], payload: str) -> T:
    """Return the value of a message.

    Raises:
        msgspec.MsgspecError: the header is not that of such a value.
    """
    value = msgspec.json.decode(parts.header, type=type_)
    return msgspec.structs.replace(value, **{payload: parts.payload})
